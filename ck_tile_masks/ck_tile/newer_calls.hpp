#pragma once

// What CK Tile's pipelines ask of a mask beyond the calls of ROCm 6.2: all that differs between its versions.
//
//     since ROCm 6.3   GetTileRangeAlongX(..., num_splits, i_split)   a row's part for one of several work-groups
//     after ROCm 6.4   GetSinkTileRangeAlongX, IsOutOfSinkBound       attention sinks apart from the rest of the mask
//
// Dropout and the cap of logits are no business of masks there.

#include "ck_tile_masks/interval.hpp"

namespace ck_tile_masks {

// Base of `Mask`, which has range_along_x and IsOutOfBound.
template <class Mask, class Interface>
class NewerCalls {
public:
    // @post the parts i_split in [0, num_splits) are disjoint, made of whole tiles, and together the range of the row
    template <class YTile, class XTile>
    CK_TILE_MASKS_HD constexpr auto GetTileRangeAlongX(index_t i_y, YTile, XTile, index_t num_splits,
                                                       index_t i_split) const
    {
        const Interval all = self().range_along_x(i_y, YTile::value, XTile::value);
        // Rounded up: near 2^31 the end of a range is cut off.
        const index_t num_tiles = div_up(all.size(), XTile::value), per_split = div_up(num_tiles, max(num_splits, 1));
        const auto at = [&](index_t split) {
            return sat_add(all.begin, sat_mul(min(sat_mul(split, per_split), num_tiles), XTile::value));
        };
        return Interface::make(at(i_split), at(sat_add(i_split, 1)));
    }

    // A mask has its sinks like everything else that it attends: none come before the range.
    template <class YTile, class XTile>
    CK_TILE_MASKS_HD constexpr auto GetSinkTileRangeAlongX(index_t i_y, YTile, XTile) const
    {
        const Interval all = self().range_along_x(i_y, YTile::value, XTile::value);
        return Interface::make(index_t{0}, all.begin, all.end);
    }
    CK_TILE_MASKS_HD constexpr bool IsOutOfSinkBound(index_t i_y, index_t i_x) const
    {
        return self().IsOutOfBound(i_y, i_x);
    }

private:
    CK_TILE_MASKS_HD constexpr const Mask& self() const { return static_cast<const Mask&>(*this); }
};

} // namespace ck_tile_masks
