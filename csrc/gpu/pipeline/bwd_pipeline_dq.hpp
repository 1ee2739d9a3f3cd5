#pragma once

#include "gpu/pipeline/bwd_dq_policy.hpp"
#include "gpu/pipeline/live_tiles.hpp"
#include "gpu/pipeline/score_extras.hpp"

// dQ of one work-group in one order: Q and dO of a row of tiles at hand, K and V through shared memory. It walks the
// live tiles of its row as the forward does, and computes S and dP once more:
//
//     for each live tile J:    S^T  = K_J Q^T
//                              P    = 2^(scale S - LSE), 0 where not attended
//                              dP^T = V_J dO^T
//                              dS   = P (dP - delta)           times the slope of a softcap
//                              dQ  += dS K_J

namespace ck_fmha::gpu {

template <class Traits, class Policy = BwdDqPolicy<Traits>>
class BwdPipelineDq {
public:
    using Wave = typename Policy::Wave;
    using Mask =
        BandedMask<typename Traits::Mask, Wave::kRows, Traits::kWaves, Traits::kTileK, true, Traits::kThreadsPerWave>;
    using Tiles = LiveTiles<Mask>;
    using Extras = ScoreExtras<Traits, BwdArgs>;
    using KeyTiles = typename Policy::KeyTiles;

    struct Tensors {
        RowsInMemory q, k, v, d_o;
        const Float2* statistics; // of each query: LSE, -delta
    };

    CK_FMHA_DEVICE static typename Wave::Output run(const Tensors& t, Tiles tiles, const Mask& mask,
                                                    const Extras& extras)
    {
        const SharedMemory shared = SharedMemory::allocate<KeyTiles::kBytes + 2 * Policy::kQueryBytes>();
        KeyTiles keys(shared, t.k, t.v);

        typename Wave::Output dq = {};
        auto walk = tiles.walk();
        if (walk.at_end()) return dq;
        const auto q = Wave::load_query(t.q, mask.band(), shared + KeyTiles::kBytes);
        const auto d_o = Wave::load_query(t.d_o, mask.band(), shared + (KeyTiles::kBytes + Policy::kQueryBytes));
        const index_t first_row = mask.band() * Wave::kRows;
        typename Wave::PerQuery lse, delta;
        unroll<Wave::kQueriesOfLane>([&](auto n) {
            const index_t row = first_row + Wave::query_of_lane(n);
            const Float2 pair = t.statistics[ck_tile_masks::min(row, t.q.num_rows - 1)];
            lse.of_query[n] = pair[0];
            delta.of_query[n] = -pair[1];
        });
        const auto load_next = [&] {
            walk.advance();
            if (!walk.at_end()) keys.load(walk.current());
        };
        keys.load(walk.current());

        do {
            const auto work = tiles.work();
            if constexpr (Policy::kWavesPerSimd == 1)
                unroll<Wave::kDimBlocks>([&](auto b) { to_accumulators(dq.block[b]); });
            keys.receive(load_next);
            bits_t attended = 0;             // of a row of S
            const auto find_attended = [&] { // the largest masks leave no register for what need not be kept
                const index_t query = mask.band() * Wave::kRows + Wave::query_of_bits(lane_index_anew());
                attended = mask.row_bits(query, work.tile());
            };
            if constexpr (Wave::kScoresLeaveNoRegisters)
                if (work.edge()) find_attended();
            for (index_t part = 0; part < KeyTiles::kParts; ++part) {
                typename Wave::Probabilities ds;
                if (work.live()) {
                    const index_t first_key = work.tile() * Traits::kTileK + part * KeyTiles::kPartKeys;
                    typename Wave::Scores p = Wave::scores(q, keys.k(part)), slope;
                    extras.template to_scores<Wave>(p, lse, first_row, first_key, &slope);
                    if (work.edge()) {
                        if constexpr (!Wave::kScoresLeaveNoRegisters) find_attended();
                        Wave::keep(p, attended >> part * KeyTiles::kPartKeys);
                    }
                    Extras::template to_probabilities<Wave>(p);
                    no_load_crosses();
                    typename Wave::Scores dp = Wave::scores(d_o, keys.v(part));
                    if constexpr (Extras::kHasDropout) {
                        Wave::drop(dp, extras.template kept<Wave>(first_row, first_key));
                        Wave::scale(dp, extras.keep_scale());
                    }
                    Wave::shift(dp, delta);
                    Wave::multiply(dp, p);
                    if constexpr (Extras::kHasSoftcap) Wave::multiply(dp, slope);
                    ds = Wave::to_operand(dp);
                }
                keys.receive_transposed(load_next);
                if (work.live()) Wave::add_products(dq, ds, keys.k_transposed(part));
            }
        } while (!walk.at_end());
        return dq;
    }
};

} // namespace ck_fmha::gpu
