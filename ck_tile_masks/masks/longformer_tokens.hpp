#pragma once

#include "ck_tile_masks/index_span.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// Longformer with global tokens at any positions: G a set of positions.
//
//     attended iff  i in G  or  j in G  or  (m divides j - i  and  |i - j| <= (window / 2) * m)
//
//      window 2, G = { 2, 5 }   # # # . . #
//                               # # # . . #
//                               # # # # # #
//                               . . # # # #
//                               . . # # # #
//                               # # # # # #
//
// Source: Beltagy, Peters, Cohan, "Longformer: The Long-Document Transformer", 2020, section 3.1. Positions of rows and
// columns are compared as they are when seqlen_q != seqlen_k. Data: O(|G|), asked by binary search.

namespace ck_tile_masks {

// Symmetric as Longformer is: one walk serves rows and columns.
struct LongformerTokens : MaskDefABC<LongformerTokens> {
    Longformer window; // the window alone
    IndexSpan global_tokens;

    CK_TILE_MASKS_HD constexpr LongformerTokens(index_t window_, IndexSpan global_tokens_, index_t dilation = 1)
        : window(window_, 0, dilation), global_tokens(global_tokens_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "longformer_tokens"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return window.mask_func(i, j) || global_tokens.contains(i) || global_tokens.contains(j);
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
    CK_TILE_MASKS_HD constexpr bool has_global_line(index_t b0, index_t b1) const
    {
        return global_tokens.next(b0) < b1;
    }

    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        if (has_global_line(b0, b1)) return from;
        return min(window.next_live_col(b0, b1, from), global_tokens.next(from));
    }

    // Global lines attend everything. A position is full if it is global, or if all other lines have it in their
    // windows.
    CK_TILE_MASKS_HD constexpr index_t next_not_full(index_t b0, index_t b1, index_t from) const
    {
        const index_t first = global_tokens.next_missing(b0);
        if (first >= b1) return kNone;
        const index_t last = global_tokens.previous_missing(b1);
        // Windows of lines whose residues differ have no position in common.
        bool windows_meet = true;
        if (window.dilation > 1)
            for (index_t line = first; line <= last && windows_meet; line = global_tokens.next_missing(line + 1))
                windows_meet = (line - first) % window.dilation == 0;
        const index_t begin = last - window.reach, end = sat_add(sat_add(first, window.reach), 1);
        for (index_t position = from;;) {
            position = global_tokens.next_missing(position);
            const bool in_windows = windows_meet && position >= begin && position < end &&
                                    floor_mod(position - first, window.dilation) == 0;
            if (!in_windows || position == kNone) return position;
            position = window.dilation > 1 ? position + 1 : end;
        }
    }

    CK_TILE_MASKS_HD constexpr index_t live_run_end(index_t b0, index_t b1, index_t position) const
    {
        if (has_global_line(b0, b1)) return kIndexMax;
        if (window.next_live_col(b0, b1, position) == position) return window.live_run_end_col(b0, b1, position);
        return global_tokens.next_missing(position);
    }

    // The window's tiles, and those of tokens outside of them: O(|G|), without a search for each of them.
    CK_TILE_MASKS_HD constexpr index_t count_live_tiles(index_t b0, index_t b1, index_t tile, index_t seqlen) const
    {
        if (has_global_line(b0, b1)) return tiles_of_interval(0, seqlen, tile);
        if (b1 - b0 < window.dilation) return kUnknownCount;
        const index_t begin = max(b0 - window.reach, 0), end = min(sat_add(b1, window.reach), seqlen);
        const index_t first = begin / tile, last = end > begin ? (end - 1) / tile : first - 1;
        index_t count = last - first + 1;
        for (index_t n = 0, previous = -1; n < global_tokens.size && global_tokens[n] < seqlen; ++n) {
            const index_t token_tile = global_tokens[n] / tile;
            count += token_tile != previous && (token_tile < first || token_tile > last);
            previous = token_tile;
        }
        return count;
    }
};

} // namespace ck_tile_masks
