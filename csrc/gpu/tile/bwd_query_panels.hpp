#pragma once

#include "gpu/tile/bwd_tile_pairs_nvidia.hpp"
#include "gpu/tile/shared_panels.hpp"

namespace ck_fmha::gpu {

// Q, dO and statistics of the row tiles that warpgroups of the backward visit: the next one's copies are in flight
// while this one is read.
template <class Wave, index_t kHeadDim>
class BwdQueryPanels
    : public BwdTilePairs<Wave::kTileQ, kHeadDim, Wave::kThreads, SharedPanels<Wave::kTileQ, kHeadDim>> {
    static constexpr index_t kTileQ = Wave::kTileQ;
    using Tiles = BwdTilePairs<kTileQ, kHeadDim, Wave::kThreads, SharedPanels<kTileQ, kHeadDim>>;
    static constexpr index_t kStatisticsBytes = kTileQ * sizeof(Float2);

public:
    static constexpr index_t kBytes = Tiles::kBytes + kBwdStages * kStatisticsBytes;
    static_assert(kBytes % 1024 == 0, "ck_fmha: panels begin at multiples of 1024 bytes");

    CK_FMHA_DEVICE BwdQueryPanels(SharedMemory shared, const RowsInMemory& q, const RowsInMemory& d_o,
                                  const Float2* statistics)
        : Tiles(shared, q, d_o, statistics), statistics_(shared + Tiles::kBytes), num_rows_(q.num_rows)
    {
    }
    // Begins to load a tile. Queries past the end have zeros in the place of statistics: no product with them counts,
    // for their dO is zero, too.
    CK_FMHA_DEVICE void load(index_t tile)
    {
        Tiles::load(tile);
        if (thread_index() >= kTileQ) return;
        const index_t query = tile * kTileQ + thread_index();
        const auto* const from = static_cast<const Float2*>(this->more()) + query;
        const SharedMemory to = statistics_ + ((1 - this->stage()) * kStatisticsBytes + thread_index() * 8);
        copy_eight_async(to.address(), reinterpret_cast<const char*>(from), query < num_rows_);
    }
    CK_FMHA_DEVICE auto q() const { return PanelsOperand<kTileQ, kHeadDim>(this->first()); }
    CK_FMHA_DEVICE auto d_o() const { return PanelsOperand<kTileQ, kHeadDim>(this->second()); }
    CK_FMHA_DEVICE auto q_transposed() const { return q(); }
    CK_FMHA_DEVICE auto d_o_transposed() const { return d_o(); }

    // Read when they are asked for.
    class Statistics {
        friend class BwdQueryPanels;
        unsigned first_; // of this lane's queries
        template <index_t kNumber>
        CK_FMHA_DEVICE typename Wave::PerQuery read() const
        {
            typename Wave::PerQuery x;
            unroll<Wave::kQueryBlocks>([&](auto b) {
                float two[4];
                asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
                             : "=f"(two[0]), "=f"(two[1]), "=f"(two[2]), "=f"(two[3])
                             : "r"(first_ + 64 * b));
                x.of_block[b][0] = two[kNumber];
                x.of_block[b][1] = two[2 + kNumber];
            });
            return x;
        }

    public:
        CK_FMHA_DEVICE typename Wave::PerQuery lse() const { return read<0>(); }
        CK_FMHA_DEVICE typename Wave::Acc minus_delta() const { return Wave::all_keys(read<1>()); }
    };
    CK_FMHA_DEVICE Statistics statistics(index_t) const
    {
        Statistics x;
        x.first_ = (statistics_ + (this->stage() * kStatisticsBytes + MmaAtom::column_of_lane() * 8)).address();
        return x;
    }

private:
    SharedMemory statistics_;
    index_t num_rows_;
};

} // namespace ck_fmha::gpu
