#pragma once

#include "gpu/pipeline/banded_columns.hpp"
#include "gpu/pipeline/bwd_policy.hpp"
#include "gpu/pipeline/live_tiles.hpp"
#include "gpu/pipeline/score_extras.hpp"

// The backward of one work-group: K and V of a column of tiles at hand, Q and dO through shared memory. It walks the
// live tiles of its column:
//
//     while this tile is computed, the next live tile's loads are in flight
//
//     for each live tile I:    S  = Q_I K^T                             the waves of a band: its 32 keys
//                              P  = 2^(scale S - LSE), 0 where not attended
//                              dP = dO_I V^T               P and dP: 0 where dropped
//                              dS = P (dP - delta)         the gradient of a bias; times the slope of a softcap
//                              dV += P^T dO_I
//                              dK += dS^T Q_I
//                              dQ_I += dS K, if it `kAddsDq`            a wave: some dimensions, all keys
//
// dK and dQ lack the factor `scale`, and with it those of Element::kGradientExponent.

namespace ck_fmha::gpu {

template <class Traits, class Policy = BwdPolicy<Traits>>
class BwdPipelineDqDkDv {
public:
    using Wave = typename Policy::Wave;
    using Mask =
        BandedColumns<typename Traits::Mask, Wave::kKeys, Traits::kBands, Traits::kTileQ, Wave::kThreadsPerWave>;
    using Tiles = LiveTiles<Mask, true, Policy::kBandsTogether>;
    using Extras = ScoreExtras<Traits, BwdArgs>;
    using QueryTiles = typename Policy::QueryTiles;
    using Exchange = typename Wave::Exchange;

    struct Tensors {
        RowsInMemory q, k, v, d_o;
        const Float2* statistics; // of each query: LSE, -delta
        RowsInMemory dq;          // float32
    };
    struct Result {
        typename Wave::Gradients dk, dv;
    };

    CK_FMHA_DEVICE static Result run(const Tensors& t, Tiles tiles, const Mask& mask, const Extras& extras)
    {
        constexpr index_t kColumn = QueryTiles::kBytes + Exchange::kBytes;
        const SharedMemory shared = SharedMemory::allocate<kColumn + 2 * Wave::kColumnBytes>();
        const Exchange exchange(shared + QueryTiles::kBytes);

        Result result = {};
        auto walk = tiles.walk();
        if (walk.at_end()) return result;
        const auto k = Wave::load_keys(t.k, mask.row(), mask.band(), shared + kColumn);
        const auto v = Wave::load_keys(t.v, mask.row(), mask.band(), shared + (kColumn + Wave::kColumnBytes));
        const typename Wave::QueryGradients dq(k, t, mask.row(), shared, exchange);

        QueryTiles queries(shared, t.q, t.d_o, t.statistics);
        const auto load_next = [&] {
            walk.advance();
            if (!walk.at_end()) queries.load(walk.current());
        };
        queries.load(walk.current());
        do {
            const auto work = tiles.work();
            if constexpr (Policy::kWavesPerSimd == 1) {
                Wave::to_accumulators(result.dk);
                Wave::to_accumulators(result.dv);
            }
            queries.receive(load_next);

            typename Wave::Operand p, ds;
            if (work.live()) {
                unsigned attended = 0; // bits of the keys
                const auto find_attended = [&] {
                    // A band that computes only because others do may begin past the last key: it attends nothing.
                    if constexpr (Policy::kBandsTogether != 0)
                        if (!work.live(mask.band_in_tile())) return;
                    attended = Wave::find_bits(
                        [&](index_t query) { return mask.row_bits(work.tile() * Traits::kTileQ + query); });
                };
                if constexpr (Wave::kScoresLeaveNoRegisters)
                    if (work.edge()) find_attended();
                const auto statistics = queries.statistics(work.tile());
                typename Wave::Acc s = {}, dp;
                if constexpr (Wave::kRunAhead) {
                    dp = statistics.minus_delta();
                    Wave::add_both_scores(s, queries.q(), k, dp, queries.d_o(), v);
                    Wave::template wait<1>(s);
                } else {
                    Wave::add_scores(s, queries.q(), k);
                }
                const index_t first_query = work.tile() * Traits::kTileQ, first_key = mask.band() * Wave::kKeys;
                typename Wave::Acc slope;
                extras.template to_scores<Wave>(s, statistics.lse(), first_query, first_key, &slope);
                no_load_crosses();
                if (work.edge()) {
                    if constexpr (!Wave::kScoresLeaveNoRegisters) find_attended();
                    Wave::keep(s, attended);
                }
                Extras::template to_probabilities<Wave>(s);
                if constexpr (Wave::kRunAhead) {
                    p = Wave::to_operand(s);
                    Wave::add_products(result.dv, queries.d_o_transposed(), p, exchange.p());
                    Wave::template wait<1>(dp);
                } else if constexpr (Extras::kHasDropout) {
                    const bits_t kept = Wave::exchange_bits(extras.template kept<Wave>(first_query, first_key));
                    p = Wave::to_operand(Wave::dropped(s, kept));
                    dp = {};
                    Wave::add_scores(dp, queries.d_o(), v);
                    dp = Wave::dropped(dp, kept);
                    Wave::scale_and_shift(dp, extras.keep_scale(), statistics.delta());
                } else {
                    if constexpr (!Wave::kScoresLeaveNoRegisters) p = Wave::to_operand(s);
                    dp = statistics.minus_delta();
                    Wave::add_scores(dp, queries.d_o(), v);
                    if constexpr (Wave::kScoresLeaveNoRegisters) p = Wave::to_operand(s); // not beside both S and dP
                }
                no_load_crosses();
                Wave::multiply(dp, s);
                if constexpr (Extras::kHasBiasGradient)
                    extras.template add_bias_gradient<Wave>(dp, first_query, first_key);
                if constexpr (Extras::kHasSoftcap) Wave::multiply(dp, slope);
                ds = Wave::to_operand(dp);
            }
            queries.receive_transposed(load_next);
            if ((Traits::kAddsDq || Exchange::kForGradients) && work.live()) exchange.store(p, ds);
            if constexpr (Exchange::kBeforeGradients) barrier();
            if (work.live()) {
                if constexpr (!Wave::kRunAhead) {
                    no_load_crosses();
                    Wave::add_products(result.dv, queries.d_o_transposed(), p, exchange.p());
                    no_load_crosses();
                }
                Wave::add_products(result.dk, queries.q_transposed(), ds, exchange.ds());
            }
            if constexpr (Traits::kAddsDq) {
                if constexpr (!Exchange::kBeforeGradients) barrier(); // dS of all waves is there
                dq.add([&](index_t band) { return work.live(band); }, work.tile());
            }
            if constexpr (Wave::kRunAhead) {
                Wave::wait(result.dv);
                Wave::wait(result.dk);
            }
        } while (!walk.at_end());
        return result;
    }
};

} // namespace ck_fmha::gpu
