#pragma once

#include "ck_tile_masks/index_iterator.hpp"
#include "gpu/pipeline/banded_columns.hpp"
#include "gpu/pipeline/bwd_policy.hpp"

// The backward of one work-group: K and V of a column of tiles at hand, Q and dO through shared memory. It walks the
// live tiles of its column:
//
//     while this tile is computed, the next live tile's loads are in flight
//
//     for each live tile I:    S  = Q_I K^T                             the waves of a band: its 32 keys
//                              P  = 2^(scale S - LSE), 0 where not attended
//                              dP = dO_I V^T
//                              dS = P (dP - delta)
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
    using Window = LiveTileWindow<Mask, Traits::kAsks, true>;
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

    // Tiles [begin, end) of the mask's column of tiles.
    CK_FMHA_DEVICE static Result run(const Tensors& t, Window window, index_t begin, index_t end, const Mask& mask,
                                     float scale_log2)
    {
        constexpr index_t kColumn = QueryTiles::kBytes + Exchange::kBytes;
        const SharedMemory shared = SharedMemory::allocate<kColumn + 2 * Wave::kColumnBytes>();
        const Exchange exchange(shared + QueryTiles::kBytes);

        Result result = {};
        auto tiles = ck_tile_masks::IndexIterator(Next{&window}, begin, end);
        if (tiles.at_end()) return result;
        const auto k = Wave::load_keys(t.k, mask.row(), mask.band(), shared + kColumn);
        const auto v = Wave::load_keys(t.v, mask.row(), mask.band(), shared + (kColumn + Wave::kColumnBytes));
        const typename Wave::QueryGradients dq(k, t, mask.row(), shared, exchange);
        const bool short_of_keys = (mask.band() + 1) * Wave::kKeys > t.k.num_rows;

        QueryTiles queries(shared, t.q, t.d_o, t.statistics);
        const auto load_next = [&] {
            tiles.advance();
            if (!tiles.at_end()) queries.load(tiles.current());
        };
        queries.load(tiles.current());
        do {
            const index_t tile = tiles.current();
            const BandWork work = window.work();
            if constexpr (Policy::kWavesPerSimd == 1) {
                Wave::to_accumulators(result.dk);
                Wave::to_accumulators(result.dv);
            }
            queries.receive(load_next);

            typename Wave::Operand p, ds;
            if (work.live()) {
                unsigned attended = 0; // bits of the keys
                const bool some_are_not = work.edge() || short_of_keys;
                const auto find_attended = [&] {
                    attended = mask.row_bits(tile * Traits::kTileQ + Wave::query_of_bits());
                };
                if constexpr (Wave::kScoresLeaveNoRegisters)
                    if (some_are_not) find_attended();
                const auto statistics = queries.statistics(tile);
                typename Wave::Acc s = {};
                Wave::add_scores(s, queries.q(), k);
                Wave::scale_and_shift(s, scale_log2, statistics.lse());
                no_load_crosses();
                if (some_are_not) {
                    if constexpr (!Wave::kScoresLeaveNoRegisters) find_attended();
                    Wave::keep(s, attended);
                }
                Wave::exp2(s);
                if constexpr (!Wave::kScoresLeaveNoRegisters) p = Wave::to_operand(s);
                typename Wave::Acc dp = statistics.minus_delta();
                Wave::add_scores(dp, queries.d_o(), v);
                no_load_crosses();
                if constexpr (Wave::kScoresLeaveNoRegisters) p = Wave::to_operand(s); // not beside both S and dP
                Wave::multiply(dp, s);
                ds = Wave::to_operand(dp);
            }
            queries.receive_transposed(load_next);
            if ((Traits::kAddsDq || Exchange::kForGradients) && work.live()) exchange.store(p, ds);
            if constexpr (Exchange::kBeforeGradients) barrier();
            if (work.live()) {
                no_load_crosses();
                Wave::add_products(result.dv, queries.d_o_transposed(), p, exchange.p());
                no_load_crosses();
                Wave::add_products(result.dk, queries.q_transposed(), ds, exchange.ds());
            }
            if constexpr (Traits::kAddsDq) {
                if constexpr (!Exchange::kBeforeGradients) barrier(); // dS of all waves is there
                dq.add([&](index_t band) { return work.live(band); }, tile);
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
