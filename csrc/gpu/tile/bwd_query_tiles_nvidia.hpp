#pragma once

#include "gpu/tile/bwd_tile_pairs_nvidia.hpp"

namespace ck_fmha::gpu {

// Q, dO and statistics of the row tiles that a work-group of the backward visits: the next one's copies are in flight
// while this one is read. ldmatrix transposes, so that there are no transposed tiles.
template <class Wave, index_t kHeadDim>
class BwdQueryTiles : public BwdTilePairs<Wave::kTileQ, kHeadDim, Wave::Part::kWarps * kWaveSize> {
    using Tiles = BwdTilePairs<Wave::kTileQ, kHeadDim, Wave::Part::kWarps * kWaveSize>;

public:
    CK_FMHA_DEVICE BwdQueryTiles(SharedMemory shared, const RowsInMemory& q, const RowsInMemory& d_o,
                                 const Float2* statistics)
        : Tiles(shared, q, d_o, statistics), num_rows_(q.num_rows)
    {
    }
    CK_FMHA_DEVICE SharedMemory q() const { return this->first(); }
    CK_FMHA_DEVICE SharedMemory d_o() const { return this->second(); }
    CK_FMHA_DEVICE SharedMemory q_transposed() const { return q(); }
    CK_FMHA_DEVICE SharedMemory d_o_transposed() const { return d_o(); }

    // Straight from memory, early enough: shared memory is full. A query past the end has P = 0.
    class Statistics {
        friend class BwdQueryTiles;
        typename Wave::PerQuery lse_, minus_delta_;

    public:
        CK_FMHA_DEVICE const typename Wave::PerQuery& lse() const { return lse_; }
        CK_FMHA_DEVICE typename Wave::Acc minus_delta() const { return Wave::all_keys(minus_delta_); }
        CK_FMHA_DEVICE typename Wave::PerQuery delta() const
        {
            typename Wave::PerQuery x = minus_delta_;
            for (auto& block : x.of_block)
                for (float& query : block)
                    query = -query;
            return x;
        }
    };
    CK_FMHA_DEVICE Statistics statistics(index_t tile) const
    {
        Statistics x;
        const auto* const pairs = static_cast<const Float2*>(this->more());
        const index_t first = tile * Wave::kTileQ + Wave::Part::first_query() + MmaAtom::column_of_lane();
        unroll<Wave::kQueryBlocks>([&](auto b) {
            unroll<2>([&](auto e) {
                const index_t query = first + 8 * b + e;
                Float2 pair = {kInfinity, 0.f};
                if (query < num_rows_) pair = load_now(pairs + query);
                x.lse_.of_block[b][e] = pair[0];
                x.minus_delta_.of_block[b][e] = pair[1];
            });
        });
        return x;
    }

private:
    index_t num_rows_;
};

} // namespace ck_fmha::gpu
