#pragma once

#include "gpu/tile/bwd_tile_pairs_nvidia.hpp"

namespace ck_fmha::gpu {

// K and V of the tiles that dQ by rows visits: the next one's copies are in flight while this one is read. ldmatrix
// transposes, so that there are no transposed tiles. Beside dQ of 32 rows, registers hold S and dP of 32 keys.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class BwdKeyTiles : public BwdTilePairs<kTileK, kHeadDim, kThreads> {
public:
    static constexpr index_t kPartKeys = kHeadDim > 32 ? 32 : kTileK;
    static constexpr index_t kParts = kTileK / kPartKeys; // in which a tile is computed

    using BwdTilePairs<kTileK, kHeadDim, kThreads>::BwdTilePairs;
    CK_FMHA_DEVICE auto k(index_t part) const { return SharedKeys<kHeadDim>(of_part(this->first(), part)); }
    CK_FMHA_DEVICE auto v(index_t part) const { return SharedKeys<kHeadDim>(of_part(this->second(), part)); }
    CK_FMHA_DEVICE auto k_transposed(index_t part) const
    {
        return SharedValues<kHeadDim>(of_part(this->first(), part));
    }

private:
    CK_FMHA_DEVICE static SharedMemory of_part(const SharedMemory& tile, index_t part)
    {
        return tile + part * kPartKeys * SharedRows<kHeadDim>::kRowBytes;
    }
};

} // namespace ck_fmha::gpu
