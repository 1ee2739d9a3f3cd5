#pragma once

#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_counts.hpp"
#include "ck_tile_masks/tile_schedule.hpp"

// Documents packed one after the other into one sequence; each attends to itself.
//
//     attended iff  i in [q_begin, q_end) and j in [k_begin, k_end) of one document
//                   and, if causal,  j - k_begin <= i - q_begin   (top-left)
//                                or  j - k_end   <= i - q_end     (bottom-right)
//
//      documents of 2 x 2, 3 x 2 and 1 x 2
//      none               top-left           bottom-right
//      # # . . . .        # . . . . .        # . . . . .
//      # # . . . .        # # . . . .        # # . . . .
//      . . # # . .        . . # . . .        . . . . . .
//      . . # # . .        . . # # . .        . . # . . .
//      . . # # . .        . . # # . .        . . # # . .
//      . . . . # #        . . . . # .        . . . . # #
//
// Source: Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021; the variable-length interface
// of FlashAttention (cu_seqlens_q, cu_seqlens_k), whose causal mask is aligned bottom-right in each document.

namespace ck_tile_masks {

// Rows [q_begin, q_end) and columns [k_begin, k_end) of the packed sequences.
struct Document {
    index_t q_begin;
    index_t q_end;
    index_t k_begin;
    index_t k_end;
};

// Aligned in each document for itself.
enum class DocumentCausal : signed char { none, top_left, bottom_right };

// Somebody else owns the documents.
// @pre each has rows and columns; they are ascending and disjoint in rows and in columns (gaps allowed)
struct Documents : MaskDefABC<Documents> {
    const Document* documents;
    index_t num_documents;
    DocumentCausal causal;

    CK_TILE_MASKS_HD constexpr Documents(const Document* documents_, index_t num_documents_,
                                         DocumentCausal causal_ = DocumentCausal::none)
        : documents(documents_), num_documents(num_documents_), causal(causal_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "documents"; }
    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        visit(documents, num_documents);
    }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const { return cols_of_row(i).contains(j); }

    // The band attends in each of its documents what the last of its rows there attends. Only the last document may
    // be cut before its last row and, bottom-right, attend nothing yet; so one look further is enough.
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        index_t n = search_from(first_of_rows(i0), &Document::k_end, from_j);
        for (; n < num_documents && documents[n].q_begin < i1; ++n) {
            const index_t j = max(from_j, documents[n].k_begin);
            if (j < col_end(documents[n], i1 - 1)) return j;
        }
        return kNone;
    }
    // Rows of several documents, or outside of all, have no column in common; those of one attend what the first does.
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        const index_t n = first_of_rows(i0);
        if (n == num_documents || i0 < documents[n].q_begin || i1 > documents[n].q_end) return from_j;
        return from_j < documents[n].k_begin ? from_j : max(from_j, col_end(documents[n], i0));
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t, index_t i1, index_t j) const
    {
        return col_end(documents[first_of_cols(j)], i1 - 1);
    }

    // A document's columns of the band are attended by the rows that attend the first of them. Only the first document
    // may be cut after its first column and, top-left, have no such row.
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        index_t n = search_from(first_of_cols(j0), &Document::q_end, from_i);
        for (; n < num_documents && documents[n].k_begin < j1; ++n) {
            const index_t i = max(from_i, row_begin(documents[n], j0));
            if (i < documents[n].q_end) return i;
        }
        return kNone;
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        const index_t n = first_of_cols(j0);
        if (n == num_documents || j0 < documents[n].k_begin || j1 > documents[n].k_end) return from_i;
        return from_i < row_begin(documents[n], j1 - 1) ? from_i : max(from_i, documents[n].q_end);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t, index_t, index_t i) const
    {
        return documents[first_of_rows(i)].q_end;
    }

    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        index_t n = first_of_rows(i0);
        return count_live_tiles<Axis::rows>(i0, i1, Tiling(tile), seqlen_k, n);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        index_t n = first_of_cols(j0);
        return count_live_tiles<Axis::cols>(j0, j1, Tiling(tile), seqlen_q, n);
    }
    CK_TILE_MASKS_HD constexpr bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        count_lines<Axis::rows>(rows, counts, first_of_rows(rows.begin * rows.tile_across));
        return true;
    }
    CK_TILE_MASKS_HD constexpr bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        count_lines<Axis::cols>(cols, counts, first_of_cols(cols.begin * cols.tile_across));
        return true;
    }

    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        const Interval cols = cols_of_row(i);
        const index_t begin = min(max(cols.begin - j0, 0), count), end = min(max(cols.end - j0, 0), count);
        return low_bits(end) & ~low_bits(begin);
    }

private:
    CK_TILE_MASKS_HD constexpr index_t first_of_rows(index_t i) const
    {
        return search(&Document::q_end, i, 0, num_documents);
    }
    CK_TILE_MASKS_HD constexpr index_t first_of_cols(index_t j) const
    {
        return search(&Document::k_end, j, 0, num_documents);
    }
    // The first document of [low, high) that ends after `value`, or `high`.
    CK_TILE_MASKS_HD constexpr index_t search(index_t Document::* end, index_t value, index_t low, index_t high) const
    {
        while (low < high) {
            const index_t middle = low + (high - low) / 2;
            if (documents[middle].*end <= value)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
    // The first document from `low` on that ends after `value`. It is near: a band has few documents.
    CK_TILE_MASKS_HD constexpr index_t search_from(index_t low, index_t Document::* end, index_t value) const
    {
        index_t high = num_documents;
        for (index_t step = 1; step <= high - low; step *= 2) {
            if (documents[low + step - 1].*end <= value)
                low += step;
            else
                high = low + step - 1;
        }
        return search(end, value, low, high);
    }

    // Bands one after the other go through the documents once.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr void count_lines(const TileLines& lines, index_t* counts, index_t n) const
    {
        const Tiling tiling(lines.tile_along);
        for (index_t line = lines.begin; line < lines.end; ++line) {
            const index_t b0 = line * lines.tile_across, b1 = min(sat_add(b0, lines.tile_across), lines.num_across);
            *counts++ = count_live_tiles<kAxis>(b0, b1, tiling, lines.num_along, n);
        }
    }
    // @pre no document before number n ends after b0
    // @post n is the first one that does
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_live_tiles(index_t b0, index_t b1, const Tiling& tiling, index_t seqlen,
                                                        index_t& n) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        while (n < num_documents && (rows ? documents[n].q_end : documents[n].k_end) <= b0)
            ++n;
        TileUnion tiles;
        for (index_t m = n; m < num_documents; ++m) {
            const Document& document = documents[m];
            if ((rows ? document.q_begin : document.k_begin) >= b1) break;
            const Interval live = rows ? Interval{document.k_begin, min(col_end(document, b1 - 1), seqlen)}
                                       : Interval{row_begin(document, b0), min(document.q_end, seqlen)};
            if (!live.empty()) tiles.add(tiling.tile_of(live.begin), tiling.tile_of(live.end - 1));
        }
        return tiles.count();
    }

    CK_TILE_MASKS_HD constexpr Interval cols_of_row(index_t i) const
    {
        const index_t n = first_of_rows(i);
        if (n == num_documents || i < documents[n].q_begin) return {};
        return {documents[n].k_begin, col_end(documents[n], i)};
    }
    // Row i, or the document's last row before it, attends [k_begin, col_end).
    // @pre i >= q_begin
    // @post k_begin <= col_end <= k_end
    CK_TILE_MASKS_HD constexpr index_t col_end(const Document& document, index_t i) const
    {
        const index_t row = min(i, document.q_end - 1);
        switch (causal) {
        case DocumentCausal::top_left:
            return min(document.k_end, sat_add(document.k_begin, row - document.q_begin + 1));
        case DocumentCausal::bottom_right:
            return max(document.k_begin, document.k_end - (document.q_end - 1 - row));
        default:
            return document.k_end;
        }
    }
    // Column j, or the document's first column after it, is attended by rows [row_begin, q_end).
    // @pre j < k_end
    // @post q_begin <= row_begin; q_end <= row_begin if no row attends the column
    CK_TILE_MASKS_HD constexpr index_t row_begin(const Document& document, index_t j) const
    {
        const index_t col = max(j, document.k_begin);
        switch (causal) {
        case DocumentCausal::top_left:
            return sat_add(document.q_begin, col - document.k_begin);
        case DocumentCausal::bottom_right:
            return max(document.q_begin, document.q_end - (document.k_end - col));
        default:
            return document.q_begin;
        }
    }
};

} // namespace ck_tile_masks
