#pragma once

#include "gpu/pipeline/fwd_policy.hpp"
#include "gpu/pipeline/live_tiles.hpp"
#include "gpu/pipeline/online_softmax.hpp"
#include "gpu/pipeline/score_extras.hpp"

// The forward of one work-group: Q in registers, K and V through shared memory (the name is CK Tile's). It walks the
// live tiles of its row:
//
//     while this tile is computed, the next live tile's loads are in flight
//
//     for each live tile J:            S = Q K_J^T                       softcap, ALiBi: instances with them
//                                      S = -inf where not attended       edge tiles only
//                                      P, reference = online softmax(S)
//                                      P = 0 where dropped               instances with dropout
//                                      O = O * rescale + P V_J

namespace ck_fmha::gpu {

template <class Traits, class Policy = FwdPolicy<Traits>>
class FwdPipelineQrKsVs {
public:
    using Wave = typename Policy::Wave;
    // Large masks need scalar registers themselves.
    static constexpr bool kIsScarce = sizeof(typename Traits::Mask) > ReadForElements::kMostBytes;
    // What an element's row is asked takes registers, too: not beside scores, then.
    static constexpr bool kFindsAttendedFirst = Wave::kScoresLeaveNoRegisters || kIsScarce;
    using Mask = BandedMask<typename Traits::Mask, kFwdRowsPerWave, Traits::kWaves, Traits::kTileK, kIsScarce,
                            Policy::kThreadsOfBand>;
    using Tiles = LiveTiles<Mask, false, Policy::kBandsTogether>;
    using Extras = ScoreExtras<Traits, FwdArgs>;

    struct Result {
        typename Wave::Output o; // not yet divided by the sums
        OnlineSoftmax<Wave, typename Extras::Unit> softmax;
    };

    // Which Wave::kRows queries this wave has, in row `row` of tiles.
    CK_FMHA_DEVICE static index_t query_tile(index_t row)
    {
        if constexpr (Wave::kRows == Traits::kTileQ) return row;
        return row * (Traits::kTileQ / Wave::kRows) + Mask::wave();
    }

    CK_FMHA_DEVICE static Result run(const RowsInMemory& q, const RowsInMemory& k, const RowsInMemory& v, Tiles tiles,
                                     const Mask& mask, const Extras& extras)
    {
        const SharedMemory shared = SharedMemory::allocate<Policy::kSharedBytes>();
        typename Policy::KeyValueTiles keys_values(shared, k, v);

        Result result = {};
        auto walk = tiles.walk();
        if (walk.at_end()) return result;
        // Before K and V: who waits for these has it, and no wait for it is left inside the loop.
        const typename Wave::Query query =
            Wave::load_query(q, query_tile(mask.row()), shared + Policy::KeyValueTiles::kBytes);
        keys_values.load(walk.current());

        do {
            const auto work = tiles.work();
            keys_values.receive();
            walk.advance();
            if (!walk.at_end()) keys_values.load(walk.current());
            if (!work.live()) continue;

            bits_t attended = 0; // of a row of S
            const auto find_attended = [&] {
                attended = mask.row_bits(query_tile(mask.row()) * Wave::kRows + Wave::query_of_bits(), work.tile());
            };
            if constexpr (kFindsAttendedFirst)
                if (work.edge()) find_attended();
            typename Wave::Scores s = Wave::scores(query, keys_values.keys());
            const index_t first_query = query_tile(mask.row()) * Wave::kRows, first_key = work.tile() * Traits::kTileK;
            const auto to_scores = [&](typename Wave::Scores& scores, const typename Wave::PerQuery& reference) {
                if constexpr (Extras::Unit::kNatural) {
                    extras.template to_natural_scores<Wave>(scores, first_query, first_key);
                    // Clang 19 spills over a hundred registers unless a packed operation on all scores comes before
                    // control flow does: times a one that it does not know.
                    Wave::scale(scores, anew(1.f));
                } else {
                    extras.template to_scores<Wave>(scores, reference, first_query, first_key);
                }
                if (!work.edge()) return;
                if constexpr (!kFindsAttendedFirst) find_attended();
                Wave::keep(scores, attended);
            };
            result.softmax.update(s, result.o, to_scores);
            if constexpr (Extras::kHasDropout) Wave::drop(s, extras.template kept<Wave>(first_query, first_key));
            Wave::add_products(result.o, Wave::to_operand(s), keys_values.values());
            // Compared anew: the compiler would keep what at_end() said above in two scalar registers.
        } while (anew(walk.current()) < walk.end());
        return result;
    }
};

} // namespace ck_fmha::gpu
