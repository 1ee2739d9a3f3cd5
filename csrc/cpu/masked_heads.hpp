#pragma once

#include <memory>
#include <vector>

#include "cpu/tile_kernels.hpp"
#include "fmha/fmha_args.h"
#include "fmha/mask_expr.hpp"

namespace ck_fmha::cpu {

// The mask bound to every head of a call and cut into kernel tiles; heads that share one binding share one entry.
class MaskedHeads {
public:
    MaskedHeads(const MaskExpr& mask, const ck_fmha_problem& p) : varies_(mask.varies_by_head())
    {
        const index_t count = varies_ ? static_cast<index_t>(p.num_heads) : 1;
        for (index_t head = 0; head < count; ++head) {
            const ck_tile_masks::MaskCall call{0, head, static_cast<index_t>(p.seqlen_q),
                                               static_cast<index_t>(p.seqlen_k)};
            bound_.push_back(mask.bind(call));
            tiled_.emplace_back(MaskRef(*bound_.back()), call, ck_tile_masks::DynamicTile{kTileQ, kTileK});
        }
    }

    int num_distinct() const { return static_cast<int>(tiled_.size()); }
    int index(int64_t head) const { return varies_ ? static_cast<int>(head) : 0; }
    const TiledMask& distinct(int index) const { return tiled_[index]; }
    const TiledMask& operator[](int64_t head) const { return tiled_[index(head)]; }

private:
    bool varies_;
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
