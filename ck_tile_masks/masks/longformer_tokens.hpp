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
    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        global_tokens.for_each_array(visit);
    }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return window.mask_func(i, j) || global_tokens.contains(i) || global_tokens.contains(j);
    }

    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        const bits_t all = low_bits(count);
        bits_t global = 0;
        for (index_t j = global_tokens.next(j0); j < j0 + count; j = global_tokens.next(j + 1))
            global |= bits_t{1} << (j - j0);
        window.tile_bits(i0, i1, j0, count, bits);
        index_t next = global_tokens.next(i0);
        for (index_t i = i0; i < i1; ++i) {
            bits[i - i0] = i == next ? all : bits[i - i0] | global;
            if (i == next) next = global_tokens.next(i + 1);
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
        return Counter(*this, tile, seqlen_k).count(i0, i1);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return Counter(*this, tile, seqlen_q).count(j0, j1);
    }
    CK_TILE_MASKS_HD constexpr bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        return count_lines(rows, counts);
    }
    CK_TILE_MASKS_HD constexpr bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        return count_lines(cols, counts);
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

    // The global tokens below a limit that only grows, and how many tiles they touch.
    struct PassedTokens {
        index_t number = 0;
        index_t tiles = 0;

        CK_TILE_MASKS_HD constexpr void pass(IndexSpan tokens, index_t limit, const Tiling& tiling)
        {
            for (; number < tokens.size && tokens[number] < limit; ++number)
                tiles += number == 0 || tiling.tile_of(tokens[number]) != tiling.tile_of(tokens[number - 1]);
        }
    };

    // Counts the tiles of one band after the other: the window's, and those of tokens before and after it. O(|G|) for
    // all of them together.
    class Counter {
    public:
        CK_TILE_MASKS_HD constexpr Counter(const LongformerTokens& mask, index_t tile, index_t seqlen)
            : mask_(mask), seqlen_(seqlen), tiling_(tile)
        {
            tokens_ = {mask.global_tokens.data, mask.global_tokens.lower_bound(seqlen)};
            all_.pass(tokens_, seqlen, tiling_);
        }

        // @pre called with ascending bands
        CK_TILE_MASKS_HD constexpr index_t count(index_t b0, index_t b1)
        {
            const IndexSpan lines = mask_.global_tokens;
            while (line_ < lines.size && lines[line_] < b0)
                ++line_;
            if (line_ < lines.size && lines[line_] < b1) return tiling_.touched(0, seqlen_);
            const Longformer& window = mask_.window;
            const index_t begin = max(b0 - window.reach, 0), end = min(sat_add(b1, window.reach), seqlen_);
            if (begin >= end) return all_.tiles;

            // Before the tiles from the window's begin to its end, among them, after them.
            const index_t tile = tiling_.size();
            before_.pass(tokens_, tiling_.tile_of(begin) * tile, tiling_);
            until_.pass(tokens_, sat_mul(tiling_.tile_of(end - 1) + 1, tile), tiling_);
            index_t count =
                window.count_live_col_tiles(b0, b1, tile, seqlen_) + before_.tiles + all_.tiles - until_.tiles;
            // Between the positions of a dilated window there is room for more tiles.
            for (index_t n = before_.number; n < until_.number && b1 - b0 < window.dilation; ++n) {
                const index_t token_tile = tiling_.tile_of(tokens_[n]);
                const bool repeated = n > before_.number && tiling_.tile_of(tokens_[n - 1]) == token_tile;
                count += !repeated &&
                         window.next_live_col(b0, b1, token_tile * tile) >= min(sat_mul(token_tile + 1, tile), seqlen_);
            }
            return count;
        }

    private:
        const LongformerTokens& mask_;
        IndexSpan tokens_; // inside the sequence
        index_t seqlen_;
        Tiling tiling_;
        index_t line_ = 0; // tokens as lines: the number of those before the band
        PassedTokens all_, before_, until_;
    };

    CK_TILE_MASKS_HD constexpr bool count_lines(const TileLines& lines, index_t* counts) const
    {
        Counter counter(*this, lines.tile_along, lines.num_along);
        for (index_t line = lines.begin; line < lines.end; ++line) {
            const index_t begin = line * lines.tile_across;
            *counts++ = counter.count(begin, min(sat_add(begin, lines.tile_across), lines.num_across));
        }
        return true;
    }
};

} // namespace ck_tile_masks
