#pragma once

#include <memory>
#include <vector>

#include "cpu/tile_kernels.hpp"
#include "fmha/fmha_args.h"
#include "fmha/mask_expr.hpp"

namespace ck_fmha::cpu {

// The mask bound to every (batch, head) of a call and cut into kernel tiles; those that share one binding share one
// entry.
class MaskedHeads {
public:
    MaskedHeads(const MaskExpr& mask, const ck_fmha_problem& p)
        : num_batches_(mask.varies_by_batch() ? p.batch : 1), num_heads_(mask.varies_by_head() ? p.num_heads : 1)
    {
        for (int64_t n = 0; n < num_batches_ * num_heads_; ++n) {
            const ck_tile_masks::MaskCall call{static_cast<index_t>(n / num_heads_),
                                               static_cast<index_t>(n % num_heads_), static_cast<index_t>(p.seqlen_q),
                                               static_cast<index_t>(p.seqlen_k)};
            bound_.push_back(mask.bind(call));
            tiled_.emplace_back(MaskRef(*bound_.back()), call, ck_tile_masks::DynamicTile{kTileQ, kTileK});
        }
    }

    bool varies_by_head() const { return num_heads_ > 1; }
    bool varies_by_batch() const { return num_batches_ > 1; }
    int num_distinct() const { return static_cast<int>(tiled_.size()); }
    int index(int64_t batch, int64_t head) const
    {
        return static_cast<int>((varies_by_batch() ? batch * num_heads_ : 0) + (varies_by_head() ? head : 0));
    }
    const TiledMask& distinct(int index) const { return tiled_[index]; }
    const TiledMask& at(int64_t batch, int64_t head) const { return tiled_[index(batch, head)]; }

    // Live tiles of the rows (columns) of tiles [begin, end) of the mask with this index.
    void count_lines(int index, ck_tile_masks::Axis axis, index_t begin, index_t end, index_t* counts) const
    {
        const TiledMask& tiled = tiled_[index];
        bound_[index]->count_live_tiles(axis, {0, 0, tiled.seqlen_q(), tiled.seqlen_k()},
                                        {tiled.tile_y(), tiled.tile_x()}, begin, end, counts);
    }

private:
    int64_t num_batches_, num_heads_; // that have masks of their own
    std::vector<std::unique_ptr<BoundMask>> bound_;
    std::vector<TiledMask> tiled_;
};

// The mask bits of an edge tile: bit k of word q set iff query q attends key k (both counted inside the tile).
// Returns null for a full tile, which needs no bits.
inline const uint64_t* query_bits(const TiledMask& mask, index_t i_tile, index_t j_tile, uint64_t (&bits)[kTileQ])
{
    if (mask.StatusOfLiveTile(i_tile, j_tile) == ck_tile_masks::TileStatus::full) return nullptr;
    const auto rows = mask.rows(i_tile), cols = mask.cols(j_tile);
    for (index_t q = 0; q < rows.size(); ++q)
        bits[q] = mask.RowBits(rows.begin + q, cols.begin, cols.size());
    for (index_t q = rows.size(); q < kTileQ; ++q)
        bits[q] = 0;
    return bits;
}

// Transposes a 64 x 64 bit matrix in place by exchanging ever smaller blocks (Warren, "Hacker's Delight", section 7-3).
inline void transpose_bits(uint64_t (&a)[64])
{
    uint64_t mask = 0x00000000ffffffffull;
    for (int j = 32; j != 0; j >>= 1, mask ^= mask << j)
        for (int k = 0; k < 64; k = (k + j + 1) & ~j) {
            const uint64_t t = ((a[k] >> j) ^ a[k + j]) & mask;
            a[k] ^= t << j;
            a[k + j] ^= t;
        }
}

// Per key: bit q set iff query q attends it; null for a full tile.
inline const uint64_t* key_bits(const TiledMask& mask, index_t i_tile, index_t j_tile, uint64_t (&bits)[kTileQ])
{
    if (!query_bits(mask, i_tile, j_tile, bits)) return nullptr;
    transpose_bits(bits);
    return bits;
}

} // namespace ck_fmha::cpu
