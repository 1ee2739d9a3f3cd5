#pragma once

#include "ck_tile_masks/index_iterator.hpp"
#include "gpu/pipeline/bwd_traits.hpp"
#include "gpu/pipeline/fwd_policy.hpp"
#include "gpu/pipeline/live_tile_window.hpp"
#include "gpu/pipeline/score_extras.hpp"

// dQ of one work-group in one order: Q and dO of a row of tiles in registers, K and V through shared memory, K as rows
// and then transposed. It walks the live tiles of its row as the forward does, and computes S and dP once more:
//
//     for each live tile J:    S^T  = K_J Q^T
//                              P    = 2^(scale S - LSE), 0 where not attended
//                              dP^T = V_J dO^T
//                              dS   = P (dP - delta)           times the slope of a softcap
//                              dQ  += dS K_J

namespace ck_fmha::gpu {

template <class Traits>
class BwdPipelineDq {
public:
    using Wave = typename FwdPolicy<Traits>::Wave;
    using Mask = BandedMask<typename Traits::Mask, Wave::kRows, Traits::kWaves, Traits::kTileK, true>;
    using Window = LiveTileWindow<Mask, Traits::kAsks>;
    using Extras = ScoreExtras<Traits, BwdArgs>;
    using Rows = SharedRows<Traits::kTileK, Traits::kHeadDim>;
    using Transposed = SharedTransposed<Traits::kTileK, Traits::kHeadDim>;

    struct Tensors {
        RowsInMemory q, k, v, d_o;
        const Float2* statistics; // of each query: LSE, -delta
    };

    // Tiles [begin, end) of the mask's row of tiles.
    CK_FMHA_DEVICE static typename Wave::Output run(const Tensors& t, Window window, index_t begin, index_t end,
                                                    const Mask& mask, const Extras& extras)
    {
        const SharedMemory shared = SharedMemory::allocate<2 * Rows::kBytes>();
        const Rows k(shared), v(shared + Rows::kBytes);
        const Transposed k_t(shared);
        TransposingCopy<Traits::kTileK, Traits::kHeadDim, Traits::kThreads> k_copy(t.k);
        RowCopy<Traits::kTileK, Traits::kHeadDim, Traits::kThreads> v_copy(t.v);
        const auto places = k_copy.row_places();

        typename Wave::Output dq = {};
        auto tiles = ck_tile_masks::IndexIterator(Next{&window}, begin, end);
        if (tiles.at_end()) return dq;
        const auto q = Wave::load_query(t.q, mask.band()), d_o = Wave::load_query(t.d_o, mask.band());
        const index_t row = mask.band() * Wave::kRows + Wave::query_of_bits();
        const Float2 statistics = t.statistics[ck_tile_masks::min(row, t.q.num_rows - 1)];
        k_copy.load(tiles.current());
        v_copy.load(tiles.current());

        do {
            const index_t tile = tiles.current();
            const BandWork work = window.work();
            if constexpr (Traits::kWavesPerSimd == 1)
                unroll<Wave::kDimBlocks>([&](auto b) { to_accumulators(dq.block[b]); });
            barrier(); // the tile before is no longer read
            k_copy.store_rows(k, places);
            v_copy.store(v);
            barrier();
            typename Wave::Probabilities ds;
            if (work.live()) {
                const index_t first_query = mask.band() * Wave::kRows, first_key = tile * Traits::kTileK;
                typename Wave::Scores p = Wave::scores(q, k), slope;
                extras.template to_scores<Wave>(p, typename Wave::PerQuery{statistics.x}, first_query, first_key,
                                                &slope);
                if (work.edge()) Wave::keep(p, mask.row_bits(row, tile));
                Extras::template to_probabilities<Wave>(p);
                no_load_crosses();
                typename Wave::Scores dp = Wave::scores(d_o, v);
                if constexpr (Extras::kHasDropout) {
                    Wave::drop(dp, extras.template kept<Wave>(first_query, first_key));
                    Wave::scale(dp, extras.keep_scale());
                }
                Wave::shift(dp, {-statistics.y});
                Wave::multiply(dp, p);
                if constexpr (Extras::kHasSoftcap) Wave::multiply(dp, slope);
                ds = Wave::to_operand(dp);
            }
            barrier(); // the rows are no longer read
            k_copy.store(k_t);
            tiles.advance();
            if (!tiles.at_end()) {
                k_copy.load(tiles.current());
                v_copy.load(tiles.current());
            }
            barrier();
            if (work.live()) Wave::add_products(dq, ds, k_t);
        } while (!tiles.at_end());
        return dq;
    }

private:
    struct Next {
        static constexpr bool kKnowsItsEnd = true;
        Window* window;
        CK_FMHA_DEVICE index_t operator()(index_t from, index_t end) const { return window->next(from, end); }
    };
};

} // namespace ck_fmha::gpu
