#pragma once

// One attention call of the native core with everything around it checked: tensors in memory blocks of exactly their
// size (so that the address sanitizer sees a read or write past them), strides with gaps of NaN, outputs that start as
// NaN, and a float64 reference.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cpu/attention.hpp"
#include "fmha/fmha_args.h"
#include "fmha/mask_view.hpp"

namespace ck_fmha::test {

inline constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

inline float round_bf16(float x)
{
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
    std::memcpy(&x, &bits, 4);
    return x;
}

// (batch, heads, seqlen, head_dim) with `gap` numbers of NaN after each row.
class TestTensor {
public:
    TestTensor(int32_t dtype, int64_t batch, int64_t heads, int64_t seqlen, int64_t head_dim, int64_t gap)
        : dtype_(dtype), head_dim_(head_dim), row_(head_dim + gap), seqlen_(seqlen), heads_(heads)
    {
        const int64_t rows = batch * heads * seqlen;
        // The last row has no gap: the block ends with the last number that may be touched.
        const int64_t size = rows > 0 ? rows * row_ - gap : 0;
        if (dtype == CK_FMHA_FLOAT32)
            f32_.assign(size, kNaN);
        else
            bf16_.assign(size, 0x7fc0);
    }

    void fill(std::mt19937& rng)
    {
        std::normal_distribution<float> normal;
        for (int64_t row = 0; row * row_ < size(); ++row)
            for (int64_t d = 0; d < head_dim_; ++d)
                set(row * row_ + d, normal(rng));
    }

    double at(int64_t b, int64_t h, int64_t s, int64_t d) const
    {
        return value(((b * heads_ + h) * seqlen_ + s) * row_ + d);
    }
    bool gaps_are_nan() const
    {
        for (int64_t n = 0; n < size(); ++n)
            if (n % row_ >= head_dim_ && !std::isnan(value(n))) return false;
        return true;
    }

    ck_fmha_tensor args()
    {
        void* data = dtype_ == CK_FMHA_FLOAT32 ? static_cast<void*>(f32_.data()) : bf16_.data();
        return {data, heads_ * seqlen_ * row_, seqlen_ * row_, row_};
    }

private:
    int64_t size() const { return static_cast<int64_t>(f32_.size() + bf16_.size()); }
    double value(int64_t n) const
    {
        if (dtype_ == CK_FMHA_FLOAT32) return f32_[n];
        const uint32_t bits = static_cast<uint32_t>(bf16_[n]) << 16;
        float x;
        std::memcpy(&x, &bits, 4);
        return x;
    }
    void set(int64_t n, float x)
    {
        if (dtype_ == CK_FMHA_FLOAT32) {
            f32_[n] = x;
        } else {
            x = round_bf16(x);
            uint32_t bits;
            std::memcpy(&bits, &x, 4);
            bf16_[n] = static_cast<uint16_t>(bits >> 16);
        }
    }

    int32_t dtype_;
    int64_t head_dim_, row_, seqlen_, heads_;
    std::vector<float> f32_;
    std::vector<uint16_t> bf16_;
};

struct Shape {
    int64_t batch = 1, num_heads = 2, num_heads_kv = 2, seqlen_q = 100, seqlen_k = 100, head_dim = 64, head_dim_v = 64;
    int32_t dtype = CK_FMHA_FLOAT32;
    double softmax_scale = 0.125;
    int64_t gap = 0;
    int32_t num_threads = 2;
};

struct CpuCall {
    CpuCall(const Shape& shape, std::shared_ptr<const MaskExpr> mask_, uint32_t seed)
        : s(shape),
          mask(std::move(mask_)),
          q(tensor(s.num_heads, s.seqlen_q, s.head_dim)),
          k(tensor(s.num_heads_kv, s.seqlen_k, s.head_dim)),
          v(tensor(s.num_heads_kv, s.seqlen_k, s.head_dim_v)),
          o(tensor(s.num_heads, s.seqlen_q, s.head_dim_v)),
          d_o(tensor(s.num_heads, s.seqlen_q, s.head_dim_v)),
          dq(tensor(s.num_heads, s.seqlen_q, s.head_dim)),
          dk(tensor(s.num_heads_kv, s.seqlen_k, s.head_dim)),
          dv(tensor(s.num_heads_kv, s.seqlen_k, s.head_dim_v)),
          lse(s.batch * s.num_heads * s.seqlen_q, kNaN),
          dlse(lse.size())
    {
        std::mt19937 rng(seed);
        for (TestTensor* t : {&q, &k, &v, &d_o})
            t->fill(rng);
        std::normal_distribution<float> normal;
        for (float& x : dlse)
            x = normal(rng);
    }

    // What forward and backward have in common.
    template <class Args>
    Args args()
    {
        Args a{};
        a.problem.version = CK_FMHA_ARGS_VERSION;
        a.problem.size = sizeof(a);
        a.problem.dtype = s.dtype;
        a.problem.num_threads = s.num_threads;
        a.problem.batch = s.batch;
        a.problem.num_heads = s.num_heads;
        a.problem.num_heads_kv = s.num_heads_kv;
        a.problem.seqlen_q = s.seqlen_q;
        a.problem.seqlen_k = s.seqlen_k;
        a.problem.head_dim = s.head_dim;
        a.problem.head_dim_v = s.head_dim_v;
        a.problem.softmax_scale = s.softmax_scale;
        a.q = q.args();
        a.k = k.args();
        a.v = v.args();
        a.o = o.args();
        a.lse = lse.data();
        return a;
    }
    ck_fmha_fwd_args forward_args() { return args<ck_fmha_fwd_args>(); }
    ck_fmha_bwd_args backward_args()
    {
        auto a = args<ck_fmha_bwd_args>();
        a.d_o = d_o.args();
        a.dlse = dlse.data();
        a.dq = dq.args();
        a.dk = dk.args();
        a.dv = dv.args();
        return a;
    }
    void run()
    {
        cpu::attention_forward(forward_args(), *mask);
        cpu::attention_backward(backward_args(), *mask);
    }

    Shape s;
    std::shared_ptr<const MaskExpr> mask;
    TestTensor q, k, v, o, d_o, dq, dk, dv;
    std::vector<float> lse, dlse;

private:
    TestTensor tensor(int64_t heads, int64_t seqlen, int64_t head_dim) const
    {
        return TestTensor(s.dtype, s.batch, heads, seqlen, head_dim, s.gap);
    }
};

// softmax(scale Q K^T) V and its gradients in float64, element by element.
struct Reference {
    explicit Reference(const CpuCall& c)
        : s(c.s),
          o(s.batch * s.num_heads * s.seqlen_q * s.head_dim_v),
          lse(s.batch * s.num_heads * s.seqlen_q),
          dq(s.batch * s.num_heads * s.seqlen_q * s.head_dim),
          dk(s.batch * s.num_heads_kv * s.seqlen_k * s.head_dim),
          dv(s.batch * s.num_heads_kv * s.seqlen_k * s.head_dim_v)
    {
        const int64_t group = s.num_heads / s.num_heads_kv;
        std::vector<uint8_t> attended(s.seqlen_q * s.seqlen_k);
        std::vector<double> p(s.seqlen_k);
        for (int64_t b = 0; b < s.batch; ++b)
            for (int64_t h = 0; h < s.num_heads; ++h) {
                const int64_t kv = h / group;
                MaskView(*c.mask, {static_cast<index_t>(b), static_cast<index_t>(h), static_cast<index_t>(s.seqlen_q),
                                   static_cast<index_t>(s.seqlen_k)})
                    .materialize(attended.data());
                for (int64_t i = 0; i < s.seqlen_q; ++i)
                    row(c, b, h, kv, i, attended.data() + i * s.seqlen_k, p);
            }
    }

    void row(const CpuCall& c, int64_t b, int64_t h, int64_t kv, int64_t i, const uint8_t* attended,
             std::vector<double>& p)
    {
        const int64_t r = (b * s.num_heads + h) * s.seqlen_q + i;
        double m = -std::numeric_limits<double>::infinity(), l = 0;
        for (int64_t j = 0; j < s.seqlen_k; ++j) {
            p[j] = -std::numeric_limits<double>::infinity();
            if (!attended[j]) continue;
            p[j] = 0;
            for (int64_t d = 0; d < s.head_dim; ++d)
                p[j] += c.q.at(b, h, i, d) * c.k.at(b, kv, j, d);
            p[j] *= s.softmax_scale;
            m = std::max(m, p[j]);
        }
        if (std::isinf(m)) {
            lse[r] = m;
            return;
        }
        for (double& x : p)
            l += x = std::exp(x - m);
        lse[r] = m + std::log(l);
        double delta = -c.dlse[r];
        for (int64_t j = 0; j < s.seqlen_k; ++j) {
            if (!attended[j]) continue;
            p[j] /= l;
            for (int64_t d = 0; d < s.head_dim_v; ++d) {
                o[r * s.head_dim_v + d] += p[j] * c.v.at(b, kv, j, d);
                dv[((b * s.num_heads_kv + kv) * s.seqlen_k + j) * s.head_dim_v + d] += p[j] * c.d_o.at(b, h, i, d);
            }
        }
        for (int64_t d = 0; d < s.head_dim_v; ++d)
            delta += c.d_o.at(b, h, i, d) * o[r * s.head_dim_v + d];
        for (int64_t j = 0; j < s.seqlen_k; ++j) {
            if (!attended[j]) continue;
            double ds = -delta;
            for (int64_t d = 0; d < s.head_dim_v; ++d)
                ds += c.d_o.at(b, h, i, d) * c.v.at(b, kv, j, d);
            ds *= p[j] * s.softmax_scale;
            for (int64_t d = 0; d < s.head_dim; ++d) {
                dq[r * s.head_dim + d] += ds * c.k.at(b, kv, j, d);
                dk[((b * s.num_heads_kv + kv) * s.seqlen_k + j) * s.head_dim + d] += ds * c.q.at(b, h, i, d);
            }
        }
    }

    Shape s;
    std::vector<double> o, lse, dq, dk, dv;
};

} // namespace ck_fmha::test
