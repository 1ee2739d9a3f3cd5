#pragma once

#include <ck_tile/ops/fmha/pipeline/tile_fmha_shape.hpp>
#include <ck_tile/ops/fmha/pipeline/tile_fmha_traits.hpp>

namespace ck_tile {

// Rows of one (sample, head). What lies outside reads as zero, as from a padded tensor.
template <class T>
struct Rows {
    T* data;
    index_t stride, num_rows, num_dims;

    CK_TILE_HOST_DEVICE float at(index_t row, index_t dim) const
    {
        return row < num_rows && dim < num_dims ? to_float(data[static_cast<long_index_t>(row) * stride + dim]) : 0.f;
    }
    template <class Epilogue>
    CK_TILE_HOST_DEVICE void store(index_t row, index_t dim, float x) const
    {
        if (row < num_rows && dim < num_dims)
            data[static_cast<long_index_t>(row) * stride + dim] = Epilogue::convert(x);
    }
};

template <class A, class B>
CK_TILE_HOST_DEVICE float dot(const Rows<A>& a, index_t row_a, const Rows<B>& b, index_t row_b)
{
    float sum = 0;
    for (index_t d = 0; d < a.num_dims; ++d)
        sum += a.at(row_a, d) * b.at(row_b, d);
    return sum;
}

inline constexpr index_t kDimsOfThread = 8; // of the output, in one row; threads compute scores for themselves

#if CK_FMHA_CK_TILE_ROCM < 603
template <class QDataType_, class KDataType_, class VDataType_, class SaccDataType_, class SMPLComputeDataType_,
          class BiasDataType_, class LSEDataType_, class PDataType_, class OaccDataType_, class ODataType_,
          class BlockFmhaShape_, bool kIsGroupMode_, class FmhaMask_, class Traits_>
#else
template <class QDataType_, class KDataType_, class VDataType_, class SaccDataType_, class SMPLComputeDataType_,
          class BiasDataType_, class RandValOutputDataType_, class LSEDataType_, class PDataType_, class OaccDataType_,
          class ODataType_, class BlockFmhaShape_, bool kIsGroupMode_, class FmhaMask_, class Traits_>
#endif
struct BlockFmhaPipelineProblem {
    using DataType = QDataType_;
    using BlockFmhaShape = BlockFmhaShape_;
    using FmhaMask = FmhaMask_;
    using Traits = Traits_;
    static_assert(!kIsGroupMode_);
};

// softmax(scale * Q K^T) V on the live range of a row of tiles.
template <class Problem>
struct BlockFmhaPipelineQRKSVS {
    using Shape = typename Problem::BlockFmhaShape;
    using DataType = typename Problem::DataType;
    using FmhaMask = typename Problem::FmhaMask;
    static constexpr index_t kBlockSize = Shape::NumWarps * 64;
    static constexpr index_t kBlockPerCu = 1;
    static constexpr index_t kM0 = Shape::kM0;
    static constexpr index_t kN0 = Shape::kN0;
    static constexpr index_t kN1 = Shape::kN1;

    template <class Epilogue>
    CK_TILE_DEVICE static void run(const Rows<const DataType>& q, const Rows<const DataType>& k,
                                   const Rows<const DataType>& v, const Rows<DataType>& o, float* lse, FmhaMask mask,
                                   float scale_log2, index_t i_m0)
    {
        constexpr index_t kParts = kN1 / kDimsOfThread;
        for (index_t n = thread_x(); n < kM0 * kParts; n += num_threads(kBlockSize)) {
            const index_t row = i_m0 + n / kParts, dim = n % kParts * kDimsOfThread;
            if (row >= q.num_rows || dim >= v.num_dims) continue;
            float m = -kInfinity, l = 0, o_acc[kDimsOfThread] = {};
            const auto [start, end] = mask.GetTileRangeAlongX(i_m0, number<kM0>{}, number<kN0>{});
            const index_t num_loops = integer_divide_ceil(end - start, kN0);
            for (index_t loop = 0; loop < num_loops; ++loop) {
                const index_t i_n0 = start + loop * kN0;
                const bool check = (FmhaMask::IsMasking || Problem::Traits::kPadSeqLenK) &&
                                   mask.IsEdgeTile(i_m0, i_n0, number<kM0>{}, number<kN0>{});
                for (index_t col = i_n0; col < i_n0 + kN0; ++col) {
                    const float s =
                        check && mask.IsOutOfBound(row, col) ? -kInfinity : scale_log2 * dot(q, row, k, col);
                    const float next = s > m ? s : m;
                    if (next == -kInfinity) continue;
                    const float rescale = exp2(m - next), p = exp2(s - next);
                    m = next;
                    l = l * rescale + p;
                    for (index_t d = 0; d < kDimsOfThread; ++d)
                        o_acc[d] = o_acc[d] * rescale + p * v.at(col, dim + d);
                }
            }
            for (index_t d = 0; d < kDimsOfThread; ++d)
                o.template store<Epilogue>(row, dim + d, l == 0 ? 0 : o_acc[d] / l);
            if (dim == 0 && Problem::Traits::kStoreLSE) lse[row] = l == 0 ? -kInfinity : (m + log2(l)) / kLog2E;
        }
    }
};
template <class Problem>
using BlockFmhaPipelineQRKSVSAsync = BlockFmhaPipelineQRKSVS<Problem>;

template <class QDataType_, class KDataType_, class VDataType_, class GemmDataType_, class LSEDataType_,
          class AccDataType_, class DDataType_, class BiasDataType_, class RandValOutputDataType_, class ODataType_,
          class OGradDataType_, class QGradDataType_, class KGradDataType_, class VGradDataType_,
          class BiasGradDataType_, class BlockFmhaShape_, bool kIsGroupMode_, bool kIsDeterministic_, class FmhaMask_,
          class FmhaDropout_, class Traits_>
struct BlockFmhaBwdPipelineProblem {
    using DataType = QDataType_;
    using BlockFmhaShape = BlockFmhaShape_;
    using FmhaMask = FmhaMask_;
    using Traits = Traits_;
    static_assert(!kIsGroupMode_ && !kIsDeterministic_ && !FmhaDropout_::IsDropout);
};

// dK and dV on the live range of a column of tiles; dQ added up.
template <class Problem>
struct BlockFmhaBwdDQDKDVPipelineKRKTRVR {
    using Shape = typename Problem::BlockFmhaShape;
    using DataType = typename Problem::DataType;
    using FmhaMask = typename Problem::FmhaMask;
    static constexpr index_t kBlockSize = Shape::NumWarps * 64;
    static constexpr index_t kBlockPerCu = 1;
    static constexpr index_t kM0 = Shape::kM0;
    static constexpr index_t kN0 = Shape::kN0;
    static constexpr index_t kDims = Shape::kQKHeaddim;

    template <class KGradEpilogue, class VGradEpilogue>
    CK_TILE_DEVICE static void run(const Rows<const DataType>& q, const Rows<const DataType>& k,
                                   const Rows<const DataType>& v, const Rows<const DataType>& d_o, const float* lse,
                                   const float* d, const Rows<float>& dq_acc, const Rows<DataType>& dk,
                                   const Rows<DataType>& dv, FmhaMask mask, float scale, index_t i_n0)
    {
        constexpr index_t kParts = kDims / kDimsOfThread;
        for (index_t n = thread_x(); n < kN0 * kParts; n += num_threads(kBlockSize)) {
            const index_t col = i_n0 + n / kParts, dim = n % kParts * kDimsOfThread;
            if (col >= k.num_rows) continue;
            float dk_acc[kDimsOfThread] = {}, dv_acc[kDimsOfThread] = {};
            const auto [start, end] = mask.GetTileRangeAlongY(i_n0, number<kM0>{}, number<kN0>{});
            const index_t num_loops = integer_divide_ceil(end - start, kM0);
            for (index_t loop = 0; loop < num_loops; ++loop) {
                const index_t i_m0 = start + loop * kM0;
                const bool check = (FmhaMask::IsMasking || Problem::Traits::kPadSeqLenK) &&
                                   mask.IsEdgeTile(i_m0, i_n0, number<kM0>{}, number<kN0>{});
                for (index_t row = i_m0; row < i_m0 + kM0; ++row) {
                    const bool inside = row < q.num_rows;
                    const float lse_row = inside && lse[row] != -kInfinity ? lse[row] : 0;
                    const float s = check && mask.IsOutOfBound(row, col) ? -kInfinity : scale * dot(q, row, k, col);
                    const float p = exp2((s - lse_row) * kLog2E);
                    const float ds = p * (dot(d_o, row, v, col) - (inside ? d[row] : 0));
                    for (index_t e = 0; e < kDimsOfThread; ++e) {
                        dk_acc[e] += ds * q.at(row, dim + e);
                        dv_acc[e] += p * d_o.at(row, dim + e);
                        if (inside && dim + e < k.num_dims)
                            atomic_add(&dq_acc.data[static_cast<long_index_t>(row) * dq_acc.stride + dim + e],
                                       scale * ds * k.at(col, dim + e));
                    }
                }
            }
            for (index_t e = 0; e < kDimsOfThread; ++e) {
                dk.template store<KGradEpilogue>(col, dim + e, scale * dk_acc[e]);
                dv.template store<VGradEpilogue>(col, dim + e, dv_acc[e]);
            }
        }
    }
};
template <class Problem>
using BlockFmhaBwdDQDKDVPipelineKRKTRVRIGLP = BlockFmhaBwdDQDKDVPipelineKRKTRVR<Problem>;

} // namespace ck_tile
