#pragma once

#include "ck_tile_masks/index_span.hpp"
#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_counts.hpp"
#include "ck_tile_masks/tile_schedule.hpp"

// Block patterns given line by line. A line is a row of blocks (Axis::rows) or a column of them (Axis::cols), positions
// run along it, and a *run* is an interval of positions that are all attended:
//
//      line 2 (Axis::rows):   # . . # # # . #      next_run(2, 1) == [3, 6)      next_run(2, 4) == [4, 6)
//
// A pattern is a union of a few components, each of which knows its next run; the band walks follow from the lines.

namespace ck_tile_masks {

CK_TILE_MASKS_HD constexpr Interval no_run() { return {kNone, kNone}; }
CK_TILE_MASKS_HD constexpr Interval onward(index_t from) { return {from, kNone}; }
CK_TILE_MASKS_HD constexpr Interval overlap(Interval a, Interval b)
{
    const Interval both{max(a.begin, b.begin), min(a.end, b.end)};
    return both.empty() ? no_run() : both;
}
// The run of a union that begins with the first of two runs.
CK_TILE_MASKS_HD constexpr Interval first_of(Interval a, Interval b)
{
    const Interval first = b.begin < a.begin ? b : a, second = b.begin < a.begin ? a : b;
    return {first.begin, second.begin <= first.end ? max(first.end, second.end) : first.end};
}

// The positions of a line with column <= row.
template <Axis kAxis>
CK_TILE_MASKS_HD constexpr Interval unidirectional_part(index_t line)
{
    return kAxis == Axis::rows ? Interval{0, sat_add(line, 1)} : onward(line);
}
// The positions at a distance of at most `reach` from the diagonal.
CK_TILE_MASKS_HD constexpr Interval window_part(index_t line, index_t reach)
{
    return {sat_sub(line, reach), sat_add(sat_add(line, reach), 1)};
}

// Intervals of blocks that somebody else owns.
// @pre begins and ends are ascending and unique: intervals may touch or overlap, but none lies inside another
struct BlockIntervals {
    IndexSpan begins;
    IndexSpan ends;

    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        begins.for_each_array(visit);
        ends.for_each_array(visit);
    }

    // The first interval that ends after `from`, or no_run(): the one that contains `from`, if any does.
    CK_TILE_MASKS_HD constexpr Interval next(index_t from) const
    {
        const index_t n = ends.upper_bound(from);
        return n < ends.size ? Interval{begins[n], ends[n]} : no_run();
    }
    // The number of tiles in which the intervals that begin at block `last` or before have positions of [lo, hi);
    // O(intervals).
    // @pre hi <= tiling.seqlen()
    CK_TILE_MASKS_HD constexpr index_t count_tiles(index_t lo, index_t hi, index_t last,
                                                   const BlockTiling& tiling) const
    {
        TileUnion tiles;
        for (index_t n = ends.upper_bound(lo / tiling.block()); n < ends.size && begins[n] <= last; ++n) {
            const index_t begin = max(tiling.begin_of(begins[n]), lo), end = min(tiling.begin_of(ends[n]), hi);
            if (begin >= hi) break;
            tiles.add(tiling.tiling().tile_of(begin), tiling.tiling().tile_of(end - 1));
        }
        return tiles.count();
    }
};

// The number of tiles that an interval of blocks and the rest of a line touch. count_rest(lo, hi) counts those in which
// the rest has positions of [lo, hi), where lo and hi are borders of tiles or the line's ends.
// @pre 0 <= own.begin, own.end <= tiling.num_blocks()
template <class CountRest>
CK_TILE_MASKS_HD constexpr index_t tiles_beside(Interval own, const BlockTiling& tiling, CountRest count_rest)
{
    if (own.empty()) return count_rest(0, tiling.seqlen());
    const index_t before = tiling.first_tile(own.begin), after = tiling.last_tile(own.end - 1) + 1;
    const index_t size = tiling.tiling().size();
    return count_rest(0, before * size) + (after - before) + count_rest(sat_mul(after, size), tiling.seqlen());
}

// Base of a bound definition whose blocks are all or nothing. Derived gives the block shape and
//
//     template <Axis kAxis> Interval next_run(index_t line, index_t from) const;
//         begin: the smallest attended position >= from, or kNone; [begin, end) is attended, end > begin. The run need
//         not be maximal; positions past the end of the line may be included.
//
// If some components are dear to ask, Derived also gives `next_regular_run`, the same without these: what live runs are
// followed through. If it can count without following runs, it also gives
//
//     template <Axis kAxis> index_t count_tiles(index_t b0, index_t b1, const BlockTiling& tiling) const;
//         the number of tiles in which lines [b0, b1) attend blocks of the tiling, or kUnknownCount
//
// Walks are exact; over a band of n lines they cost n times a line's, less where an early line answers `from`.
template <class Derived>
struct BlockLines : MaskDefABC<Derived> {
    static constexpr bool IsTileMask = true;

    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool tile_mask_func(index_t i, index_t j) const
    {
        return run<Axis::rows>(i, j).begin == j;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_regular_run(index_t line, index_t from) const
    {
        return run<kAxis>(line, from);
    }

    CK_TILE_MASKS_HD constexpr index_t next_live_block_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_live<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_block_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_not_full<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_block_col(index_t i0, index_t i1, index_t j) const
    {
        return live_run_end<Axis::rows>(i0, i1, j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_block_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_live<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_block_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_not_full<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_block_row(index_t j0, index_t j1, index_t i) const
    {
        return live_run_end<Axis::cols>(j0, j1, i);
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_tiles(index_t, index_t, const BlockTiling&) const
    {
        return kUnknownCount;
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        const Derived& derived = static_cast<const Derived&>(*this);
        const index_t block = derived.block_y();
        return derived.template count_tiles<Axis::rows>(i0 / block, (i1 - 1) / block + 1,
                                                        BlockTiling(derived.block_x(), tile, seqlen_k));
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        const Derived& derived = static_cast<const Derived&>(*this);
        const index_t block = derived.block_x();
        return derived.template count_tiles<Axis::cols>(j0 / block, (j1 - 1) / block + 1,
                                                        BlockTiling(derived.block_y(), tile, seqlen_q));
    }

    CK_TILE_MASKS_HD constexpr bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        const Derived& derived = static_cast<const Derived&>(*this);
        return count_lines<Axis::rows>(rows, derived.block_y(), derived.block_x(), counts);
    }
    CK_TILE_MASKS_HD constexpr bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        const Derived& derived = static_cast<const Derived&>(*this);
        return count_lines<Axis::cols>(cols, derived.block_x(), derived.block_y(), counts);
    }

private:
    // Lines of tiles that lie in the same lines of blocks are counted once.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool count_lines(const TileLines& lines, index_t block_across, index_t block_along,
                                                index_t* counts) const
    {
        const BlockTiling tiling(block_along, lines.tile_along, lines.num_along);
        const Tiling across(block_across);
        Interval previous{};
        index_t count = 0;
        for (index_t line = lines.begin; line < lines.end; ++line) {
            const index_t e0 = line * lines.tile_across, e1 = min(sat_add(e0, lines.tile_across), lines.num_across);
            const Interval band{across.tile_of(e0), across.tile_of(e1 - 1) + 1};
            if (band.begin != previous.begin || band.end != previous.end)
                count = static_cast<const Derived&>(*this).template count_tiles<kAxis>(band.begin, band.end, tiling);
            previous = band;
            *counts++ = count;
        }
        return true;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval run(index_t line, index_t from) const
    {
        return static_cast<const Derived&>(*this).template next_run<kAxis>(line, from);
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        index_t first = kNone;
        for (index_t line = b0; line < b1 && first > from; ++line)
            first = min(first, run<kAxis>(line, from).begin);
        return first;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_not_full(index_t b0, index_t b1, index_t from) const
    {
        index_t first = kNone;
        for (index_t line = b0; line < b1 && first > from; ++line)
            for (index_t position = from; position < first;) {
                const Interval attended = run<kAxis>(line, position);
                if (attended.begin > position)
                    first = position;
                else
                    position = attended.end;
            }
        return first;
    }

    // Each line that attends the end of the run so far carries it on: neighbouring windows are followed to the last
    // one's end.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t live_run_end(index_t b0, index_t b1, index_t position) const
    {
        index_t end = position;
        for (index_t line = b0; line < b1 && end < kNone; ++line) {
            const Interval attended = static_cast<const Derived&>(*this).template next_regular_run<kAxis>(line, end);
            if (attended.begin == end) end = attended.end;
        }
        return max(end, position + 1);
    }
};

} // namespace ck_tile_masks
