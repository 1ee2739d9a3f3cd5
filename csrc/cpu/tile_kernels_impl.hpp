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
// formed with the m of the tiles before; where softcap or bias change the scores it leaves S, for a Y from which m is
// subtracted later would have been rounded at the size of the bias.
template <class Real>
static constexpr Real kLag = 8;

// Does the product leave S? Also where scale log2 e is no number any more.
template <class Operand>
static inline bool leaves_scores(const FwdTile<Operand>& t)
{
    return t.changes.any() || __builtin_isinf(t.softmax_scale * ExpConstants<RealOf<Operand>>::kLog2E);
}

template <class Real>
static inline vec<Real> finite_or_zero(vec<Real> m)
{
    return m == splat(-kInfinity<Real>) ? vec<Real>{} : m;
}

// Row maxima of Y for kN vectors of queries, one query a lane; softcap, bias and mask applied in place. (The maxima of
// one vector wait for each other: hence several.)
template <class Operand, int kN, class Real = RealOf<Operand>>
static void change_and_max(const FwdTile<Operand>& t, int lane, const Real* m, vec<Real> (&largest)[kN])
{
    const bool changed = leaves_scores(t);
    for (vec<Real>& y : largest)
        y = splat(-kInfinity<Real>);
    if (!t.key_bits && !changed) {
        for (int k = 0; k < t.num_k; ++k)
#pragma GCC unroll 8
            for (int n = 0; n < kN; ++n)
                largest[n] = max_or_second(load(t.s_t + k * kTileQ + lane + n * kLanes<Real>), largest[n]);
        return;
    }
    for (int k = 0; k < t.num_k; ++k)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n) {
            const int at = lane + n * kLanes<Real>, element = k * kTileQ + at;
            vec<Real> s = load(t.s_t + element);
            if (changed) s = ChangedScores<Real>(t.changes, s, element).s;
            if (t.key_bits) s = select_bits(lane_bits(t.key_bits[k], at), s, splat(-kInfinity<Real>));
            store(t.s_t + element, s);
            largest[n] = max_or_second(s, largest[n]);
        }
    for (int n = 0; n < kN && changed; ++n)
        largest[n] = largest[n] * ExpConstants<Real>::kLog2E - load(m + lane + n * kLanes<Real>);
}

// P = 2^(unit x - shift), x being Y or S, in place of x, as operands; returns the sums over keys. kPlain: the exponent
// is x. What dropout drops counts in the sums only.
template <class Operand, bool kPlain, class Real = RealOf<Operand>>
static vec<Real> exponentiate(const FwdTile<Operand>& t, int lane, Real unit, vec<Real> shift)
{
    vec<Real> sum{};
    for (int k = 0; k < t.num_k; k += kPack<Operand>) {
        Real* x = t.s_t + k * kTileQ + lane;
        vec<Real> p[kPack<Operand>] = {};
        for (int n = 0; n < kPack<Operand> && k + n < t.num_k; ++n) {
            const vec<Real> y = load(x + n * kTileQ);
            p[n] = exp2<Real>(kPlain ? y : y * unit - shift);
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
static bool softmax(const FwdTile<Operand>& t, int lane, const RealOf<Operand>* m, RealOf<Operand>* alpha)
{
    using Real = RealOf<Operand>;
    using Vec = vec<Real>;
    Vec largest[kN];
    change_and_max<Operand, kN>(t, lane, m, largest);
    bool rescale = false;
    for (int n = 0; n < kN; ++n, lane += kLanes<Real>) {
        const Vec m_used = load(m + lane), none = splat(-kInfinity<Real>);
        const Vec m_old = t.first ? none : load(t.state.m + lane);
        // A row without any attended key so far has m = -inf, and 0 stands in for it: 2^Y is then 0, not NaN.
        const Vec m_raised = m_old == none || largest[n] > splat(kLag<Real>) ? m_used + largest[n] : m_old;
        const Vec m_now = finite_or_zero<Real>(m_raised), growth = m_now - m_used;
        const Vec a = m_old == none ? Vec{} : exp2<Real>(-growth);
        const Vec l_old = t.first ? Vec{} : load(t.state.l + lane);
        const Vec sum = leaves_scores(t) ? exponentiate<Operand, false>(t, lane, ExpConstants<Real>::kLog2E, m_now)
                        : all_equal(growth, Vec{}) ? exponentiate<Operand, true>(t, lane, Real(1), growth)
                                                   : exponentiate<Operand, false>(t, lane, Real(1), growth);
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

    // Y^T = scale log2 e K Q^T - m, or S^T = scale K Q^T where something changes the scores
    Product<Operand> s{t.k,
                       t.ld_k,
                       t.q_t,
                       kTileQ,
                       t.s_t,
                       kTileQ,
                       packed<Operand>(t.head_dim),
                       t.softmax_scale * ExpConstants<Real>::kLog2E,
                       m};
    if (leaves_scores(t)) {
        s.scale = t.softmax_scale;
        product<Operand, ALayout::rows, Init::zero>(t.num_k, num_q, s);
    } else {
        product<Operand, ALayout::rows, Init::subtract>(t.num_k, num_q, s);
    }
    // m, l, P^T
    bool rescale = false;
    int lane = 0;
    for (; lane + kBlockN * kLanes<Real> <= num_q; lane += kBlockN * kLanes<Real>)
        rescale |= softmax<Operand, kBlockN>(t, lane, m, alpha);
    for (; lane < num_q; lane += kLanes<Real>)
        rescale |= softmax<Operand, 1>(t, lane, m, alpha);
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
static void fwd_merge(const FwdState<Real>& into, const FwdState<Real>& from, int head_dim_v)
{
    using Vec = vec<Real>;
    for (int lane = 0; lane < kTileQ; lane += kLanes<Real>) {
        const Vec m_a = load(into.m + lane), m_b = load(from.m + lane);
        const Vec m = max_or_second(m_a, m_b);
        const Vec m_finite = finite_or_zero<Real>(m);
        const Vec a = exp2<Real>(m_a - m_finite), b = exp2<Real>(m_b - m_finite);
        store(into.m + lane, m);
        store(into.l + lane, a * load(into.l + lane) + b * load(from.l + lane));
        for (int d = 0; d < head_dim_v; ++d) {
            Real* o = into.o_t + d * kTileQ + lane;
            store(o, a * load(o) + b * load(from.o_t + d * kTileQ + lane));
        }
    }
}

template <class Real>
static void fwd_finish(const FwdState<Real>& s, int num_q, int head_dim_v, Real keep_scale, Real* o, ptrdiff_t ld_o,
                       Real* lse)
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
        const double m = s.m[q] * kLn2;
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
