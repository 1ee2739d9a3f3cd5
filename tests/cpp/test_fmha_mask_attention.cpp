// Attention by the stand-in of CK Tile's kernels, which get their mask through the adapter and ask it as CK Tile's do,
// against the formulas in float64. Each head's mask comes from an address in its window sizes.

#include <gtest/gtest.h>

#include <ck_tile/ops/epilogue.hpp>
#include <ck_tile/ops/fmha.hpp>

#include <cmath>
#include <memory>
#include <random>

#include "ck_tile_masks/ck_tile/kernel_fmha_mask.hpp"
#include "fmha/mask_expr.hpp"
#include "mask_examples.hpp"

namespace ck_fmha {
namespace {

using ck_tile_masks::MaskCall;

struct MaskAtAddress {
    using Bound = MaskRef;
    static MaskRef read(ck_tile_masks::WindowSizes w, index_t, index_t)
    {
        return MaskRef(*reinterpret_cast<const BoundMask*>(ck_tile_masks::address_of_window_sizes(w)));
    }
};
using Mask = ck_tile_masks::KernelFmhaMask<MaskAtAddress>;

constexpr index_t kDim = 8;
constexpr double kScale = 0.4;

using Traits = ck_tile::TileFmhaTraits<true, true, true, true, ck_tile::BlockAttentionBiasEnum::NO_BIAS, false, true,
                                       false, false>;
using Warps = ck_tile::sequence<4, 1, 1>;
using WarpTile = ck_tile::sequence<32, 32, 16>;
using Epilogue = ck_tile::Default2DEpilogue<ck_tile::Default2DEpilogueProblem<float, float, true, true>>;

template <index_t kM0, index_t kN0>
struct Fwd {
    using Shape = ck_tile::TileFmhaShape<ck_tile::sequence<kM0, kN0, kDim, kDim, kN0, kDim>, Warps, WarpTile, Warps,
                                         WarpTile, true>;
    using Problem = ck_tile::BlockFmhaPipelineProblem<float, float, float, float, float, float, unsigned char, float,
                                                      float, float, float, Shape, false, Mask, Traits>;
    using Kernel = ck_tile::FmhaFwdKernel<ck_tile::FmhaFwdTilePartitioner<Shape>,
                                          ck_tile::BlockFmhaPipelineQRKSVSAsync<Problem>, Epilogue>;
};
template <index_t kM0, index_t kN0>
struct Bwd {
    using Shape =
        ck_tile::TileFmhaBwdShape<ck_tile::sequence<kM0, kN0, kDim, kM0, kDim, kM0, kN0, kDim, kDim>, Warps, WarpTile,
                                  Warps, WarpTile, Warps, WarpTile, Warps, WarpTile, Warps, WarpTile>;
    using Problem =
        ck_tile::BlockFmhaBwdPipelineProblem<float, float, float, float, float, float, float, float, unsigned char,
                                             float, float, float, float, float, float, Shape, false, false, Mask,
                                             ck_tile::BlockDropoutBwd<false, true, false>, Traits>;
    using Kernel =
        ck_tile::FmhaBwdDQDKDVKernel<ck_tile::BlockFmhaBwdDQDKDVPipelineKRKTRVR<Problem>, Epilogue, Epilogue>;
};

using Matrix = std::vector<float>; // rows of kDim numbers, or one number a row

// The tensors of one head.
struct Head {
    index_t sq, sk;
    Matrix q, k, v, d_o, o, dq, dk, dv, lse, d;

    Head(index_t seqlen_q, index_t seqlen_k, unsigned seed) : sq(seqlen_q), sk(seqlen_k)
    {
        std::mt19937 random(seed);
        std::normal_distribution<float> normal;
        for (auto [matrix, rows] : {std::pair(&q, sq), std::pair(&k, sk), std::pair(&v, sk), std::pair(&d_o, sq)})
            for (index_t n = 0; n < rows * kDim; ++n)
                matrix->push_back(normal(random));
        o.assign(std::size_t(sq * kDim), NAN);
        dk.assign(std::size_t(sk * kDim), NAN);
        dv = dk;
        dq.assign(std::size_t(sq * kDim), 0);
        lse.assign(std::size_t(sq), NAN);
        d = lse;
    }
};

template <class Kernel, class Kargs>
void launch(const Kargs& kargs, index_t num_tiles)
{
    for (index_t t = 0; t < num_tiles; ++t) {
        ck_tile::host_block[0] = t;
        Kernel{}(kargs);
    }
}

template <class Kargs>
void set_common(Kargs& kargs, const Head& h, const BoundMask& mask)
{
    kargs.q_ptr = h.q.data();
    kargs.k_ptr = h.k.data();
    kargs.v_ptr = h.v.data();
    kargs.seqlen_q = h.sq;
    kargs.seqlen_k = h.sk;
    kargs.hdim_q = kargs.hdim_v = kDim;
    kargs.num_head_q = kargs.nhead_ratio_qk = 1;
    kargs.stride_q = kargs.stride_k = kargs.stride_v = kDim;
    const auto w = ck_tile_masks::window_sizes_of_address(reinterpret_cast<unsigned long long>(&mask));
    kargs.window_size_left = w.left;
    kargs.window_size_right = w.right;
    kargs.mask_type = ck_tile::GenericAttentionMaskEnum::MASK_FROM_TOP_LEFT;
}

template <index_t kM0, index_t kN0>
void forward(Head& h, const BoundMask& mask)
{
    using Kernel = typename Fwd<kM0, kN0>::Kernel;
    typename Kernel::Kargs kargs{};
    set_common(kargs, h, mask);
    kargs.o_ptr = h.o.data();
    kargs.lse_ptr = h.lse.data();
    kargs.scale_s = static_cast<float>(kScale);
    kargs.stride_o = kDim;
    launch<Kernel>(kargs, ck_tile::integer_divide_ceil(h.sq, kM0));
}

template <index_t kM0, index_t kN0>
void backward(Head& h, const BoundMask& mask)
{
    for (index_t i = 0; i < h.sq; ++i) {
        h.d[std::size_t(i)] = 0;
        for (std::size_t n = std::size_t(i * kDim); n < std::size_t((i + 1) * kDim); ++n)
            h.d[std::size_t(i)] += h.o[n] * h.d_o[n];
    }
    using Kernel = typename Bwd<kM0, kN0>::Kernel;
    typename Kernel::Kargs kargs{};
    set_common(kargs, h, mask);
    kargs.lse_ptr = h.lse.data();
    kargs.do_ptr = h.d_o.data();
    kargs.d_ptr = h.d.data();
    kargs.dq_acc_ptr = h.dq.data();
    kargs.dk_ptr = h.dk.data();
    kargs.dv_ptr = h.dv.data();
    kargs.raw_scale = static_cast<float>(kScale);
    kargs.scale = static_cast<float>(kScale) * ck_tile::kLog2E;
    kargs.stride_do = kargs.stride_dq_acc = kargs.stride_dk = kargs.stride_dv = kDim;
    launch<Kernel>(kargs, ck_tile::integer_divide_ceil(h.sk, kN0));
}

double dot(const Matrix& a, index_t i, const Matrix& b, index_t j)
{
    double sum = 0;
    for (index_t n = 0; n < kDim; ++n)
        sum += double(a[std::size_t(i * kDim + n)]) * double(b[std::size_t(j * kDim + n)]);
    return sum;
}

struct Reference {
    std::vector<double> o, lse, dq, dk, dv;

    Reference(const Head& h, const BoundMask& mask)
        : o(std::size_t(h.sq * kDim)), lse(std::size_t(h.sq), -INFINITY), dq(o), dk(std::size_t(h.sk * kDim)), dv(dk)
    {
        for (index_t i = 0; i < h.sq; ++i) {
            std::vector<double> p(std::size_t(h.sk), 0);
            double sum = 0;
            for (index_t j = 0; j < h.sk; ++j)
                if (mask.mask_func(i, j)) sum += p[std::size_t(j)] = std::exp(kScale * dot(h.q, i, h.k, j));
            if (sum == 0) continue;
            lse[std::size_t(i)] = std::log(sum);
            double d = 0;
            for (index_t j = 0; j < h.sk; ++j)
                d += (p[std::size_t(j)] /= sum) * dot(h.d_o, i, h.v, j);
            for (index_t j = 0; j < h.sk; ++j) {
                const double ds = p[std::size_t(j)] * (dot(h.d_o, i, h.v, j) - d) * kScale;
                for (index_t n = 0; n < kDim; ++n) {
                    const auto in_q = std::size_t(i * kDim + n), in_k = std::size_t(j * kDim + n);
                    o[in_q] += p[std::size_t(j)] * double(h.v[in_k]);
                    dq[in_q] += ds * double(h.k[in_k]);
                    dk[in_k] += ds * double(h.q[in_q]);
                    dv[in_k] += p[std::size_t(j)] * double(h.d_o[in_q]);
                }
            }
        }
    }
};

void expect_near(const char* name, const Matrix& actual, const std::vector<double>& expected)
{
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t n = 0; n < actual.size(); ++n) {
        if (double(actual[n]) == expected[n]) continue; // -inf
        ASSERT_NEAR(double(actual[n]), expected[n], 2e-5 * (1 + std::abs(expected[n]))) << name << "[" << n << "]";
    }
}

template <index_t kM0, index_t kN0>
void check(const MaskExpr& expr, const MaskCall& call)
{
    SCOPED_TRACE(testing::Message() << "tiles of " << kM0 << " x " << kN0 << ", batch " << call.batch << ", head "
                                    << call.head);
    const auto bound = expr.bind(call);
    Head h(call.seqlen_q, call.seqlen_k, 7);
    const Reference reference(h, *bound);
    forward<kM0, kN0>(h, *bound);
    expect_near("o", h.o, reference.o);
    expect_near("lse", h.lse, reference.lse);
    if (testing::Test::HasFatalFailure()) return;
    backward<kM0, kN0>(h, *bound);
    expect_near("dq", h.dq, reference.dq);
    expect_near("dk", h.dk, reference.dk);
    expect_near("dv", h.dv, reference.dv);
}

class FmhaMaskAttention : public testing::TestWithParam<MaskExample> {};
INSTANTIATE_TEST_SUITE_P(Every, FmhaMaskAttention, testing::ValuesIn(mask_examples()),
                         [](const auto& info) { return "mask_" + std::to_string(info.index); });

TEST_P(FmhaMaskAttention, MatchesFormulas)
{
    SCOPED_TRACE(GetParam().structure);
    const auto expr = GetParam().build();
    for (index_t batch = 0; batch < (expr->varies_by_batch() ? 2 : 1); ++batch)
        for (index_t head = 0; head < (expr->varies_by_head() ? 2 : 1); ++head) {
            const MaskCall call{batch, head, GetParam().seqlen_q, GetParam().seqlen_k};
            check<32, 16>(*expr, call);
            check<16, 64>(*expr, call);
        }
}

} // namespace
} // namespace ck_fmha
