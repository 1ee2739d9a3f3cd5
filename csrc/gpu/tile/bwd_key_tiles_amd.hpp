#pragma once

#include "gpu/tile/copy_amd.hpp"

namespace ck_fmha::gpu {

// K and V of the tiles that dQ by rows visits: the next one's loads are in flight, to registers, while this one is
// read. Shared memory holds K and V as rows, then K transposed.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class BwdKeyTiles {
    using Rows = SharedRows<kTileK, kHeadDim>;
    using Transposed = SharedTransposed<kTileK, kHeadDim>;
    using KeyCopy = TransposingCopy<kTileK, kHeadDim, kThreads>;

public:
    static constexpr index_t kBytes = 2 * Rows::kBytes;
    static constexpr index_t kParts = 1; // in which a tile is computed
    static constexpr index_t kPartKeys = kTileK;

    CK_FMHA_DEVICE BwdKeyTiles(SharedMemory shared, const RowsInMemory& k, const RowsInMemory& v)
        : k_(shared), v_(shared + Rows::kBytes), k_t_(shared), k_copy_(k), v_copy_(v), places_(KeyCopy::row_places())
    {
    }
    // Begins to load a tile.
    CK_FMHA_DEVICE void load(index_t tile)
    {
        k_copy_.load(tile);
        v_copy_.load(tile);
    }
    // The tile loaded last is there.
    template <class LoadNext>
    CK_FMHA_DEVICE void receive(const LoadNext&)
    {
        barrier(); // the tile before is no longer read
        k_copy_.store_rows(k_, places_);
        v_copy_.store(v_);
        barrier();
    }
    // From here on k_transposed() is there, and the rows are not; `load_next` is called once registers are free for it.
    template <class LoadNext>
    CK_FMHA_DEVICE void receive_transposed(const LoadNext& load_next)
    {
        barrier(); // the rows are no longer read
        k_copy_.store(k_t_);
        load_next();
        barrier();
    }
    CK_FMHA_DEVICE const Rows& k(index_t) const { return k_; }
    CK_FMHA_DEVICE const Rows& v(index_t) const { return v_; }
    CK_FMHA_DEVICE const Transposed& k_transposed(index_t) const { return k_t_; }

private:
    Rows k_, v_;
    Transposed k_t_;
    KeyCopy k_copy_;
    RowCopy<kTileK, kHeadDim, kThreads> v_copy_;
    typename KeyCopy::RowPlaces places_;
};

} // namespace ck_fmha::gpu
