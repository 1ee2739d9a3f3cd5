#pragma once

// The forward pass on one tile, and on states of rows of tiles. Included by isa/*.cpp only.

#include <type_traits>

#include "cpu/product.hpp"
#include "cpu/rows_impl.hpp"
#include "cpu/scores_impl.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

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

// How the scores follow from the sums over head_dim: scale * sum - m, per query. The product forms them where it has
// what it sums in vectors (kFormsScores), else the first pass over them does.
template <class Real>
struct FromSums {
    Real scale;
    const Real* m;
};

template <class Real>
static inline vec<Real> finite_or_zero(vec<Real> m)
{
    return m == splat(-kInfinity<Real>) ? vec<Real>{} : m;
}

// The mask bits of a tile beside the lanes of S^T, a query a lane: bit k % kBits of words[k / kBits][query] is key k's.
template <class Real>
struct AttendedKeys {
    using Word = std::conditional_t<sizeof(Real) == sizeof(uint32_t), uint32_t, uint64_t>;
    static constexpr int kBits = 8 * sizeof(Word);
    alignas(64) Word words[kTileK / kBits][kTileQ];

    explicit AttendedKeys(const bits_t* query_bits)
    {
        for (int part = 0; query_bits && part < kTileK / kBits; ++part)
            for (int q = 0; q < kTileQ; ++q)
                words[part][q] = static_cast<Word>(query_bits[q] >> part * kBits);
    }
    vec<Real> select(int k, int lane, vec<Real> x, vec<Real> otherwise) const
    {
        return select_bit(load(words[k / kBits] + lane), k % kBits, x, otherwise);
    }
};

// Row maxima of the scores that `from` tells how to form, for kN vectors of queries, one query a lane; softcap, bias
// and mask applied in place. (The maxima of one vector wait for each other: hence several.)
template <class Operand, int kN, class Real = RealOf<Operand>>
static void change_and_max(const FwdTile<Operand>& t, const FromSums<Real>& from, const AttendedKeys<Real>& attended,
                           int lane, vec<Real> (&largest)[kN])
{
    vec<Real> m[kN];
    for (int n = 0; n < kN; ++n) {
        largest[n] = splat(-kInfinity<Real>);
        m[n] = load(from.m + lane + n * kLanes<Real>);
    }
    // Copies, which no store can change: the loops are compiled for each case.
    Real* const s_t = t.s_t + lane;
    const ScoreChanges<Real> changes = t.changes;
    const bool changed = changes.any(), masked = t.query_bits;
    const int num_k = t.num_k;
    for (int k = 0; !changed && !masked && k < num_k; ++k)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n) {
            Real* const at = s_t + k * kTileQ + n * kLanes<Real>;
            vec<Real> s = load(at);
            if constexpr (!kFormsScores) store(at, s = from.scale * s - m[n]);
            largest[n] = max_or_second(s, largest[n]);
        }
    for (int k = 0; (changed || masked) && k < num_k; ++k)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n) {
            const int at = n * kLanes<Real>, element = k * kTileQ + at;
            vec<Real> s = load(s_t + element);
            if constexpr (!kFormsScores) s = from.scale * s - m[n];
            if (changed) s = ChangedScores<Real>(changes, s, element + lane).s;
            if (masked) s = attended.select(k, lane + at, s, splat(-kInfinity<Real>));
            store(s_t + element, s);
            largest[n] = max_or_second(s, largest[n]);
        }
}

// How P follows from x, which lies in its place: 2^x, 2^(x - shift), exp(x - shift).
enum class Exponent { as_it_is, shifted, natural };

// P of x, as operands; returns the sums over keys. What dropout drops counts in the sums only.
template <class Operand, Exponent kExponent, class Real = RealOf<Operand>>
static vec<Real> exponentiate(const FwdTile<Operand>& t, int lane, vec<Real> shift)
{
    vec<Real> sum{};
    // Copies, which no store can change.
    const int part = lane / kLanes<Real>, parts = kTileQ / kLanes<Real>;
    const LinesAhead ahead[] = {{t.next[0], part, parts}, {t.next[1], part, parts}};
    const Real* const x = t.s_t + lane;
    Operand* const p_t = t.p_t + lane;
    const bits_t* const keep_bits = t.keep_bits;
    const int num_k = t.num_k;
    for (int k = 0; k < num_k; k += kPack<Operand>) {
        for (int n = 0; n < kPack<Operand> && !kBringsNear; ++n)
            for (const LinesAhead& lines : ahead)
                lines.bring_near(k + n);
        vec<Real> p[kPack<Operand>] = {};
        for (int n = 0; n < kPack<Operand> && k + n < num_k; ++n) {
            vec<Real> y = load(x + (k + n) * kTileQ);
            if constexpr (kExponent != Exponent::as_it_is) y -= shift;
            p[n] = kExponent == Exponent::natural ? exp<Real>(y) : exp2<Real>(y);
            sum += p[n];
            if (keep_bits) p[n] = select_bits(lane_bits(keep_bits[k + n], lane), p[n], vec<Real>{});
        }
        store(p_t + k / kPack<Operand> * kLdP<Operand>, pack(Operand{}, p));
    }
    return sum;
}

// m, l, and P^T of Y^T or S^T, for kN vectors of queries; `m` is what Y was formed with, `maxima` those of Y or S where
// the product left the scores as they shall be (else null), alpha what was summed so far is to be multiplied with. Is
// any alpha not 1?
template <class Operand, int kN>
static bool softmax(const FwdTile<Operand>& t, const FromSums<RealOf<Operand>>& from,
                    const AttendedKeys<RealOf<Operand>>& attended, Scores scores, int lane, const RealOf<Operand>* m,
                    const RealOf<Operand>* maxima, RealOf<Operand>* alpha)
{
    using Real = RealOf<Operand>;
    using Vec = vec<Real>;
    Vec largest[kN];
    if (maxima)
        for (int n = 0; n < kN; ++n)
            largest[n] = load(maxima + lane + n * kLanes<Real>);
    else
        change_and_max<Operand, kN>(t, from, attended, lane, largest);
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
    const Scores scores = scores_of(t, m, num_q);
    const Real zero[kTileQ] = {};
    const FromSums<Real> from{scores == Scores::natural ? t.softmax_scale
                                                        : t.softmax_scale * ExpConstants<Real>::kLog2E,
                              scores == Scores::minus_m ? m : zero};
    Product<Operand> s{t.k, t.ld_k, t.q_t, kTileQ, t.s_t, kTileQ, packed<Operand>(t.head_dim)};
    RowsAhead ahead_of_k(t.next[0]), ahead_of_v(t.next[1]);
    s.ahead = &ahead_of_k;
    alignas(64) Real maxima[kTileQ];
    for (int lane = 0; lane < num_q; lane += kLanes<Real>)
        store(maxima + lane, splat(-kInfinity<Real>));
    const bool has_maxima = kFormsScores && !t.query_bits && !t.changes.any();
    if constexpr (kFormsScores) {
        s.scale = from.scale;
        s.per_column = from.m;
        s.maxima = maxima;
        product<Operand, ALayout::rows, Init::subtract, ColumnMaxima::raised>(t.num_k, num_q, s);
    } else {
        product<Operand, ALayout::rows, Init::zero>(t.num_k, num_q, s);
    }
    // m, l, P^T
    const AttendedKeys<Real> attended(t.query_bits);
    bool rescale = false;
    int lane = 0;
    for (; lane + kBlockN * kLanes<Real> <= num_q; lane += kBlockN * kLanes<Real>)
        rescale |= softmax<Operand, kBlockN>(t, from, attended, scores, lane, m, has_maxima ? maxima : nullptr, alpha);
    for (; lane < num_q; lane += kLanes<Real>)
        rescale |= softmax<Operand, 1>(t, from, attended, scores, lane, m, has_maxima ? maxima : nullptr, alpha);
    // O^T = alpha O^T + V^T P^T
    constexpr ALayout kOfV = kPack<Operand> == 1 ? ALayout::cols : ALayout::rows;
    const Product<Operand> o{t.v, t.ld_v, t.p_t,      kLdP<Operand>, t.state.o_t, kTileQ, packed<Operand>(t.num_k),
                             1,   alpha,  &ahead_of_v};
    if (t.first)
        product<Operand, kOfV, Init::zero>(t.head_dim_v, num_q, o);
    else if (rescale)
        product<Operand, kOfV, Init::rescale>(t.head_dim_v, num_q, o);
    else
        product<Operand, kOfV, Init::add>(t.head_dim_v, num_q, o);
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

} // namespace ck_fmha::cpu::CK_FMHA_ISA
