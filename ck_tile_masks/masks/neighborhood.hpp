#pragma once

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/masks/neighborhood_grid.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// Neighbourhood attention on a grid of one, two or three axes; positions are row-major indices, the last axis fastest:
//
//     attended iff  on every axis the coordinate of j lies in the window of the coordinate of i
//
// with the windows of neighborhood_axis.hpp: size n, window K (odd), dilation m, causal or not, borders shifted or
// clipped.
//
//      n 8, K 3, shift          n 8, K 3, clip           n 8, K 3, m 2, shift     n 8, K 3, causal
//      # # # . . . . .          # # . . . . . .          # . # . # . . .          # . . . . . . .
//      # # # . . . . .          # # # . . . . .          . # . # . # . .          # # . . . . . .
//      . # # # . . . .          . # # # . . . .          # . # . # . . .          # # # . . . . .
//      . . # # # . . .          . . # # # . . .          . # . # . # . .          . # # # . . . .
//      . . . # # # . .          . . . # # # . .          . . # . # . # .          . . # # # . . .
//      . . . . # # # .          . . . . # # # .          . . . # . # . #          . . . # # # . .
//      . . . . . # # #          . . . . . # # #          . . # . # . # .          . . . . # # # .
//      . . . . . # # #          . . . . . . # #          . . . # . # . #          . . . . . # # #
//
// Rows and columns past the grid attend nothing. Sources: Hassani et al., "Neighborhood Attention Transformer", 2023,
// section 3.1 (shifted borders); Hassani, Shi, "Dilated Neighborhood Attention Transformer", 2022 (dilation); Hassani
// et al., "Generalized Neighborhood Attention", 2025 (causal axes and fewer dimensions as one family).

namespace ck_tile_masks {

struct Neighborhood : MaskDefABC<Neighborhood> {
    NeighborhoodAxisWalks axes[3]; // the slowest first; axes that are not used have one position
    index_t num_positions;         // at most 2^31 - 1

    CK_TILE_MASKS_HD constexpr Neighborhood(index_t num_dims, const NeighborhoodAxis (&dims)[3], Border border)
        : axes{}, num_positions(1)
    {
        for (index_t n = 0; n < num_dims; ++n) {
            axes[3 - num_dims + n] = NeighborhoodAxisWalks(dims[n], border);
            num_positions = sat_mul(num_positions, dims[n].size);
        }
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "neighborhood"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        if (i >= num_positions || j >= num_positions) return false;
        const index_t width = axes[2].size(), height = axes[1].size();
        return axes[2].attends(i % width, j % width) && axes[1].attends(i / width % height, j / width % height) &&
               axes[0].attends(i / width / height, j / width / height);
    }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_live<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_not_full<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_live<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_not_full<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        return live_run_end<Axis::rows>(i0, i1, j);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        return live_run_end<Axis::cols>(j0, j1, i);
    }

    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        return count_live_tiles<Axis::rows>(i0, i1, tile, seqlen_k);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return count_live_tiles<Axis::cols>(j0, j1, tile, seqlen_q);
    }

    CK_TILE_MASKS_HD bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        return count_lines<Axis::rows>(rows, counts);
    }
    CK_TILE_MASKS_HD bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        return count_lines<Axis::cols>(cols, counts);
    }

    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        const index_t end = min(j0 + count, num_positions);
        if (i >= num_positions || j0 >= end) return 0;
        const index_t width = axes[2].size(), height = axes[1].size();
        const index_t x = i % width, y = i / width % height, z = i / width / height;
        const AxisSet keys = axes[2].attended_by_some<Axis::rows>({x, x + 1});
        bits_t bits = 0;
        // Line by line of the grid: each is attended as a whole, or not at all, as far as the other axes go.
        for (index_t begin = j0; begin < end;) {
            const index_t line = begin / width, first = line * width;
            const index_t line_end = min(sat_add(first, width), end);
            if (axes[1].attends(y, line % height) && axes[0].attends(z, line / height))
                for (index_t from = begin; from < line_end;) {
                    const index_t j = sat_add(first, keys.next_member(from - first));
                    if (j >= line_end) break;
                    from = first + min(keys.next_missing(j - first), line_end - first);
                    bits |= low_bits(from - j) << (j - j0);
                }
            begin = line_end;
        }
        return bits;
    }

private:
    // A box of the grid: its coordinates are independent of each other, hence what some (every) position of it attends
    // is the product of what some (every) coordinate attends on each axis.
    struct Box {
        Interval sides[3];
    };

    // The largest box of consecutive positions that begins at b0 and ends by b1: a part of a line, whole lines of a
    // plane, or whole planes; at most five of them make up a band. Returns where it ends.
    // @pre b0 < b1 <= num_positions
    CK_TILE_MASKS_HD constexpr index_t next_box(index_t b0, index_t b1, Box& box) const
    {
        const index_t width = axes[2].size(), height = axes[1].size();
        const index_t x = b0 % width, y = b0 / width % height, z = b0 / width / height;
        const index_t lines = (b1 - b0) / width, planes = lines / height;
        if (x != 0 || lines == 0) {
            const index_t count = min(width - x, b1 - b0);
            box = {{{z, z + 1}, {y, y + 1}, {x, x + count}}};
            return b0 + count;
        }
        if (y != 0 || planes == 0) {
            const index_t count = min(height - y, lines);
            box = {{{z, z + 1}, {y, y + count}, {0, width}}};
            return b0 + count * width;
        }
        box = {{{z, z + planes}, {0, height}, {0, width}}};
        return b0 + planes * height * width;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr GridSet attended_by_some(const Box& box) const
    {
        return {{axes[0].attended_by_some<kAxis>(box.sides[0]), axes[1].attended_by_some<kAxis>(box.sides[1]),
                 axes[2].attended_by_some<kAxis>(box.sides[2])},
                {axes[0].size(), axes[1].size(), axes[2].size()}};
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr GridSet attended_by_all(const Box& box) const
    {
        return {{axes[0].attended_by_all<kAxis>(box.sides[0]), axes[1].attended_by_all<kAxis>(box.sides[1]),
                 axes[2].attended_by_all<kAxis>(box.sides[2])},
                {axes[0].size(), axes[1].size(), axes[2].size()}};
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        if (from >= num_positions) return kNone;
        index_t first = kNone;
        for (Box box{}; b0 < min(b1, num_positions) && first > from;) {
            b0 = next_box(b0, min(b1, num_positions), box);
            first = min(first, attended_by_some<kAxis>(box).next_member(from));
        }
        return first;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_not_full(index_t b0, index_t b1, index_t from) const
    {
        if (b1 > num_positions || from >= num_positions) return from;
        index_t first = kNone;
        for (Box box{}; b0 < b1 && first > from;) {
            b0 = next_box(b0, b1, box);
            first = min(first, attended_by_all<kAxis>(box).next_missing(from));
        }
        return first;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t live_run_end(index_t b0, index_t b1, index_t from) const
    {
        index_t end = from;
        for (Box box{}; b0 < min(b1, num_positions);) {
            b0 = next_box(b0, min(b1, num_positions), box);
            end = max(end, attended_by_some<kAxis>(box).next_missing(from));
        }
        return end;
    }

    // A band lies in its plane as text lies on lines: from a column of line y0 to a column of line y1. What it attends
    // there has that shape as well, once for each line that y0 attends:
    //
    //     line y0    . . . # # # #        . a # # # # #      a run begins in the first column that the part of the band
    //     line y1    # # # . . . .        # # # # b . .      on line y0 attends, and ends, y1 - y0 lines further down,
    //                                                        with the last one that the part on line y1 attends
    //
    // Where the plane ends, the first or last run is incomplete. The runs repeat in every plane that the band's
    // attends.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_live_tiles(index_t b0, index_t b1, index_t tile, index_t seqlen) const
    {
        b1 = min(b1, num_positions);
        if (b1 <= b0) return 0;
        if (num_positions == kIndexMax) return kUnknownCount; // cut off there
        const index_t width = axes[2].size(), height = axes[1].size(), plane = height * width;
        const index_t line0 = b0 / width, line1 = (b1 - 1) / width;
        const index_t z = line0 / height, y0 = line0 % height, y1 = y0 + (line1 - line0);
        const Interval part0{b0 - line0 * width, line0 == line1 ? b1 - line1 * width : width};
        const Interval part1{line0 == line1 ? part0.begin : 0, b1 - line1 * width};
        const Interval cols0 = axes[2].hull<kAxis>(part0), cols1 = axes[2].hull<kAxis>(part1);

        const index_t step_x = axes[2].dilation(), step_y = axes[1].dilation(), step_z = axes[0].dilation();
        // On a line, one of `step_x` neighbouring columns is attended from the first to the last: no tile is left out.
        // A sequence that ends before the grid may end in a gap.
        const bool no_tile_out = step_x <= tile && num_positions <= seqlen;
        if (!no_tile_out && !(axes[2].attends_interval<kAxis>(part0) && axes[2].attends_interval<kAxis>(part1))) {
            // Columns with gaps between them: runs along a line, which are counted where there is one line only.
            if (num_positions != width || axes[2].crosses_zone<kAxis>(part0)) return kUnknownCount;
            return tiles_of_runs(b0, step_x, b1 - b0, cols0.begin, min(cols0.end, seqlen), tile);
        }
        if (y1 >= height || axes[1].crosses_zone<kAxis>({y0, y1 + 1}))
            return count_line_by_line<kAxis>(b0, b1, tile, seqlen);

        const Interval lines0 = axes[1].hull<kAxis>({y0, y0 + 1});
        const index_t phase = lines0.begin * width + cols0.begin;
        index_t begin = phase, end = (lines0.end - 1) * width + cols1.end;
        if (y0 != y1) {
            begin = min(begin, axes[1].hull<kAxis>({y0 + 1, y1 + 1}).begin * width);
            end = max((axes[1].hull<kAxis>({y1, y1 + 1}).end - 1) * width + cols1.end,
                      axes[1].hull<kAxis>({y0, y1}).end * width);
        }
        const index_t period = sat_mul(step_y, width), length = (y1 - y0) * width + cols1.end - cols0.begin;

        const Interval planes = axes[0].hull<kAxis>({z, z + 1});
        const index_t num_planes = (planes.size() - 1) / step_z + 1, room = seqlen - (planes.end - 1) * plane;
        if (num_planes > 1 && end > room) return count_line_by_line<kAxis>(b0, b1, tile, seqlen);
        const SpacedRuns runs(phase, period, min(length, period), begin, min(end, room));
        return tiles_of_copies(runs, planes.begin * plane, sat_mul(step_z, plane), num_planes, Tiling(tile));
    }

    // Bands that are apart by whole lines of the grid, or planes, or any number of positions inside a line, attend sets
    // that are as far apart, unless one of them is near a border across that distance. If it is also a multiple of the
    // tile, they touch equally many tiles.
    template <Axis kAxis>
    CK_TILE_MASKS_HD bool count_lines(const TileLines& lines, index_t* counts) const
    {
        if (num_positions > min(lines.num_along, kIndexMax - 1)) return false; // sets are cut off
        const index_t band = lines.tile_across, width = axes[2].size(), height = axes[1].size();
        const long_index_t units[3] = {static_cast<long_index_t>(width) * height, width, 1};
        long_index_t period[3] = {}, step[3] = {}; // in bands, and in coordinates of the axis
        for (int axis = 0; axis < 3; ++axis) {
            const long_index_t distance =
                common_multiple(common_multiple(units[axis], lines.tile_along), lines.tile_across);
            period[axis] = distance / band;
            step[axis] = distance / units[axis];
        }
        const GridSet grid{{}, {axes[0].size(), height, width}};
        const index_t* const begin = counts;
        for (index_t line = lines.begin; line < lines.end; ++line, ++counts) {
            const index_t b0 = line * band, b1 = min(sat_add(b0, band), lines.num_across);
            *counts = 0;
            if (b0 >= num_positions) continue;
            *counts = kUnknownCount;
            if (b1 - b0 == band && b1 <= num_positions) {
                const GridSet::Point first = grid.point(b0), last = grid.point(b1 - 1);
                // Not in different lines or planes, unless it is these that the distance is made of.
                bool together = true;
                for (int axis = 0; axis < 3; ++axis) {
                    const index_t margin = axes[axis].margin();
                    if (together && counts - begin >= period[axis] && first.at[axis] >= margin + step[axis] &&
                        last.at[axis] < axes[axis].size() - margin) {
                        *counts = counts[-period[axis]];
                        break;
                    }
                    together = together && first.at[axis] == last.at[axis];
                }
            }
            if (*counts == kUnknownCount) *counts = count_live_tiles<kAxis>(b0, b1, lines.tile_along, num_positions);
            if (*counts == kUnknownCount) *counts = count_runs<kAxis>(b0, b1, Tiling(lines.tile_along));
        }
        return true;
    }
    CK_TILE_MASKS_HD static constexpr long_index_t common_multiple(long_index_t a, index_t b) // @pre 0 < a <= 2^62
    {
        // From 2^62 on it says "further than any sequence is long", and is kept from growing on.
        constexpr long_index_t kFar = long_index_t{1} << 62;
        const long_index_t multiple_of_b = a / Tiling(b).common_divisor(a);
        return multiple_of_b > kFar / b ? kFar : multiple_of_b * b;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_runs(index_t b0, index_t b1, const Tiling& tiling) const
    {
        index_t count = 0;
        for (index_t from = 0; from < num_positions;) {
            const index_t first = next_live<kAxis>(b0, b1, from);
            if (first >= num_positions) break;
            const index_t last = tiling.tile_of(min(live_run_end<kAxis>(b0, b1, first), num_positions) - 1);
            count += last - tiling.tile_of(first) + 1;
            from = sat_mul(last + 1, tiling.size());
        }
        return count;
    }

    // The same where lines of the band attend lines at different distances (borders), or planes.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_line_by_line(index_t b0, index_t b1, index_t tile, index_t seqlen) const
    {
        struct Part {
            Interval hull[3];
            index_t step[3];
            CK_TILE_MASKS_HD constexpr bool contains(int axis, index_t at) const
            {
                return hull[axis].contains(at) && (step[axis] == 1 || (at - hull[axis].begin) % step[axis] == 0);
            }
        };
        Part parts[5] = {};
        int num_parts = 0;
        Interval planes{kNone, 0}, lines{kNone, 0};
        for (Box box{}; b0 < b1; ++num_parts) {
            b0 = next_box(b0, b1, box);
            Part& part = parts[num_parts];
            for (int axis = 0; axis < 3; ++axis) {
                const bool gaps = !axes[axis].attends_interval<kAxis>(box.sides[axis]);
                const bool no_tile_out = axis == 2 && axes[axis].dilation() <= tile && num_positions <= seqlen;
                if (gaps && !no_tile_out && box.sides[axis].size() > 1) return kUnknownCount;
                part.hull[axis] = axes[axis].hull<kAxis>(box.sides[axis]);
                part.step[axis] = gaps ? axes[axis].dilation() : 1;
            }
            planes = {min(planes.begin, part.hull[0].begin), max(planes.end, part.hull[0].end)};
            lines = {min(lines.begin, part.hull[1].begin), max(lines.end, part.hull[1].end)};
        }
        const Tiling tiling(tile);
        TileUnion tiles;
        const index_t width = axes[2].size(), plane = axes[1].size() * width;
        // What lies past the sequence is not looked at: grids may be far larger.
        for (index_t z = planes.begin; z < min(planes.end, div_up(seqlen, plane)); ++z)
            for (index_t y = lines.begin, next = y; y < lines.end; y = next) {
                const index_t line = z * plane + y * width;
                if (line >= seqlen) break;
                next = lines.end;
                // The part that begins on a line lies behind the one that ends on it: parts are taken backwards.
                for (int n = num_parts - 1; n >= 0; --n) {
                    const Part& part = parts[n];
                    if (!part.contains(0, z)) continue;
                    const index_t begin = line + part.hull[2].begin, end = min(line + part.hull[2].end, seqlen);
                    if (begin < end && part.contains(1, y)) tiles.add(tiling.tile_of(begin), tiling.tile_of(end - 1));
                    if (y + 1 < part.hull[1].end) next = min(next, max(y + 1, part.hull[1].begin));
                }
            }
        return tiles.count();
    }
};

} // namespace ck_tile_masks
