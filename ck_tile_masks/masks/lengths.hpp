#pragma once

#include "ck_tile_masks/index_span.hpp"
#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/mask_def.hpp"

// Valid rows and columns of each sample of a padded batch.
//
//     attended iff  row i is valid and column j is valid
//     valid: [0, length) with padding on the right, [seqlen - length, seqlen) with padding on the left
//
//      lengths 3 (q), 4 (k) of 4 x 6:     right padding       left padding
//                                         # # # # . .         . . . . . .
//                                         # # # # . .         . . # # # #
//                                         # # # # . .         . . # # # #
//                                         . . . . . .         . . # # # #
//
// Source: padding masks, as in Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", 2018 (right),
// and in batched generation with decoders (left).

namespace ck_tile_masks {

enum class Padding : signed char { right, left };

// Bound: a rectangle.
struct BoundLengths : MaskDefABC<BoundLengths> {
    Interval rows;
    Interval cols;

    CK_TILE_MASKS_HD constexpr BoundLengths(Interval rows_, Interval cols_) : rows(rows_), cols(cols_) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "lengths"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return rows.contains(i) && cols.contains(j);
    }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_live(rows, cols, {i0, i1}, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_not_full(rows, cols, {i0, i1}, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t, index_t, index_t) const { return cols.end; }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_live(cols, rows, {j0, j1}, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_not_full(cols, rows, {j0, j1}, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t, index_t, index_t) const { return rows.end; }

private:
    CK_TILE_MASKS_HD static constexpr index_t next_live(Interval lines, Interval positions, Interval band, index_t from)
    {
        const index_t first = max(from, positions.begin);
        return max(band.begin, lines.begin) < min(band.end, lines.end) && first < positions.end ? first : kNone;
    }
    CK_TILE_MASKS_HD static constexpr index_t next_not_full(Interval lines, Interval positions, Interval band,
                                                            index_t from)
    {
        const bool all_lines = band.begin >= lines.begin && band.end <= lines.end;
        return all_lines && from >= positions.begin ? max(from, positions.end) : from;
    }
};

// One length a sample; an empty span: all positions are valid. A sample past the end of its span has none.
struct Lengths : MaskDefABC<Lengths> {
    IndexSpan lengths_q; // in the order of the samples, not sorted
    IndexSpan lengths_k;
    Padding padding;

    CK_TILE_MASKS_HD constexpr Lengths(IndexSpan lengths_q_, IndexSpan lengths_k_, Padding padding_ = Padding::right)
        : lengths_q(lengths_q_), lengths_k(lengths_k_), padding(padding_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "lengths"; }
    CK_TILE_MASKS_HD constexpr BoundLengths bind(const MaskCall& call) const
    {
        return {valid(lengths_q, call.batch, call.seqlen_q), valid(lengths_k, call.batch, call.seqlen_k)};
    }

private:
    CK_TILE_MASKS_HD constexpr Interval valid(IndexSpan lengths, index_t batch, index_t seqlen) const
    {
        if (lengths.empty()) return {0, seqlen};
        const index_t length = batch < lengths.size ? min(max(lengths[batch], 0), seqlen) : 0;
        return padding == Padding::left ? Interval{seqlen - length, seqlen} : Interval{0, length};
    }
};

} // namespace ck_tile_masks
