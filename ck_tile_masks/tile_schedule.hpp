#pragma once

#include "ck_tile_masks/index.hpp"

// Cuts the walks of a mask into ranges that hold about equal numbers of live tiles, so that one global row (forward)
// or column (backward) with thousands of live tiles is not the straggler that everybody waits for.

namespace ck_tile_masks {

enum class Axis : signed char { rows, cols };

// Tiles [begin, end) of line `line` (a row of tiles on Axis::rows, a column on Axis::cols).
struct TileRange {
    index_t line;
    index_t begin;
    index_t end;
    index_t num_live;
    index_t part;      // 0 .. num_parts - 1: which piece of the line this is
    index_t num_parts; // 1 unless the line was cut
};

template <Axis kAxis, class Mask>
CK_TILE_MASKS_HD constexpr index_t num_lines(const Mask& mask)
{
    return kAxis == Axis::rows ? mask.num_tiles_y() : mask.num_tiles_x();
}

template <Axis kAxis, class Mask>
CK_TILE_MASKS_HD constexpr index_t line_length(const Mask& mask)
{
    return kAxis == Axis::rows ? mask.num_tiles_x() : mask.num_tiles_y();
}

// The live tiles of a line from tile `start` on.
template <Axis kAxis, class Mask>
CK_TILE_MASKS_HD constexpr auto walk_line(const Mask& mask, index_t line, index_t start = 0)
{
    if constexpr (kAxis == Axis::rows)
        return mask.GetTileIndexIteratorAlongX(line, start, mask.num_tiles_x());
    else
        return mask.GetTileIndexIteratorAlongY(line, start, mask.num_tiles_y());
}

// How many live tiles a range may hold so that about `target_ranges` ranges share the work. Ranges below `min_live`
// are not worth the merge of their partial results.
CK_TILE_MASKS_HD constexpr index_t balanced_limit(long_index_t num_live, index_t target_ranges, index_t min_live)
{
    const index_t ranges = max(target_ranges, 1);
    return max(saturate((num_live + ranges - 1) / ranges), max(min_live, 1));
}

// Into how many ranges cut_line cuts a line ...
CK_TILE_MASKS_HD constexpr index_t num_parts_of_line(index_t num_live, index_t limit)
{
    return num_live <= limit ? 1 : div_up(num_live, limit);
}
// ... and how many of its live tiles the `part`-th one holds: the first ones one more than the last ones.
CK_TILE_MASKS_HD constexpr index_t num_live_of_part(index_t num_live, index_t num_parts, index_t part)
{
    return num_live / num_parts + (part < num_live % num_parts ? 1 : 0);
}

// Calls emit(TileRange) for the ranges of one line that has `num_live` live tiles, none with more than `limit` >= 1.
// @post the ranges of a line are adjacent and cover [0, number of tiles); their counts differ by at most one
// @post a line without live tiles is one range with num_live == 0
template <Axis kAxis, class Mask, class Emit>
CK_TILE_MASKS_HD constexpr void cut_line(const Mask& mask, index_t line, index_t num_live, index_t limit, Emit&& emit)
{
    const index_t num_parts = num_parts_of_line(num_live, limit);
    if (num_parts == 1) {
        emit(TileRange{line, 0, line_length<kAxis>(mask), num_live, 0, 1});
        return;
    }
    auto it = walk_line<kAxis>(mask, line);
    // Long lines are mostly those that attend everything: if none of the live tiles lies past as many as there are of
    // them, they follow each other, and nobody needs to walk them.
    const index_t first = it.current();
    const bool one_run = walk_line<kAxis>(mask, line, first + num_live).at_end();
    for (index_t part = 0, begin = 0, passed = 0; part < num_parts; ++part) {
        const index_t count = num_live_of_part(num_live, num_parts, part);
        passed += count;
        for (index_t n = 0; n < count && !one_run; ++n)
            it.advance();
        // A range ends where the next one's first live tile begins.
        const index_t end = part + 1 == num_parts ? it.end() : one_run ? first + passed : it.current();
        emit(TileRange{line, begin, end, count, part, num_parts});
        begin = end;
    }
}

} // namespace ck_tile_masks
