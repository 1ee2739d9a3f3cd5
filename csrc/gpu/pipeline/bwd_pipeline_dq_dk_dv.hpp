#pragma once

#include "ck_tile_masks/index_iterator.hpp"
#include "gpu/pipeline/banded_columns.hpp"
#include "gpu/pipeline/bwd_policy.hpp"
#include "gpu/pipeline/score_extras.hpp"

// The backward of one work-group: K and V of a column of tiles in registers, Q and dO through shared memory, as rows
// and transposed. It walks the live tiles of its column:
//
//     for each live tile I:    S  = Q_I K^T                             a wave: its 32 keys
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
    using Mask = BandedColumns<typename Traits::Mask, Wave::kKeys, Traits::kBands, Traits::kTileQ>;
    using Window = LiveTileWindow<Mask, Traits::kAsks, true>;
    using Extras = ScoreExtras<Traits, BwdArgs>;

    struct Tensors {
        RowsInMemory q, k, v, d_o;
        const Float2* statistics; // of each query: LSE, -delta
        RowsInMemory dq;          // float32
    };
    struct Result {
        typename Wave::Gradients dk, dv;
    };

    // Tiles [begin, end) of the mask's column of tiles.
    CK_FMHA_DEVICE static Result run(const Tensors& t, Window window, index_t begin, index_t end, const Mask& mask,
                                     const Extras& extras)
    {
        constexpr index_t kTile = Wave::Rows::kBytes; // and of a transposed one
        constexpr index_t kTiles = Traits::kInTurns ? 2 : 4;
        constexpr index_t kStatistics = kTiles * kTile + Wave::Exchange::kBytes;
        const SharedMemory shared = SharedMemory::allocate<kStatistics + 2 * Wave::kStatisticsBytes>();
        const SharedMemory transposed = shared + (kTiles - 2) * kTile;
        const typename Wave::Rows q(shared), d_o(shared + kTile);
        const typename Wave::Transposed q_t(transposed), d_o_t(transposed + kTile);
        const typename Wave::Exchange exchange(shared + kTiles * kTile);
        const SharedMemory lse = shared + kStatistics, minus_delta = lse + Wave::kStatisticsBytes;

        Result result = {};
        auto tiles = ck_tile_masks::IndexIterator(Next{&window}, begin, end);
        if (tiles.at_end()) return result;
        const auto k = Wave::load_keys(t.k, mask.band()), v = Wave::load_keys(t.v, mask.band());
        const typename Wave::QueryGradients dq(t.k, mask.row(), q_t, exchange);
        const TilesInMemory<Traits::kTileQ> dq_tiles(t.dq);

        typename Policy::QueryCopy q_copy(t.q), d_o_copy(t.d_o);
        typename Policy::StatisticsCopy statistics_copy(t.statistics, t.q.num_rows);
        const auto places = Policy::QueryCopy::row_places();
        const auto load = [&](index_t tile) {
            q_copy.load(tile);
            d_o_copy.load(tile);
            statistics_copy.load(tile);
        };
        const auto store_transposed_and_load_next = [&] {
            q_copy.store(q_t);
            d_o_copy.store(d_o_t);
            tiles.advance();
            if (!tiles.at_end()) load(tiles.current());
        };
        load(tiles.current());
        do {
            const index_t tile = tiles.current();
            const BandWork work = window.work();
            if constexpr (Traits::kWavesPerSimd == 1) {
                Wave::to_accumulators(result.dk);
                Wave::to_accumulators(result.dv);
            }
            barrier(); // the tile before is no longer read
            q_copy.store_rows(q, places);
            d_o_copy.store_rows(d_o, places);
            statistics_copy.store(lse);
            if constexpr (!Traits::kInTurns) store_transposed_and_load_next();
            barrier();

            typename Wave::Operand p, ds;
            if (work.live()) {
                typename Wave::Acc s = {};
                Wave::add_scores(s, q, k);
                const index_t first_query = tile * Traits::kTileQ, first_key = mask.band() * Wave::kKeys;
                typename Wave::Acc slope;
                extras.template to_scores<Wave>(s, Wave::load_statistics(lse), first_query, first_key, &slope);
                no_load_crosses();
                if (work.edge()) Wave::keep(s, mask.row_bits(tile * Traits::kTileQ + lane_index() % Traits::kTileQ));
                Extras::template to_probabilities<Wave>(s);
                typename Wave::Acc dp;
                if constexpr (Extras::kHasDropout) {
                    const bits_t kept = Wave::exchange_bits(extras.template kept<Wave>(first_query, first_key));
                    p = Wave::to_operand(Wave::dropped(s, kept));
                    dp = {};
                    Wave::add_scores(dp, d_o, v);
                    dp = Wave::dropped(dp, kept);
                    Wave::scale_and_shift(dp, extras.keep_scale(), -Wave::load_statistics(minus_delta));
                } else {
                    p = Wave::to_operand(s);
                    dp = Wave::load_statistics(minus_delta);
                    Wave::add_scores(dp, d_o, v);
                }
                no_load_crosses();
                Wave::multiply(dp, s);
                if constexpr (Extras::kHasBiasGradient)
                    extras.template add_bias_gradient<Wave>(dp, first_query, first_key);
                if constexpr (Extras::kHasSoftcap) Wave::multiply(dp, slope);
                ds = Wave::to_operand(dp);
            }
            if constexpr (Traits::kInTurns) {
                barrier(); // the rows are no longer read
                store_transposed_and_load_next();
            }
            if (Traits::kAddsDq && work.live()) exchange.store(ds);
            if constexpr (Traits::kInTurns) barrier();
            if (work.live()) {
                no_load_crosses();
                Wave::add_products(result.dv, d_o_t.memory(), p);
                no_load_crosses();
                Wave::add_products(result.dk, q_t.memory(), ds);
            }
            if constexpr (Traits::kAddsDq) {
                if constexpr (!Traits::kInTurns) barrier(); // dS of all waves is there
                dq.add([&](index_t band) { return work.live(band); }, dq_tiles.tile(tile));
            }
        } while (!tiles.at_end());
        return result;
    }

private:
    struct Next {
        static constexpr bool kKnowsItsEnd = true;
        Window* window;
        CK_FMHA_DEVICE index_t operator()(index_t from, index_t end) const { return window->next(from, end); }
    };
};

} // namespace ck_fmha::gpu
