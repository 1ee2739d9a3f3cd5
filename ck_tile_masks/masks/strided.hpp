#pragma once

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// Strided attention of the Sparse Transformer: the last `local` positions, and every stride-th one before them.
//
//     attended iff  j <= i  and  (i - j < local  or  stride divides i - j)
//
//      local 2, stride 3       # . . . . . .
//                              # # . . . . .
//                              . # # . . . .
//                              # . # # . . .
//                              . # . # # . .
//                              . . # . # # .
//                              # . . # . # #
//
// Source: Child, Gray, Radford, Sutskever, "Generating Long Sequences with Sparse Transformers", 2019, section 4.2. Its
// two heads (the window; the stride) are merged to one, as in its equation 7. Positions of rows and columns are
// compared as they are when seqlen_q != seqlen_k.

namespace ck_tile_masks {

struct Strided : MaskDefABC<Strided> {
    index_t local;
    index_t stride;

    CK_TILE_MASKS_HD constexpr Strided(index_t local_, index_t stride_) : local(local_), stride(stride_) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "strided"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return j <= i && (i - j < local || (i - j) % stride == 0);
    }

    // A row's positions are those of the row above, one further each, and the first ones of the stride.
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        const bits_t all = low_bits(count), strided = every_nth_bit(stride);
        index_t first = floor_mod(i0 - j0, stride); // j0 + first is a position of row i0, if it is not past the row
        for (index_t i = i0; i < i1; ++i) {
            const bits_t past = i < j0 ? 0 : low_bits(min(i - j0, 63) + 1) & all;
            const bits_t window = i - local < j0 ? ~bits_t{0} : ~low_bits(i - local - j0 + 1);
            bits[i - i0] = past & (window | (first < 64 ? strided << first : 0));
            first = first + 1 == stride ? 0 : first + 1;
        }
    }

    // Columns i0 .. i1 - 1 are attended by their own rows. Before them lie the window of row i0, and, for each row, the
    // columns of its residue.
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        if (from_j >= i1) return kNone;
        if (from_j > i0 - local) return from_j;
        const index_t wait = floor_mod(from_j - i0, stride) < i1 - i0 ? 0 : floor_mod(i0 - from_j, stride);
        return min(from_j + wait, i0 - local + 1);
    }
    // Column j <= i0 is attended by the rows before j + local; only one row of the band may lie past them, and must
    // have j's residue then.
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        if (from_j > i0) return from_j;
        if (stride == 1 || from_j > i1 - 1 - local) return i0 + 1;
        const bool one_row_outside = i1 - i0 == 1 || from_j == i1 - 1 - local;
        if (!one_row_outside || (i1 - 1 - from_j) % stride != 0) return from_j;
        return from_j + 1 > i1 - 1 - local ? i0 + 1 : from_j + 1;
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        if (from_i < j0) return j0;
        if (from_i < sat_add(j1 - 1, local)) return from_i;
        const index_t phase = (from_i - j0) % stride;
        return phase < j1 - j0 ? from_i : sat_add(from_i, stride - phase);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        if (from_i < j1 - 1) return from_i;
        if (stride == 1) return kNone;
        const index_t i = max(from_i, sat_add(j0, local)); // the first row that column j0's window does not reach
        const bool one_col_outside = j1 - j0 == 1 || i == sat_add(j0, local);
        return one_col_outside && (i - j0) % stride == 0 ? sat_add(i, 1) : i;
    }

    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        if (j > i0 - local || i1 - i0 >= stride) return i1;
        return j + (i1 - i0) - floor_mod(j - i0, stride);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        if (j1 - j0 >= stride) return kIndexMax;
        const index_t window_end = sat_add(j1 - 1, local);
        return i < window_end ? window_end : sat_add(i, (j1 - j0) - (i - j0) % stride);
    }

    // The window's tiles; runs as wide as the band, one for each stride, in the tiles before (after) them.
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        const index_t begin = max(i0 - local + 1, 0), end = min(i1, seqlen_k);
        const index_t before = begin < end ? begin / tile * tile : end;
        return tiles_of_runs(i0, stride, min(i1 - i0, stride), 0, before, tile) + tiles_of_interval(begin, end, tile);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        const index_t end = min(sat_add(j1 - 1, local), seqlen_q);
        if (end <= j0) return 0;
        return tiles_of_interval(j0, end, tile) +
               tiles_of_runs(j0, stride, min(j1 - j0, stride), sat_mul((end - 1) / tile + 1, tile), seqlen_q, tile);
    }
};

} // namespace ck_tile_masks
