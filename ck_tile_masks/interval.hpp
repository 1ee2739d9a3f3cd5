#pragma once

#include "ck_tile_masks/index.hpp"

namespace ck_tile_masks {

// A half-open range [begin, end) of rows, columns or tiles; a *band* when it is a range of rows or columns.
struct Interval {
    index_t begin = 0;
    index_t end = 0;

    CK_TILE_MASKS_HD constexpr bool empty() const { return end <= begin; }
    CK_TILE_MASKS_HD constexpr index_t size() const { return empty() ? 0 : end - begin; }
    CK_TILE_MASKS_HD constexpr bool contains(index_t i) const { return begin <= i && i < end; }
};

// Elements of tile `i_tile`, clipped to [0, seqlen).
// @post t(i).contains(e) iff e / tile == i and 0 <= e < seqlen
CK_TILE_MASKS_HD constexpr Interval tile_interval(index_t i_tile, index_t tile, index_t seqlen)
{
    const index_t begin = sat_mul(i_tile, tile);
    return {min(max(begin, 0), seqlen), min(max(sat_add(begin, tile), 0), seqlen)};
}

} // namespace ck_tile_masks
