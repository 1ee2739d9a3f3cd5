#pragma once

#include "ck_tile_masks/mask_def.hpp"

// The diagonal family: causal masks, sliding windows, attention sinks.
//
//     attended iff  (j < sinks or j >= i + d - left)  and  j <= i + d + right
//     d = 0 (top-left) or seqlen_k - seqlen_q (bottom-right); left, right unbounded allowed
//
//      left 1, right 0        left 1, right 1, sinks 1      causal, bottom-right, Sq 3, Sk 5
//      # . . . .              # # . . .                     # # # . .
//      # # . . .              # # # . .                     # # # # .
//      . # # . .              # # # # .                     # # # # #
//      . . # # .              # . # # #
//
// In CK's coordinates (without sinks): x = 1 + right + d, y = 1 + left - d; attended iff i - y < j < i + x.
// Sinks: Xiao et al., "Efficient Streaming Language Models with Attention Sinks", 2023, section 3.

namespace ck_tile_masks {

enum class Alignment : signed char { top_left, bottom_right };

// Bound: attended iff (j < sinks or j - i >= lo) and j - i <= hi.
struct BoundDiagonal : MaskDefABC<BoundDiagonal> {
    index_t lo;
    index_t hi;
    index_t sinks;

    CK_TILE_MASKS_HD constexpr BoundDiagonal(index_t lo_, index_t hi_, index_t sinks_) : lo(lo_), hi(hi_), sinks(sinks_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "diagonal"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        const index_t offset = j - i;
        return (j < sinks || offset >= lo) && offset <= hi;
    }

    // The band attends j < sinks up to its last row's right end, and [i0 + lo, i1 - 1 + hi].
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        const index_t j = from_j < sinks ? from_j : max(from_j, sat_add(i0, lo));
        return j <= sat_add(i1 - 1, hi) ? j : kNone;
    }
    // All rows attend j iff j <= i0 + hi (the first row ends first), and j < sinks or j >= i1 - 1 + lo.
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        const index_t right_end = sat_add(i0, hi), last_begin = sat_add(i1 - 1, lo);
        if (from_j > right_end || (from_j >= sinks && from_j < last_begin)) return from_j;
        const index_t beyond = sat_add(right_end, 1);
        return from_j < sinks && sinks < last_begin ? min(sinks, beyond) : beyond;
    }
    // Columns [j0, j1): a sink column is attended from row j - hi on, another one by rows [j - hi, j - lo].
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        const index_t i = max(from_i, sat_sub(j0, hi));
        return j0 < sinks || i <= sat_sub(j1 - 1, lo) ? i : kNone;
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        if (from_i < sat_sub(j1 - 1, hi)) return from_i;
        const index_t first = max(j0, sinks); // the non-sink column that rows leave first
        return first < j1 ? max(from_i, sat_add(sat_sub(first, lo), 1)) : kNone;
    }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        const index_t begin = sat_add(i, lo), end = sat_add(sat_add(i, hi), 1);
        return before(end, j0, count) & (~before(begin, j0, count) | before(sinks, j0, count));
    }
    // The sinks are a run of their own where the window has moved on.
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        const index_t window_begin = sat_add(i0, lo), end = sat_add(sat_add(i1 - 1, hi), 1);
        return j < window_begin && sinks < window_begin ? min(sinks, end) : end;
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t) const
    {
        return j0 < sinks ? kIndexMax : sat_add(sat_sub(j1 - 1, lo), 1);
    }

private:
    // Those of the elements [j0, j0 + count) that lie before j.
    CK_TILE_MASKS_HD static constexpr bits_t before(index_t j, index_t j0, index_t count)
    {
        return low_bits(min(max(sat_sub(j, j0), 0), count));
    }
};

struct Diagonal : MaskDefABC<Diagonal> {
    static constexpr index_t kUnbounded = -1;

    index_t left;
    index_t right;
    Alignment alignment;
    index_t sinks;

    CK_TILE_MASKS_HD constexpr Diagonal(index_t left_, index_t right_, Alignment alignment_ = Alignment::top_left,
                                        index_t sinks_ = 0)
        : left(left_), right(right_), alignment(alignment_), sinks(sinks_)
    {
    }
    CK_TILE_MASKS_HD static constexpr Diagonal causal(Alignment alignment = Alignment::top_left)
    {
        return Diagonal(kUnbounded, 0, alignment);
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "diagonal"; }
    CK_TILE_MASKS_HD constexpr BoundDiagonal bind(const MaskCall& call) const
    {
        const index_t d = alignment == Alignment::bottom_right ? call.seqlen_k - call.seqlen_q : 0;
        return BoundDiagonal(left < 0 ? kIndexMin : sat_sub(d, left), right < 0 ? kIndexMax : sat_add(d, right), sinks);
    }
};

} // namespace ck_tile_masks
