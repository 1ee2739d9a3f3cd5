#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/tile/copy_nvidia.hpp"

namespace ck_fmha::gpu {

// Pairs of tiles as the backward's loops receive them. The products transpose, so that nothing more has to come for
// those that take a tile transposed.
template <index_t kTileRows, index_t kHeadDim, index_t kThreads, class Shared = SharedRows<kHeadDim>>
class BwdTilePairs : public TilePairs<kTileRows, kHeadDim, kThreads, Shared> {
    using Tiles = TilePairs<kTileRows, kHeadDim, kThreads, Shared>;
    static_assert(kBwdStages == 2, "ck_fmha: of two stages, one is computed and one on its way");

public:
    using Tiles::Tiles;
    // The tile loaded last is there, and `load_next` may load over the one before.
    template <class LoadNext>
    CK_FMHA_DEVICE void receive(const LoadNext& load_next)
    {
        Tiles::receive();
        load_next();
    }
    template <class LoadNext>
    CK_FMHA_DEVICE void receive_transposed(const LoadNext&)
    {
    }
};

} // namespace ck_fmha::gpu
