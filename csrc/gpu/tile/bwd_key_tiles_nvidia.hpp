#pragma once

#include "gpu/tile/copy_nvidia.hpp"

namespace ck_fmha::gpu {

// K and V of the tiles that dQ by rows visits: the next one's copies are in flight while this one is read. ldmatrix
// transposes, so that there are no transposed tiles. Beside dQ of 32 rows, registers hold S and dP of 32 keys.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class BwdKeyTiles {
    using Tiles = TilePairs<kTileK, kHeadDim, kThreads>;

public:
    static constexpr index_t kBytes = Tiles::kBytes;
    static constexpr index_t kPartKeys = kHeadDim > 32 ? 32 : kTileK;
    static constexpr index_t kParts = kTileK / kPartKeys; // in which a tile is computed

    CK_FMHA_DEVICE BwdKeyTiles(SharedMemory shared, const RowsInMemory& k, const RowsInMemory& v) : tiles_(shared, k, v)
    {
    }
    // Begins to load a tile.
    CK_FMHA_DEVICE void load(index_t tile) { tiles_.load(tile); }
    // The tile loaded last is there, and `load_next` may load over the one before.
    template <class LoadNext>
    CK_FMHA_DEVICE void receive(const LoadNext& load_next)
    {
        tiles_.receive();
        load_next();
    }
    template <class LoadNext>
    CK_FMHA_DEVICE void receive_transposed(const LoadNext&)
    {
    }
    CK_FMHA_DEVICE auto k(index_t part) const { return SharedKeys<kHeadDim>(of_part(tiles_.first(), part)); }
    CK_FMHA_DEVICE auto v(index_t part) const { return SharedKeys<kHeadDim>(of_part(tiles_.second(), part)); }
    CK_FMHA_DEVICE auto k_transposed(index_t part) const
    {
        return SharedValues<kHeadDim>(of_part(tiles_.first(), part));
    }

private:
    CK_FMHA_DEVICE static SharedMemory of_part(const SharedMemory& tile, index_t part)
    {
        return tile + part * kPartKeys * SharedRows<kHeadDim>::kRowBytes;
    }
    Tiles tiles_;
};

} // namespace ck_fmha::gpu
