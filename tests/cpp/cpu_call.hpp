#pragma once

// One attention call of the native core with everything around it checked: tensors in memory blocks of exactly their
// size (so that the address sanitizer sees a read or write past them), strides with gaps of NaN, outputs that start as
// NaN, and a float64 reference.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "cpu/attention.hpp"
#include "cpu/dropout.hpp"
#include "fmha/fmha_args.h"
#include "fmha/mask_view.hpp"

namespace ck_fmha::test {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Numbers of a dtype (enum ck_fmha_dtype) as bytes, converted without the code under test.
class Numbers {
public:
    Numbers(int32_t dtype, size_t count) : dtype_(dtype), bytes_(count * size())
    {
        for (size_t n = 0; n < count; ++n)
            set(n, kNaN);
    }
    size_t count() const { return bytes_.size() / size(); }
    void* data() { return bytes_.data(); }

    double at(size_t n) const
    {
        switch (dtype_) {
        case CK_FMHA_FLOAT64:
            return load<double>(n);
        case CK_FMHA_FLOAT32:
            return load<float>(n);
        default: // sign, exponent, fraction
            const int fraction_bits = dtype_ == CK_FMHA_FLOAT16 ? 10 : 7, bias = dtype_ == CK_FMHA_FLOAT16 ? 15 : 127;
            const int bits = load<uint16_t>(n), exponent = (bits & 0x7fff) >> fraction_bits;
            const int fraction = bits & ((1 << fraction_bits) - 1);
            double x = std::ldexp(fraction + (exponent ? 1 << fraction_bits : 0),
                                  std::max(exponent, 1) - bias - fraction_bits);
            if (exponent == 2 * bias + 1) x = fraction ? kNaN : std::numeric_limits<double>::infinity();
            return bits & 0x8000 ? -x : x;
        }
    }
    void set_zero() { std::fill(bytes_.begin(), bytes_.end(), char{0}); }
    // 16-bit dtypes: finite numbers of moderate size but zero, and NaN.
    void set(size_t n, double x)
    {
        switch (dtype_) {
        case CK_FMHA_FLOAT64:
            return store(n, x);
        case CK_FMHA_FLOAT32:
            return store(n, static_cast<float>(x));
        default:
            const int fraction_bits = dtype_ == CK_FMHA_FLOAT16 ? 10 : 7, bias = dtype_ == CK_FMHA_FLOAT16 ? 15 : 127;
            int exponent = 0;
            std::frexp(x, &exponent);
            exponent = std::max(exponent - 1, 1 - bias);
            const auto units = std::isnan(x) ? 0 : std::lrint(std::ldexp(std::abs(x), fraction_bits - exponent));
            const auto bits = std::isnan(x) ? 0x7fc0 : ((exponent + bias - 1) << fraction_bits) + units;
            store(n, static_cast<uint16_t>(bits | (std::signbit(x) ? 0x8000 : 0)));
        }
    }

private:
    size_t size() const { return dtype_ == CK_FMHA_FLOAT64 ? 8 : dtype_ == CK_FMHA_FLOAT32 ? 4 : 2; }
    template <class T>
    T load(size_t n) const
    {
        T x;
        std::memcpy(&x, bytes_.data() + n * sizeof x, sizeof x);
        return x;
    }
    template <class T>
    void store(size_t n, T x)
    {
        std::memcpy(bytes_.data() + n * sizeof x, &x, sizeof x);
    }

    int32_t dtype_;
    std::vector<char> bytes_;
};

// (batch, heads, seqlen, head_dim) with `gap` numbers of NaN after each row.
class TestTensor {
public:
    TestTensor(int32_t dtype, int64_t batch, int64_t heads, int64_t seqlen, int64_t head_dim, int64_t gap)
        : head_dim_(head_dim),
          row_(head_dim + gap),
          seqlen_(seqlen),
          heads_(heads),
          // The last row has no gap: the block ends with the last number that may be touched.
          numbers_(dtype, static_cast<size_t>(batch * heads * seqlen > 0 ? batch * heads * seqlen * row_ - gap : 0))
    {
    }

    void fill(std::mt19937& rng)
    {
        std::normal_distribution<float> normal;
        for (int64_t row = 0; row * row_ < size(); ++row)
            for (int64_t d = 0; d < head_dim_; ++d)
                numbers_.set(row * row_ + d, normal(rng));
    }

    double at(int64_t b, int64_t h, int64_t s, int64_t d) const
    {
        return numbers_.at(((b * heads_ + h) * seqlen_ + s) * row_ + d);
    }
    bool gaps_are_nan() const
    {
        for (int64_t n = 0; n < size(); ++n)
            if (n % row_ >= head_dim_ && !std::isnan(numbers_.at(n))) return false;
        return true;
    }

    ck_fmha_tensor args() { return {numbers_.data(), heads_ * seqlen_ * row_, seqlen_ * row_, row_}; }

private:
    int64_t size() const { return static_cast<int64_t>(numbers_.count()); }

    int64_t head_dim_, row_, seqlen_, heads_;
    Numbers numbers_;
};

// What may change the scores, all of it switched on by its size.
struct Changes {
    bool bias = false;
    // Of the dimensions (batch, num_heads, seqlen_q, seqlen_k) that the bias has; the others broadcast.
    std::array<bool, 4> bias_dims = {true, true, true, true};
    bool bias_transposed = false; // keys far apart, queries side by side
    bool alibi = false;
    bool attended = false;
    float softcap = 0;
    double dropout_p = 0;
};

struct Shape {
    int64_t batch = 1, num_heads = 2, num_heads_kv = 2, seqlen_q = 100, seqlen_k = 100, head_dim = 64, head_dim_v = 64;
    int32_t dtype = CK_FMHA_FLOAT32;
    double softmax_scale = 0.125;
    int64_t gap = 0;
    int32_t num_threads = 2;
    Changes changes = {};
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
          lse(lse_dtype(), s.batch * s.num_heads * s.seqlen_q),
          dlse(lse_dtype(), lse.count()),
          bias(s.dtype, s.changes.bias ? bias_count() : 0),
          dbias(s.dtype, bias.count()),
          slopes(s.changes.alibi ? s.batch * s.num_heads : 0),
          attended(s.changes.attended ? s.num_heads * s.seqlen_q * s.seqlen_k : 0)
    {
        std::mt19937 rng(seed);
        for (TestTensor* t : {&q, &k, &v, &d_o})
            t->fill(rng);
        std::normal_distribution<float> normal;
        dbias.set_zero(); // as the argument asks
        for (Numbers* numbers : {&dlse, &bias})
            for (size_t n = 0; n < numbers->count(); ++n)
                numbers->set(n, normal(rng));
        for (float& x : slopes)
            x = 0.1f * std::abs(normal(rng));
        for (uint8_t& x : attended)
            x = static_cast<uint8_t>(rng() % 3 == 0 ? 0 : 1 + rng() % 255);
        // A hole of several tiles.
        for (int64_t i = 0; s.changes.attended && i < s.seqlen_q; ++i)
            for (int64_t j = 0; j < s.seqlen_k; ++j)
                if (i >= 64 && j < 64) attended[i * s.seqlen_k + j] = 0;
    }

    int32_t lse_dtype() const { return s.dtype == CK_FMHA_FLOAT64 ? CK_FMHA_FLOAT64 : CK_FMHA_FLOAT32; }
    // Strides of the bias, 0 where it broadcasts.
    std::array<int64_t, 4> bias_strides() const
    {
        const std::array<int64_t, 4> extents = {s.batch, s.num_heads, s.seqlen_q, s.seqlen_k};
        std::array<int64_t, 4> strides = {};
        std::array<int, 4> inner_to_outer = {3, 2, 1, 0};
        if (s.changes.bias_transposed) inner_to_outer = {2, 3, 1, 0};
        int64_t stride = 1;
        for (int n : inner_to_outer)
            if (s.changes.bias_dims[n]) {
                strides[n] = stride;
                stride *= extents[n];
            }
        return strides;
    }
    int64_t bias_count() const
    {
        const std::array<int64_t, 4> extents = {s.batch, s.num_heads, s.seqlen_q, s.seqlen_k};
        int64_t count = 1;
        for (int n = 0; n < 4; ++n)
            count *= s.changes.bias_dims[n] ? extents[n] : 1;
        return count;
    }
    int64_t bias_at(int64_t b, int64_t h, int64_t i, int64_t j) const
    {
        const auto t = bias_strides();
        return b * t[0] + h * t[1] + i * t[2] + j * t[3];
    }
    ck_fmha_scores scores(void* data) const
    {
        const auto t = bias_strides();
        return {{data, t[0], t[1], t[2]}, t[3]};
    }
    static constexpr uint64_t kSeed = 0x123456789abcdefull;

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
        ck_fmha_extras& e = a.problem.extras;
        if (s.changes.bias) e.bias = scores(bias.data());
        e.bias_dtype = s.dtype;
        e.softcap = s.changes.softcap;
        if (s.changes.attended) e.attended = {{attended.data(), 0, s.seqlen_q * s.seqlen_k, s.seqlen_k}, 1};
        if (s.changes.alibi) e.alibi_slopes = slopes.data();
        e.alibi_stride_batch = s.num_heads;
        e.dropout_p = s.changes.dropout_p;
        e.dropout_seed = kSeed;
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
        if (s.changes.bias && !s.changes.bias_transposed) a.dbias = scores(dbias.data());
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
    Numbers lse, dlse, bias, dbias;
    std::vector<float> slopes;
    std::vector<uint8_t> attended;

private:
    TestTensor tensor(int64_t heads, int64_t seqlen, int64_t head_dim) const
    {
        return TestTensor(s.dtype, s.batch, heads, seqlen, head_dim, s.gap);
    }
};

// softmax(scale Q K^T, changed) V and its gradients in float64, element by element.
struct Reference {
    explicit Reference(const CpuCall& c)
        : s(c.s),
          o(s.batch * s.num_heads * s.seqlen_q * s.head_dim_v),
          lse(s.batch * s.num_heads * s.seqlen_q),
          dq(s.batch * s.num_heads * s.seqlen_q * s.head_dim),
          dk(s.batch * s.num_heads_kv * s.seqlen_k * s.head_dim),
          dv(s.batch * s.num_heads_kv * s.seqlen_k * s.head_dim_v),
          dbias(c.bias.count()),
          kept(s.batch * s.num_heads * s.seqlen_q * s.seqlen_k)
    {
        cpu::dropout_mask(kept.data(), {s.batch, s.num_heads, s.seqlen_q, s.seqlen_k}, s.changes.dropout_p,
                          CpuCall::kSeed, 1);
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

    // A score after all changes, and its derivative by q k.
    struct Score {
        double value = -std::numeric_limits<double>::infinity(), slope = 0;
    };
    Score score(const CpuCall& c, int64_t b, int64_t h, int64_t kv, int64_t i, int64_t j) const
    {
        double x = 0, slope = s.softmax_scale;
        for (int64_t d = 0; d < s.head_dim; ++d)
            x += c.q.at(b, h, i, d) * c.k.at(b, kv, j, d);
        x *= s.softmax_scale;
        if (const double cap = s.changes.softcap; cap > 0) {
            const double t = std::tanh(x / cap);
            x = cap * t;
            slope *= 1 - t * t;
        }
        if (s.changes.bias) x += c.bias.at(c.bias_at(b, h, i, j));
        if (s.changes.alibi)
            x -= c.slopes[b * s.num_heads + h] * std::abs(static_cast<double>(i + s.seqlen_k - s.seqlen_q - j));
        return {x, slope};
    }

    void row(const CpuCall& c, int64_t b, int64_t h, int64_t kv, int64_t i, const uint8_t* attended,
             std::vector<double>& p)
    {
        const int64_t r = (b * s.num_heads + h) * s.seqlen_q + i;
        double m = -std::numeric_limits<double>::infinity(), l = 0;
        std::vector<Score> scores(s.seqlen_k);
        for (int64_t j = 0; j < s.seqlen_k; ++j) {
            const bool by_bytes = !s.changes.attended || c.attended[(h * s.seqlen_q + i) * s.seqlen_k + j] != 0;
            if (attended[j] && by_bytes) scores[j] = score(c, b, h, kv, i, j);
            m = std::max(m, scores[j].value);
        }
        if (std::isinf(m)) {
            lse[r] = m;
            return;
        }
        for (int64_t j = 0; j < s.seqlen_k; ++j)
            l += p[j] = std::exp(scores[j].value - m);
        lse[r] = m + std::log(l);
        const double keep_scale = 1 / (1 - std::round(s.changes.dropout_p * 65536) / 65536);
        const auto keep = [&](int64_t j) { return kept[r * s.seqlen_k + j] ? keep_scale : 0.0; };
        double delta = -c.dlse.at(r);
        for (int64_t j = 0; j < s.seqlen_k; ++j) {
            p[j] /= l;
            for (int64_t d = 0; d < s.head_dim_v && p[j] != 0; ++d) {
                o[r * s.head_dim_v + d] += keep(j) * p[j] * c.v.at(b, kv, j, d);
                dv[((b * s.num_heads_kv + kv) * s.seqlen_k + j) * s.head_dim_v + d] +=
                    keep(j) * p[j] * c.d_o.at(b, h, i, d);
            }
        }
        for (int64_t d = 0; d < s.head_dim_v; ++d)
            delta += c.d_o.at(b, h, i, d) * o[r * s.head_dim_v + d];
        for (int64_t j = 0; j < s.seqlen_k; ++j) {
            if (p[j] == 0) continue;
            double ds = 0;
            for (int64_t d = 0; d < s.head_dim_v; ++d)
                ds += c.d_o.at(b, h, i, d) * c.v.at(b, kv, j, d);
            ds = p[j] * (keep(j) * ds - delta);
            if (s.changes.bias) dbias[c.bias_at(b, h, i, j)] += ds;
            ds *= scores[j].slope;
            for (int64_t d = 0; d < s.head_dim; ++d) {
                dq[r * s.head_dim + d] += ds * c.k.at(b, kv, j, d);
                dk[((b * s.num_heads_kv + kv) * s.seqlen_k + j) * s.head_dim + d] += ds * c.q.at(b, h, i, d);
            }
        }
    }

    Shape s;
    std::vector<double> o, lse, dq, dk, dv, dbias;
    std::vector<uint8_t> kept;
};

} // namespace ck_fmha::test
