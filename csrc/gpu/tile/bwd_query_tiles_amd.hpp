#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/tile/copy_amd.hpp"

namespace ck_fmha::gpu {

// Q, dO and statistics of the row tiles that a work-group of the backward visits, as rows and transposed: the next
// one's loads are in flight, to registers, while this one is read.
template <class Wave, index_t kHeadDim>
class BwdQueryTiles {
    using Copy = TransposingCopy<Wave::kTileQ, kHeadDim, kBwdThreads, Wave::kIsScarce>;
    using Rows = typename Wave::Rows;
    using Transposed = typename Wave::Transposed;
    // Shared memory does not hold Q and dO both as rows and transposed: first come the rows, then the others.
    static constexpr bool kInTurns = kHeadDim > 128;
    static constexpr index_t kTile = Rows::kBytes; // and of a transposed one
    static constexpr index_t kTiles = kInTurns ? 2 : 4;
    static constexpr index_t kStatistics = kTiles * kTile;

public:
    static constexpr index_t kBytes = kStatistics + 2 * Wave::kStatisticsBytes;

    CK_FMHA_DEVICE BwdQueryTiles(SharedMemory shared, const RowsInMemory& q, const RowsInMemory& d_o,
                                 const Float2* statistics)
        : shared_(shared),
          q_(shared),
          d_o_(shared + kTile),
          q_copy_(q),
          d_o_copy_(d_o),
          statistics_copy_(statistics, q.num_rows),
          places_(Copy::row_places())
    {
    }
    // Begins to load a tile.
    CK_FMHA_DEVICE void load(index_t tile)
    {
        q_copy_.load(tile);
        d_o_copy_.load(tile);
        statistics_copy_.load(tile);
    }
    // The tile loaded last is there, and `load_next` is called once registers are free for it.
    template <class LoadNext>
    CK_FMHA_DEVICE void receive(const LoadNext& load_next)
    {
        barrier(); // the tile before is no longer read
        q_copy_.store_rows(q_, places_);
        d_o_copy_.store_rows(d_o_, places_);
        statistics_copy_.store(shared_ + kStatistics);
        if constexpr (!kInTurns) store_transposed(load_next);
        barrier();
    }
    // From here on the transposed tiles are there, after a barrier where they come in turns.
    template <class LoadNext>
    CK_FMHA_DEVICE void receive_transposed(const LoadNext& load_next)
    {
        if constexpr (kInTurns) {
            barrier(); // the rows are no longer read
            store_transposed(load_next);
        }
    }
    CK_FMHA_DEVICE const Rows& q() const { return q_; }
    CK_FMHA_DEVICE const Rows& d_o() const { return d_o_; }
    CK_FMHA_DEVICE SharedMemory q_transposed() const { return shared_ + (kTiles - 2) * kTile; }
    CK_FMHA_DEVICE SharedMemory d_o_transposed() const { return q_transposed() + kTile; }

    // Read where they are needed.
    struct Statistics {
        SharedMemory memory;
        CK_FMHA_DEVICE typename Wave::Acc lse() const { return Wave::load_statistics(memory); }
        CK_FMHA_DEVICE typename Wave::Acc minus_delta() const
        {
            return Wave::load_statistics(memory + Wave::kStatisticsBytes);
        }
        CK_FMHA_DEVICE typename Wave::Acc delta() const { return -minus_delta(); }
    };
    CK_FMHA_DEVICE Statistics statistics(index_t) const { return {shared_ + kStatistics}; }

private:
    template <class LoadNext>
    CK_FMHA_DEVICE void store_transposed(const LoadNext& load_next)
    {
        q_copy_.store(Transposed(q_transposed()));
        d_o_copy_.store(Transposed(d_o_transposed()));
        load_next();
    }

    SharedMemory shared_;
    Rows q_, d_o_;
    Copy q_copy_, d_o_copy_;
    PairCopy<Wave::kTileQ> statistics_copy_;
    typename Copy::RowPlaces places_;
};

} // namespace ck_fmha::gpu
