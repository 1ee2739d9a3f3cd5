#pragma once

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// Longformer: a sliding window, dilated if wished, plus global tokens that attend and are attended everywhere.
//
//     attended iff  i < g  or  j < g  or  (m divides j - i  and  |i - j| <= (window / 2) * m)
//
//      window 2, g 1          window 2, g 0, dilation m = 2
//      # # # # # #            # . # . . .
//      # # # . . .            . # . # . .
//      # # # # . .            # . # . # .
//      # . # # # .            . # . # . #
//      # . . # # #            . . # . # .
//
// Source: Beltagy, Peters, Cohan, "Longformer: The Long-Document Transformer", 2020, section 3.1. Positions of rows and
// columns are compared as they are when seqlen_q != seqlen_k.

namespace ck_tile_masks {

// The pattern is symmetric, so that one walk serves rows and columns.
struct Longformer : MaskDefABC<Longformer> {
    index_t num_global;
    index_t dilation;
    index_t reach; // the window's last element: window / 2 * dilation, at most 2^31 - 1

    CK_TILE_MASKS_HD constexpr Longformer(index_t window, index_t num_global_ = 0, index_t dilation_ = 1)
        : num_global(num_global_), dilation(dilation_), reach(sat_mul(window / 2, dilation_) / dilation_ * dilation_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "longformer"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        const index_t offset = j < i ? i - j : j - i;
        return i < num_global || j < num_global || (offset <= reach && offset % dilation == 0);
    }

    // A row's window holds the positions of the row above, one further each.
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        const bits_t all = low_bits(count), global = low_bits(max(num_global - j0, 0)) & all;
        const bits_t dilated = every_nth_bit(dilation);
        index_t first = floor_mod(i0 - j0, dilation); // j0 + first is a position of row i0
        for (index_t i = i0; i < i1; ++i) {
            const index_t begin = i - reach > j0 ? i - reach - j0 : 0, last = sat_add(i, reach) - j0;
            const bits_t window = last < 0 ? 0 : low_bits(min(last, 63) + 1) & ~low_bits(begin);
            const bits_t positions = first < 64 ? dilated << first & window & all : 0;
            bits[i - i0] = i < num_global ? all : positions | global;
            first = first + 1 == dilation ? 0 : first + 1;
        }
    }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_live(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_not_full(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_live(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_not_full(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        return live_run_end(i0, i1, j);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        return live_run_end(j0, j1, i);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        return count_live_tiles(i0, i1, tile, seqlen_k);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return count_live_tiles(j0, j1, tile, seqlen_q);
    }

private:
    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        if (b0 < num_global || from < num_global) return from;
        const index_t last = b1 - 1;
        if (from > sat_add(last, reach)) return kNone;
        if (from < b0 - reach) return b0 - reach;
        // Lines [lo, hi] of the band have `from` inside their reach; each attends the positions of its own residue.
        const index_t lo = max(b0, from - reach), hi = min(last, sat_add(from, reach));
        // Line lo's next position is from + wait, the next line's one further, until one stands on `from`. If the band
        // reaches beyond hi, then line hi does: dilation divides reach = hi - from.
        const index_t wait = floor_mod(lo - from, dilation);
        return wait == 0 || hi - lo >= dilation - wait ? from : sat_add(from, wait);
    }

    CK_TILE_MASKS_HD constexpr index_t next_not_full(index_t b0, index_t b1, index_t from) const
    {
        const index_t first = max(b0, num_global); // global lines attend everything
        if (first >= b1) return kNone;
        const index_t position = max(from, num_global);
        const bool one_line = b1 - first == 1;
        // Neighbouring lines of a dilated window have no position in common.
        if (dilation > 1 && !one_line) return position;
        const bool attended = position >= b1 - 1 - reach && position <= sat_add(first, reach) &&
                              floor_mod(position - first, dilation) == 0;
        if (!attended) return position;
        return dilation > 1 ? position + 1 : sat_add(sat_add(first, reach), 1);
    }

    CK_TILE_MASKS_HD constexpr index_t live_run_end(index_t b0, index_t b1, index_t position) const
    {
        if (b0 < num_global) return kIndexMax;
        if (position < num_global) return num_global;
        // `dilation` neighbouring lines leave no gap between their positions.
        return b1 - b0 >= dilation ? sat_add(sat_add(b1 - 1, reach), 1) : position + 1;
    }

    // The tiles of the global tokens, and those of the window's runs after them, each as wide as the band.
    CK_TILE_MASKS_HD constexpr index_t count_live_tiles(index_t b0, index_t b1, index_t tile, index_t seqlen) const
    {
        if (b0 < num_global) return tiles_of_interval(0, seqlen, tile);
        const index_t global = tiles_of_interval(0, min(num_global, seqlen), tile);
        const index_t begin = max(b0 - reach, sat_mul(global, tile)), end = min(sat_add(b1, reach), seqlen);
        return global + tiles_of_runs(b0, dilation, min(b1 - b0, dilation), begin, end, tile);
    }
};

} // namespace ck_tile_masks
