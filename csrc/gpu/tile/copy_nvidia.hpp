#pragma once

#include "gpu/kernel/fwd_launch.hpp"
#include "gpu/tile/rows_in_memory.hpp"
#include "gpu/tile/shared_tiles_nvidia.hpp"

// Tiles on their way from global to shared memory by cp.async, which takes no registers: a tile is in flight, to its
// own part of shared memory, while another is computed. Rows past the end and dimensions past head_dim come as zeros.

namespace ck_fmha::gpu {

// 16 bytes, or zeros; `from` is not touched then.
CK_FMHA_DEVICE void copy_async(unsigned to_shared, const char* from, bool inside)
{
    const unsigned size = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to_shared), "l"(from), "r"(size) : "memory");
}
// 8 bytes.
CK_FMHA_DEVICE void copy_eight_async(unsigned to_shared, const char* from, bool inside)
{
    const unsigned size = inside ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(to_shared), "l"(from), "r"(size) : "memory");
}
// All that this thread has sent has come.
CK_FMHA_DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
// What this thread has put into shared memory is seen by products of a warpgroup that follow a barrier.
CK_FMHA_DEVICE void show_to_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Tiles of kTileRows rows, moved by kThreads threads to where `Shared` says that they lie: every thread moves pieces of
// 16 bytes.
template <index_t kTileRows, index_t kHeadDim, index_t kThreads, class Shared = SharedRows<kHeadDim>>
class TileCopy {
public:
    static constexpr index_t kBytes = 2 * kTileRows * kHeadDim;

    // What a thread's part is, is found for every tile: registers are scarcer than these few instructions.
    CK_FMHA_DEVICE static void load(const RowsInMemory& rows, index_t tile, SharedMemory to)
    {
        const index_t thread = thread_index() % kThreads;
        const index_t piece = thread % kPiecesPerRow, first_row = thread / kPiecesPerRow;
        const char* from = rows.data + static_cast<bits_t>(static_cast<unsigned>(tile)) * (kTileRows * rows.row_bytes) +
                           static_cast<unsigned>(first_row) * rows.row_bytes + piece * 16;
        const index_t in_tile = piece * 16 < rows.used_bytes ? rows.num_rows - tile * kTileRows : 0;
        const index_t left = in_tile - first_row; // rows from this thread's first one on
        unroll<kPieces>([&](auto n) {
            constexpr index_t kRow = n * kRowsAtOnce, kSwizzled = kRow % Shared::kPeriod;
            const unsigned place = static_cast<unsigned>(Shared::place(first_row + kSwizzled, piece));
            copy_async(to.address() + place + (kRow - kSwizzled) * Shared::kRowBytes, from, left > kRow);
            from += kRowsAtOnce * rows.row_bytes;
        });
    }

private:
    static constexpr index_t kPiecesPerRow = kHeadDim / 8;
    static constexpr index_t kRowsAtOnce = kThreads / kPiecesPerRow;
    static constexpr index_t kPieces = kTileRows / kRowsAtOnce;
    static_assert(kPieces >= 1 && kTileRows % kRowsAtOnce == 0, "ck_fmha: threads do not share the tile evenly");
};

// Tiles of two tensors, K and V or Q and dO, in two stages: the next one's copies are in flight while this one is read.
template <index_t kTileRows, index_t kHeadDim, index_t kThreads, class Shared = SharedRows<kHeadDim>>
class TilePairs {
    using Copy = TileCopy<kTileRows, kHeadDim, kThreads, Shared>;
    static constexpr index_t kStages = 2;
    static constexpr index_t kStageBytes = 2 * Copy::kBytes;

public:
    static constexpr index_t kBytes = kStages * kStageBytes;

    // `more`: another address that is needed seldom.
    CK_FMHA_DEVICE TilePairs(SharedMemory shared, const RowsInMemory& first, const RowsInMemory& second,
                             const void* more = nullptr)
        : shared_(shared), data_({first.data, second.data, more}), first_(first), second_(second)
    {
    }
    // Begins to load a tile.
    CK_FMHA_DEVICE void load(index_t tile)
    {
        const SharedMemory to = shared_ + (kStageBytes - current_);
        const Data data = data_.get();
        Copy::load({data.first, first_.row_bytes, first_.used_bytes, first_.num_rows}, tile, to);
        Copy::load({data.second, second_.row_bytes, second_.used_bytes, second_.num_rows}, tile, to + Copy::kBytes);
    }
    // From here on, first() and second() are those of the tile loaded last; no warp reads the tile before any more, so
    // that the next may be loaded over it.
    CK_FMHA_DEVICE void receive()
    {
        wait_for_copies();
        if constexpr (Shared::kForWarpgroups) show_to_products();
        barrier();
        current_ = kStageBytes - current_;
    }
    CK_FMHA_DEVICE SharedMemory first() const { return shared_ + current_; }
    CK_FMHA_DEVICE SharedMemory second() const { return shared_ + current_ + Copy::kBytes; }
    CK_FMHA_DEVICE const void* more() const { return data_.get().more; }
    CK_FMHA_DEVICE index_t stage() const { return current_ / kStageBytes; } // of the tile that is there

private:
    SharedMemory shared_;
    struct Data {
        const char* first;
        const char* second;
        const void* more;
    };
    Seldom<2, Data> data_;
    RowsInMemory first_;
    RowsInMemory second_;
    index_t current_ = 0; // the stage being read, in bytes
};

// K and V of the forward.
template <index_t kTileK, index_t kHeadDim, index_t kThreads>
class KeyValueTiles : public TilePairs<kTileK, kHeadDim, kThreads> {
    static_assert(kFwdStages == 2, "ck_fmha: of two stages, one is computed and one on its way");

public:
    using Keys = SharedKeys<kHeadDim>;
    using Values = SharedValues<kHeadDim>;

    using TilePairs<kTileK, kHeadDim, kThreads>::TilePairs;
    CK_FMHA_DEVICE Keys keys() const { return Keys(this->first()); }
    CK_FMHA_DEVICE Values values() const { return Values(this->second()); }
};

} // namespace ck_fmha::gpu
