#pragma once

// The backward pass on one tile. Included by isa/*.cpp only.

#include "cpu/product.hpp"
#include "cpu/rows_impl.hpp"
#include "cpu/scores_impl.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

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

// What a tile has besides scores: nothing; a mask; any of mask, dropout, softcap and bias.
enum class Extras { none, mask, any };

// P = exp(S - lse), dS = P (dP - delta), for one query and a vector of keys, from Q K^T and dP.
template <class Operand, Extras kExtras>
struct SoftmaxGradient {
    using Real = RealOf<Operand>;
    using Vec = vec<Real>;
    Vec p;  // after dropout
    Vec ds; // of the scores before ScoreChanges

    SoftmaxGradient(const BwdTile<Operand>& t, int q, int lane)
    {
        const int element = q * kTileK + lane;
        Vec s = t.softmax_scale * load(t.s + element), dp = load(t.dp + element), slope{};
        if constexpr (kExtras == Extras::any) {
            const ChangedScores<Real> changed(t.changes, s, element);
            s = changed.s;
            slope = changed.slope;
        }
        p = exp<Real>(s - splat(t.lse[q]));
        if constexpr (kExtras != Extras::none)
            if (t.query_bits) p = select_bits(lane_bits(t.query_bits[q], lane), p, Vec{});
        const Vec before_dropout = p;
        if constexpr (kExtras == Extras::any)
            if (t.keep_bits) {
                const uint32_t bits = lane_bits(t.keep_bits[q], lane);
                p = select_bits(bits, p * t.keep_scale, Vec{});
                dp = select_bits(bits, dp * t.keep_scale, Vec{});
            }
        ds = before_dropout * (dp - splat(t.delta[q]));
        // Of an element that is not attended dP may be anything, NaN as well.
        if constexpr (kExtras != Extras::none)
            if (t.query_bits) ds = select_bits(lane_bits(t.query_bits[q], lane), ds, Vec{});
        if constexpr (kExtras == Extras::any) {
            if (t.dbias) store(t.dbias + element, ds);
            ds *= slope;
        }
    }
};

// Nothing reads the columns past num_k.
template <class Operand, Extras kExtras>
static void differentiate_softmax(const BwdTile<Operand>& t)
{
    using Vec = vec<RealOf<Operand>>;
    using Place = BwdPlaces<Operand>;
    Operand *const p_pairs = t.p, *const ds_rows = t.ds_rows, *const ds_pairs = t.ds;
    const NextRows next[] = {t.next[0], t.next[1], t.next[2], t.next[3]}; // copies, which no store can change
    for (int q = 0; q < t.num_q; q += kPack<Operand>)
        for (int lane = 0; lane < t.num_k; lane += kLanes<RealOf<Operand>>) {
            for (int n = 0; n < kPack<Operand> && !kBringsNear; ++n)
                for (const NextRows& rows : next)
                    LinesAhead(rows, lane / kLanes<RealOf<Operand>>, kTileK / kLanes<RealOf<Operand>>)
                        .bring_near(q + n);
            Vec p[kPack<Operand>] = {}, ds[kPack<Operand>] = {};
            for (int n = 0; n < kPack<Operand> && q + n < t.num_q; ++n) {
                const SoftmaxGradient<Operand, kExtras> gradient(t, q + n, lane);
                p[n] = gradient.p;
                ds[n] = gradient.ds;
            }
            const int element = q / kPack<Operand> * Place::kLdRows + lane;
            store(p_pairs + element, pack(Operand{}, p));
            store(ds_rows + element, pack(Operand{}, ds));
            if constexpr (kPack<Operand> > 1)
                for (int n = 0; n < kPack<Operand>; ++n)
                    store_neighbours(ds_pairs + (q + n) * Place::kLdKeys, lane, ds[n]);
        }
}

template <class Operand>
static void bwd_tile(const BwdTile<Operand>& t)
{
    using Real = RealOf<Operand>;
    const int num_k = round_to_lanes<Real>(t.num_k);
    RowsAhead ahead[] = {RowsAhead(t.next[0]), RowsAhead(t.next[1]), RowsAhead(t.next[2]), RowsAhead(t.next[3])};
    // Q K^T, dP = dO V^T
    Product<Operand> s{t.q, t.ld_q, t.k_t, kTileK, t.s, kTileK, packed<Operand>(t.head_dim)};
    s.ahead = &ahead[0];
    product<Operand, ALayout::rows, Init::zero>(t.num_q, num_k, s);
    Product<Operand> dp{t.d_o, t.ld_do, t.v_t, kTileK, t.dp, kTileK, packed<Operand>(t.head_dim_v)};
    dp.ahead = &ahead[1];
    product<Operand, ALayout::rows, Init::zero>(t.num_q, num_k, dp);
    // P and dS
    if (t.keep_bits || t.dbias || t.changes.any())
        differentiate_softmax<Operand, Extras::any>(t);
    else if (t.query_bits)
        differentiate_softmax<Operand, Extras::mask>(t);
    else
        differentiate_softmax<Operand, Extras::none>(t);
    // dV += P^T dO, dK += scale dS^T Q, dQ = scale dS K
    constexpr int kLdRows = BwdPlaces<Operand>::kLdRows, kLdKeys = BwdPlaces<Operand>::kLdKeys;
    const int d = round_to_lanes<Real>(t.head_dim), dv = round_to_lanes<Real>(t.head_dim_v);
    const int ld = padded_head_dim(t.head_dim), ld_dv = padded_head_dim(t.head_dim_v);
    const int num_q = packed<Operand>(t.num_q);
    if (t.dv) {
        Product<Operand> p{t.p, kLdRows, t.d_o_rows, t.ld_do_rows, t.dv, ld_dv, num_q};
        p.ahead = &ahead[2];
        product<Operand, ALayout::cols, Init::add>(t.num_k, dv, p);
    }
    if (t.dk) {
        Product<Operand> p{t.ds_rows, kLdRows, t.q_rows, t.ld_q_rows, t.dk, ld, num_q, t.softmax_scale};
        p.ahead = &ahead[3];
        product<Operand, ALayout::cols, Init::add>(t.num_k, d, p);
    }
    if (t.dq)
        product<Operand, ALayout::rows, Init::zero>(
            t.num_q, d, {t.ds, kLdKeys, t.k, t.ld_k, t.dq, ld, packed<Operand>(t.num_k), t.softmax_scale});
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
