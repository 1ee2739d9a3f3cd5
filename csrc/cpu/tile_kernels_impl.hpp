#pragma once

// The tile functions of tile_kernels.hpp for the instruction set CK_FMHA_ISA: the algorithm on one tile. Included by
// isa/*.cpp only.

#include "cpu/elementary.hpp"
#include "cpu/product.hpp"
#include "cpu/rows_impl.hpp"
#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

template <class Real>
static constexpr Real kInfinity = static_cast<Real>(__builtin_inff());

static inline uint32_t lane_bits(bits_t bits, int lane) { return static_cast<uint32_t>(bits >> lane); }

// A vector of scores after softcap and bias, and what the derivative of the former multiplies.
template <class Real>
struct ChangedScores {
    vec<Real> s;
    vec<Real> slope; // 1 - tanh(S / softcap)^2

    ChangedScores(const ScoreChanges<Real>& changes, vec<Real> scores, int element) : s(scores), slope(splat(Real(1)))
    {
        if (changes.softcap != 0) {
            const Tanh<Real> t(s / changes.softcap);
            s = changes.softcap * t.value;
            slope = t.derivative;
        }
        if (changes.bias) s += load(changes.bias + element);
    }
};

// The online softmax works with powers of two: P = 2^Y with Y = S log2 e - m, and m follows the maxima of S log2 e only
// where these exceed it by more than kLag. So P is at most 2^kLag, which no sum minds, and after the first tiles of a
// row m hardly ever changes: nothing is subtracted again, nothing is rescaled. The product leaves Y in place of S^T,
// formed with the m of the tiles before.
//
// Where softcap or bias change the scores, m and S keep their natural unit and m is the maximum: P = exp(S - m), exact
// for any bias.
template <class Real>
static constexpr Real kLag = 8;

// From here on m is rounded by as much as a power of two that matters: scores that large are rounded before m, which is
// one of them, is subtracted.
template <class Real>
static constexpr Real kLarge = Real(1 << 20);

// What the product leaves: Y; S log2 e; S.
enum class Scores { minus_m, times_log2e, natural };

template <class Operand, class Real = RealOf<Operand>>
static Scores scores_of(const FwdTile<Operand>& t, const Real* m, int num_q)
{
    if (t.natural_scores) return Scores::natural;
    for (int q = 0; q < num_q; ++q)
        if (m[q] > kLarge<Real> || m[q] < -kLarge<Real>) return Scores::times_log2e;
    return Scores::minus_m;
}

template <class Real>
static inline vec<Real> finite_or_zero(vec<Real> m)
{
    return m == splat(-kInfinity<Real>) ? vec<Real>{} : m;
}

// Row maxima of what the product left, for kN vectors of queries, one query a lane; softcap, bias and mask applied in
// place. (The maxima of one vector wait for each other: hence several.)
template <class Operand, int kN, class Real = RealOf<Operand>>
static void change_and_max(const FwdTile<Operand>& t, int lane, vec<Real> (&largest)[kN])
{
    for (vec<Real>& s : largest)
        s = splat(-kInfinity<Real>);
    const bool plain = !t.key_bits && !t.changes.any();
    for (int k = 0; plain && k < t.num_k; ++k)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n)
            largest[n] = max_or_second(load(t.s_t + k * kTileQ + lane + n * kLanes<Real>), largest[n]);
    for (int k = 0; !plain && k < t.num_k; ++k)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n) {
            const int at = lane + n * kLanes<Real>, element = k * kTileQ + at;
            vec<Real> s = load(t.s_t + element);
            if (t.changes.any()) s = ChangedScores<Real>(t.changes, s, element).s;
            if (t.key_bits) s = select_bits(lane_bits(t.key_bits[k], at), s, splat(-kInfinity<Real>));
            store(t.s_t + element, s);
            largest[n] = max_or_second(s, largest[n]);
        }
}

// How P follows from x, which lies in its place: 2^x, 2^(x - shift), exp(x - shift).
enum class Exponent { as_it_is, shifted, natural };

// P in place of x, as operands; returns the sums over keys. What dropout drops counts in the sums only.
template <class Operand, Exponent kExponent, class Real = RealOf<Operand>>
static vec<Real> exponentiate(const FwdTile<Operand>& t, int lane, vec<Real> shift)
{
    vec<Real> sum{};
    for (int k = 0; k < t.num_k; k += kPack<Operand>) {
        Real* x = t.s_t + k * kTileQ + lane;
        vec<Real> p[kPack<Operand>] = {};
        for (int n = 0; n < kPack<Operand> && k + n < t.num_k; ++n) {
            vec<Real> y = load(x + n * kTileQ);
            if constexpr (kExponent != Exponent::as_it_is) y -= shift;
            p[n] = kExponent == Exponent::natural ? exp<Real>(y) : exp2<Real>(y);
            sum += p[n];
            if (t.keep_bits) p[n] = select_bits(lane_bits(t.keep_bits[k + n], lane), p[n], vec<Real>{});
        }
        store(reinterpret_cast<Operand*>(x), pack(p));
    }
    return sum;
}

// m, l, and P^T in place of Y^T or S^T, for kN vectors of queries; `m` is what Y was formed with, alpha what was summed
// so far is to be multiplied with. Is any alpha not 1?
template <class Operand, int kN>
static bool softmax(const FwdTile<Operand>& t, Scores scores, int lane, const RealOf<Operand>* m,
                    RealOf<Operand>* alpha)
{
    using Real = RealOf<Operand>;
    using Vec = vec<Real>;
    Vec largest[kN];
    change_and_max<Operand, kN>(t, lane, largest);
    bool rescale = false;
    for (int n = 0; n < kN; ++n, lane += kLanes<Real>) {
        const Vec m_used = load(m + lane), none = splat(-kInfinity<Real>);
        const Vec m_old = t.first ? none : load(t.state.m + lane);
        // A row without any attended key so far has m = -inf, and 0 stands in for it: 2^Y is then 0, not NaN.
        const bool minus_m = scores == Scores::minus_m;
        const Vec above_m = minus_m ? largest[n] : largest[n] - m_used;
        const Vec maximum = minus_m ? largest[n] + m_used : largest[n];
        const Vec lag = scores == Scores::natural ? Vec{} : splat(kLag<Real>);
        const Vec m_raised = m_old == none || above_m > lag ? maximum : m_old;
        const Vec m_now = finite_or_zero<Real>(m_raised), growth = m_now - m_used;
        Vec a, sum;
        if (scores == Scores::natural) {
            a = exp<Real>(-growth);
            sum = exponentiate<Operand, Exponent::natural>(t, lane, m_now);
        } else {
            a = exp2<Real>(-growth);
            if (minus_m && all_equal(growth, Vec{}))
                sum = exponentiate<Operand, Exponent::as_it_is>(t, lane, growth);
            else
                sum = exponentiate<Operand, Exponent::shifted>(t, lane, minus_m ? growth : m_now);
        }
        a = m_old == none ? Vec{} : a;
        const Vec l_old = t.first ? Vec{} : load(t.state.l + lane);
        store(t.state.m + lane, m_raised);
        store(t.state.l + lane, a * l_old + sum);
        store(alpha + lane, a);
        rescale = rescale || !all_equal(a, splat(Real(1)));
    }
    return rescale;
}

template <class Operand>
static void fwd_tile(const FwdTile<Operand>& t)
{
    using Real = RealOf<Operand>;
    const int num_q = round_to_lanes<Real>(t.num_q);
    alignas(64) Real m[kTileQ] = {}, alpha[kTileQ];
    for (int lane = 0; lane < num_q && !t.first; lane += kLanes<Real>)
        store(m + lane, finite_or_zero<Real>(load(t.state.m + lane)));

    // Y^T = scale log2 e K Q^T - m, or the scores alone
    Product<Operand> s{t.k,
                       t.ld_k,
                       t.q_t,
                       kTileQ,
                       t.s_t,
                       kTileQ,
                       packed<Operand>(t.head_dim),
                       t.softmax_scale * ExpConstants<Real>::kLog2E,
                       m};
    const Scores scores = scores_of(t, m, num_q);
    if (scores == Scores::natural) s.scale = t.softmax_scale;
    if (scores == Scores::minus_m)
        product<Operand, ALayout::rows, Init::subtract>(t.num_k, num_q, s);
    else
        product<Operand, ALayout::rows, Init::zero>(t.num_k, num_q, s);
    // m, l, P^T
    bool rescale = false;
    int lane = 0;
    for (; lane + kBlockN * kLanes<Real> <= num_q; lane += kBlockN * kLanes<Real>)
        rescale |= softmax<Operand, kBlockN>(t, scores, lane, m, alpha);
    for (; lane < num_q; lane += kLanes<Real>)
        rescale |= softmax<Operand, 1>(t, scores, lane, m, alpha);
    // O^T = alpha O^T + V^T P^T
    const auto* p_t = reinterpret_cast<const Operand*>(t.s_t);
    const Product<Operand> o{t.v, t.ld_v, p_t, kPack<Operand> * kTileQ, t.state.o_t, kTileQ, packed<Operand>(t.num_k),
                             1,   alpha};
    if (t.first)
        product<Operand, ALayout::cols, Init::zero>(t.head_dim_v, num_q, o);
    else if (rescale)
        product<Operand, ALayout::cols, Init::rescale>(t.head_dim_v, num_q, o);
    else
        product<Operand, ALayout::cols, Init::add>(t.head_dim_v, num_q, o);
}

template <class Real>
static void fwd_merge(const FwdState<Real>& into, const FwdState<Real>& from, int head_dim_v, bool natural_scores)
{
    using Vec = vec<Real>;
    for (int lane = 0; lane < kTileQ; lane += kLanes<Real>) {
        const Vec m_a = load(into.m + lane), m_b = load(from.m + lane);
        const Vec m = max_or_second(m_a, m_b);
        const Vec m_finite = finite_or_zero<Real>(m);
        const Real unit = natural_scores ? ExpConstants<Real>::kLog2E : Real(1);
        const Vec a = power_of_two<Real>(m_a - m_finite, unit), b = power_of_two<Real>(m_b - m_finite, unit);
        store(into.m + lane, m);
        store(into.l + lane, a * load(into.l + lane) + b * load(from.l + lane));
        for (int d = 0; d < head_dim_v; ++d) {
            Real* o = into.o_t + d * kTileQ + lane;
            store(o, a * load(o) + b * load(from.o_t + d * kTileQ + lane));
        }
    }
}

template <class Real>
static void fwd_finish(const FwdState<Real>& s, int num_q, int head_dim_v, bool natural_scores, Real keep_scale,
                       Real* o, ptrdiff_t ld_o, Real* lse)
{
    using Vec = vec<Real>;
    for (int lane = 0; lane < round_to_lanes<Real>(num_q); lane += kLanes<Real>) {
        const Vec l = load(s.l + lane);
        const Vec factor = keep_scale / l;
        for (int d = 0; d < head_dim_v; ++d) {
            Real* o_t = s.o_t + d * kTileQ + lane;
            // Chosen, not multiplied by zero: O^T of an empty row is NaN where V is infinite.
            store(o_t, l == Vec{} ? Vec{} : load(o_t) * factor);
        }
    }
    transpose_tile(s.o_t, kTileQ, head_dim_v, num_q, o, ld_o);
    constexpr double kLn2 = 0x1.62e42fefa39efp-1;
    for (int q = 0; q < num_q; ++q) {
        const double m = natural_scores ? s.m[q] : s.m[q] * kLn2;
        if constexpr (sizeof(Real) == sizeof(float))
            lse[q] = s.l[q] == 0 ? -kInfinity<Real> : static_cast<float>(m + __builtin_logf(s.l[q]));
        else
            lse[q] = s.l[q] == 0 ? -kInfinity<Real> : m + __builtin_log(s.l[q]);
    }
}

template <class Real>
static void bwd_delta(const Real* d_o, ptrdiff_t ld_do, const Real* o, ptrdiff_t ld_o, const Real* d_lse, int rows,
                      int head_dim_v, Real* delta)
{
    for (int r = 0; r < rows; ++r) {
        vec<Real> sums{};
        for (int d = 0; d < head_dim_v; d += kLanes<Real>)
            sums += load(d_o + r * ld_do + d) * load(o + r * ld_o + d);
        Real sum = 0;
        for (int lane = 0; lane < kLanes<Real>; ++lane)
            sum += sums[lane];
        delta[r] = sum - (d_lse ? d_lse[r] : 0);
    }
}

// P = exp(S - lse), dS = P (dP - delta), for one query and a vector of keys, from S and dP. kPlain: no mask, dropout,
// softcap or bias.
template <class Operand, bool kPlain>
struct SoftmaxGradient {
    using Real = RealOf<Operand>;
    using Vec = vec<Real>;
    Vec p;  // after dropout
    Vec ds; // of the scores before ScoreChanges

    SoftmaxGradient(const BwdTile<Operand>& t, int q, int lane)
    {
        const int element = q * kTileK + lane;
        Vec s = load(t.p + element), dp = load(t.ds + element), slope{};
        if constexpr (!kPlain) {
            const ChangedScores<Real> changed(t.changes, s, element);
            s = changed.s;
            slope = changed.slope;
        }
        p = exp<Real>(s - splat(t.lse[q]));
        if constexpr (!kPlain)
            if (t.query_bits) p = select_bits(lane_bits(t.query_bits[q], lane), p, Vec{});
        const Vec before_dropout = p;
        if constexpr (!kPlain)
            if (t.keep_bits) {
                const uint32_t bits = lane_bits(t.keep_bits[q], lane);
                p = select_bits(bits, p * t.keep_scale, Vec{});
                dp = select_bits(bits, dp * t.keep_scale, Vec{});
            }
        ds = before_dropout * (dp - splat(t.delta[q]));
        if constexpr (!kPlain) {
            // Of an element that is not attended dP may be anything, NaN as well.
            if (t.query_bits) ds = select_bits(lane_bits(t.query_bits[q], lane), ds, Vec{});
            if (t.dbias) store(t.dbias + element, ds);
            ds *= slope;
        }
    }
};

// P and dS of a tile as operands. dS enters two products: one sums over queries (ds_rows), one over keys (ds).
template <class Operand>
struct BwdOperands {
    // All of it takes the place of S and dP. Pairs of queries need half of it: those of dS lie in the odd rows of P.
    explicit BwdOperands(const BwdTile<Operand>& t)
        : p(reinterpret_cast<Operand*>(t.p)),
          ds(reinterpret_cast<Operand*>(t.ds)),
          ds_rows(kPack<Operand> == 1 ? ds : p + kTileK)
    {
    }
    static constexpr int kLdRows = kPack<Operand> * kTileK;

    Operand *p, *ds, *ds_rows; // (packed queries, kTileK) with kLdRows, (queries, packed kTileK) with kTileK, as p
};

// Nothing reads the columns past num_k.
template <class Operand, bool kPlain>
static void differentiate_softmax(const BwdTile<Operand>& t)
{
    using Vec = vec<RealOf<Operand>>;
    const BwdOperands<Operand> out(t);
    for (int q = 0; q < t.num_q; q += kPack<Operand>)
        for (int lane = 0; lane < t.num_k; lane += kLanes<Operand>) {
            Vec p[kPack<Operand>] = {}, ds[kPack<Operand>] = {};
            for (int n = 0; n < kPack<Operand> && q + n < t.num_q; ++n) {
                const SoftmaxGradient<Operand, kPlain> gradient(t, q + n, lane);
                p[n] = gradient.p;
                ds[n] = gradient.ds;
            }
            const int element = q * kTileK + lane;
            store(out.p + element, pack(p));
            store(out.ds_rows + element, pack(ds));
            if constexpr (kPack<Operand> > 1)
                for (int n = 0; n < kPack<Operand>; ++n)
                    store_rounded(out.ds + (q + n) * kTileK + lane / kPack<Operand>, ds[n]);
        }
}

template <class Operand>
static void bwd_tile(const BwdTile<Operand>& t)
{
    using Real = RealOf<Operand>;
    const int num_k = round_to_lanes<Real>(t.num_k);
    // S = scale Q K^T, dP = dO V^T
    product<Operand, ALayout::rows, Init::zero>(
        t.num_q, num_k, {t.q, t.ld_q, t.k_t, kTileK, t.p, kTileK, packed<Operand>(t.head_dim), t.softmax_scale});
    product<Operand, ALayout::rows, Init::zero>(
        t.num_q, num_k, {t.d_o, t.ld_do, t.v_t, kTileK, t.ds, kTileK, packed<Operand>(t.head_dim_v)});
    // P and dS
    const bool plain = !t.query_bits && !t.keep_bits && !t.dbias && !t.changes.any();
    plain ? differentiate_softmax<Operand, true>(t) : differentiate_softmax<Operand, false>(t);
    // dV += P^T dO, dK += scale dS^T Q, dQ = scale dS K
    const BwdOperands<Operand> x(t);
    const int d = round_to_lanes<Real>(t.head_dim), dv = round_to_lanes<Real>(t.head_dim_v);
    const int ld = padded_head_dim(t.head_dim), ld_dv = padded_head_dim(t.head_dim_v);
    const int num_q = packed<Operand>(t.num_q);
    if (t.dv)
        product<Operand, ALayout::cols, Init::add>(t.num_k, dv,
                                                   {x.p, x.kLdRows, t.d_o_rows, t.ld_do_rows, t.dv, ld_dv, num_q});
    if (t.dk)
        product<Operand, ALayout::cols, Init::add>(
            t.num_k, d, {x.ds_rows, x.kLdRows, t.q_rows, t.ld_q_rows, t.dk, ld, num_q, t.softmax_scale});
    if (t.dq)
        product<Operand, ALayout::rows, Init::zero>(
            t.num_q, d, {x.ds, kTileK, t.k, t.ld_k, t.dq, ld, packed<Operand>(t.num_k), t.softmax_scale});
}

template <class Real>
static constexpr TileKernels<Real> make_tile_kernels()
{
    TileKernels<Real> t{};
    t.load_rows[0] = load_rows<Real, float>; // the order of enum ck_fmha_dtype
    t.store_rows[0] = store_rows<Real, float>;
    if constexpr (sizeof(Real) == sizeof(float)) {
        t.load_rows[1] = load_rows<Real, Bfloat16>;
        t.load_rows[2] = load_rows<Real, Float16>;
        t.store_rows[1] = store_rows<Real, Bfloat16>;
        t.store_rows[2] = store_rows<Real, Float16>;
    } else {
        t.load_rows[3] = load_rows<Real, double>;
        t.store_rows[3] = store_rows<Real, double>;
    }
    t.transpose = transpose<Real>;
    t.add_rows = add_rows<Real>;
    t.add_alibi = add_alibi<Real>;
    t.fwd_tile = fwd_tile<Real>;
    t.fwd_merge = fwd_merge<Real>;
    t.fwd_finish = fwd_finish<Real>;
    t.bwd_delta = bwd_delta<Real>;
    t.bwd_tile = bwd_tile<Real>;
    return t;
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
