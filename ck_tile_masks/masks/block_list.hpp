#pragma once

#include "ck_tile_masks/block_table.hpp"
#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_schedule.hpp"

// Any pattern, given as data: the blocks of block_y x block_x elements that are attended, wholly or in part.
//
//     attended iff  block (I, J) = (i / block_y, j / block_x) is listed, and
//                   it is whole or its bitmap has element (i - I * block_y, j - J * block_x)
//
//      blocks of 2 x 3: (0, 0) and (2, 1) whole, (1, 1) partial      # # # . . .
//                                                                    # # # . . .
//                                                                    . . . # # .
//                                                                    . . . . # #
//                                                                    . . . # # #
//                                                                    . . . # # #
//
// Memory O(listed blocks), not O(elements). Source: block-sparse attention, as in Child et al., "Generating Long
// Sequences with Sparse Transformers", 2019, section 5.5, with a layout of any origin.

namespace ck_tile_masks {

// Which of the listed blocks are attended in part only, and what of them. Somebody else owns the arrays; the default is
// no partial block. Blocks may share a bitmap: those on the diagonal of a causal pattern have the same.
// @pre the block list lists every block of `blocks`
struct PartialBlocks {
    BlockTable blocks = {};                  // the partial blocks alone, of one head
    const index_t* bitmap_of_cols = nullptr; // for each entry of blocks.cols the number of its bitmap
    const index_t* bitmap_of_rows = nullptr; // for each entry of blocks.rows the number of its bitmap
    // block_y * ceil(block_x / 64) words a bitmap, row by row: bit n of word w of row r is element (r, 64 * w + n).
    const bits_t* bitmaps = nullptr;
    index_t num_bitmaps = 0;

    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit, long_index_t words_of_a_bitmap)
    {
        blocks.for_each_array(visit);
        const index_t num_entries = blocks.row_begin == nullptr ? 0 : blocks.row_begin[blocks.num_rows];
        visit(bitmap_of_cols, num_entries);
        visit(bitmap_of_rows, num_entries);
        visit(bitmaps, num_bitmaps * words_of_a_bitmap);
    }
};

// A band cuts lines of blocks: rows of blocks if it is a band of rows (Axis::rows), else columns of them. Positions run
// along a line. The answer for the band comes from the answers for its lines.
struct BlockList : MaskDefABC<BlockList> {
    index_t block_y;
    index_t block_x;
    BlockTable blocks; // of one head
    PartialBlocks partial;

    CK_TILE_MASKS_HD constexpr BlockList(index_t block_y_, index_t block_x_, const BlockTable& blocks_,
                                         const PartialBlocks& partial_ = {})
        : block_y(block_y_), block_x(block_x_), blocks(blocks_), partial(partial_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "block_list"; }
    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        blocks.for_each_array(visit);
        partial.for_each_array(visit, static_cast<long_index_t>(block_y) * div_up(block_x, 64));
    }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const { return row_bits(i, j, 1) != 0; }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_live<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_not_full<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        return live_run_end<Axis::rows>(i0, i1, j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_live<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_not_full<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        return live_run_end<Axis::cols>(j0, j1, i);
    }

    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        const index_t line = i / block_y, row = i % block_y, end = j0 + count;
        const IndexSpan listed = blocks.cols_of(line);
        bits_t bits = 0;
        for (index_t n = listed.lower_bound(j0 / block_x); n < listed.size; ++n) {
            const index_t begin = sat_mul(listed[n], block_x);
            if (begin >= end) break;
            const index_t start = max(begin, j0), length = min(end, sat_add(begin, block_x)) - start;
            const bits_t* bitmap = bitmap_of<Axis::rows>(line, listed[n]);
            const bits_t part = bitmap != nullptr ? elements(bitmap, row, start - begin) : ~bits_t{0};
            bits |= (part & low_bits(length)) << (start - j0);
        }
        return bits;
    }
    // The blocks of a line are looked up once for all of its rows.
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        const index_t end = j0 + count;
        for (index_t i = i0; i < i1;) {
            const index_t line = i / block_y, line_begin = line * block_y,
                          line_end = min(sat_add(line_begin, block_y), i1);
            for (index_t row = i; row < line_end; ++row)
                bits[row - i0] = 0;
            const IndexSpan listed = blocks.cols_of(line);
            for (index_t n = listed.lower_bound(j0 / block_x); n < listed.size; ++n) {
                const index_t begin = sat_mul(listed[n], block_x);
                if (begin >= end) break;
                const index_t start = max(begin, j0), length = min(end, sat_add(begin, block_x)) - start;
                const bits_t* bitmap = bitmap_of<Axis::rows>(line, listed[n]);
                for (index_t row = i; row < line_end; ++row) {
                    const bits_t part =
                        bitmap != nullptr ? elements(bitmap, row - line_begin, start - begin) : ~bits_t{0};
                    bits[row - i0] |= (part & low_bits(length)) << (start - j0);
                }
            }
            i = line_end;
        }
    }

private:
    // What is sought in a bitmap: the first position that some line of the band attends (live), that some line does
    // not attend (not full), that no line attends (dead).
    enum class Seek : signed char { live, not_full, dead };

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t line_size() const
    {
        return kAxis == Axis::rows ? block_y : block_x;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t block_size() const
    {
        return kAxis == Axis::rows ? block_x : block_y;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD static constexpr IndexSpan blocks_of(const BlockTable& table, index_t line)
    {
        return kAxis == Axis::rows ? table.cols_of(line) : table.rows_of(line);
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        index_t first = kNone;
        for (index_t line = b0 / line_size<kAxis>(); line <= last_line<kAxis>(b1) && first > from; ++line)
            first = min(first, next_live_in<kAxis>(line, part_of_band<kAxis>(line, b0, b1), from, first));
        return first;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_not_full(index_t b0, index_t b1, index_t from) const
    {
        index_t first = kNone;
        for (index_t line = b0 / line_size<kAxis>(); line <= last_line<kAxis>(b1) && first > from; ++line)
            first = min(first, next_not_full_in<kAxis>(line, part_of_band<kAxis>(line, b0, b1), from, first));
        return first;
    }
    // Each line that attends the position carries it on.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t live_run_end(index_t b0, index_t b1, index_t position) const
    {
        for (index_t line = b0 / line_size<kAxis>(); line <= last_line<kAxis>(b1); ++line)
            position = live_run_end_in<kAxis>(line, part_of_band<kAxis>(line, b0, b1), position);
        return position;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t last_line(index_t b1) const
    {
        return (b1 - 1) / line_size<kAxis>();
    }
    // The part of the band that lies in a line of blocks, counted from the line's begin.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval part_of_band(index_t line, index_t b0, index_t b1) const
    {
        const index_t begin = line * line_size<kAxis>();
        return {max(b0 - begin, 0), min(b1 - begin, line_size<kAxis>())};
    }

    // Answers from `limit` on are of no interest.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_live_in(index_t line, Interval band, index_t from, index_t limit) const
    {
        const IndexSpan listed = blocks_of<kAxis>(blocks, line);
        for (index_t n = listed.lower_bound(from / block_size<kAxis>()); n < listed.size; ++n) {
            const index_t begin = sat_mul(listed[n], block_size<kAxis>()), start = max(from, begin);
            if (start >= limit) break;
            const bits_t* bitmap = bitmap_of<kAxis>(line, listed[n]);
            if (bitmap == nullptr) return start;
            const index_t position = next_in_bitmap<kAxis>(bitmap, band, start - begin, Seek::live);
            if (position < block_size<kAxis>()) return sat_add(begin, position);
        }
        return kNone;
    }
    // The run of listed blocks that `from` stands in ends it, unless one of them is partial.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_not_full_in(index_t line, Interval band, index_t from, index_t limit) const
    {
        const index_t block = from / block_size<kAxis>();
        const index_t run_end = blocks_of<kAxis>(blocks, line).next_missing(block);
        const IndexSpan entries = blocks_of<kAxis>(partial.blocks, line);
        for (index_t n = entries.lower_bound(block); n < entries.size && entries[n] < run_end; ++n) {
            const index_t begin = sat_mul(entries[n], block_size<kAxis>()), start = max(from, begin);
            if (start >= limit) break;
            const index_t position =
                next_in_bitmap<kAxis>(bitmap_at<kAxis>(entries, n), band, start - begin, Seek::not_full);
            if (position < block_size<kAxis>()) return sat_add(begin, position);
        }
        return max(from, sat_mul(run_end, block_size<kAxis>()));
    }
    // @post == position if the line does not attend it
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_in(index_t line, Interval band, index_t position) const
    {
        const index_t block = position / block_size<kAxis>();
        const index_t run_end = blocks_of<kAxis>(blocks, line).next_missing(block);
        const index_t next_partial = blocks_of<kAxis>(partial.blocks, line).next(block);
        if (run_end == block) return position;
        if (next_partial > block) return sat_mul(min(run_end, next_partial), block_size<kAxis>());
        const index_t begin = block * block_size<kAxis>();
        return sat_add(begin, next_in_bitmap<kAxis>(bitmap_of<kAxis>(line, block), band, position - begin, Seek::dead));
    }

    CK_TILE_MASKS_HD constexpr index_t words_per_row() const { return div_up(block_x, 64); }
    CK_TILE_MASKS_HD constexpr const bits_t* bitmap_row(const bits_t* bitmap, index_t row) const
    {
        return bitmap + static_cast<long_index_t>(row) * words_per_row();
    }
    // The bitmap of a listed block, or nullptr if it is whole.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr const bits_t* bitmap_of(index_t line, index_t block) const
    {
        const IndexSpan entries = blocks_of<kAxis>(partial.blocks, line);
        const index_t n = entries.lower_bound(block);
        return n < entries.size && entries[n] == block ? bitmap_at<kAxis>(entries, n) : nullptr;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr const bits_t* bitmap_at(IndexSpan entries, index_t n) const
    {
        const index_t number = kAxis == Axis::rows ? partial.bitmap_of_cols[entries.data - partial.blocks.cols + n]
                                                   : partial.bitmap_of_rows[entries.data - partial.blocks.rows + n];
        return partial.bitmaps + static_cast<long_index_t>(number) * block_y * words_per_row();
    }
    // The elements of a row of a bitmap from `col` on, as far as one word holds them.
    CK_TILE_MASKS_HD constexpr bits_t elements(const bits_t* bitmap, index_t row, index_t col) const
    {
        const bits_t* words = bitmap_row(bitmap, row) + col / 64;
        const bool two_words = col % 64 != 0 && col / 64 + 1 < words_per_row();
        return words[0] >> (col % 64) | (two_words ? words[1] << (64 - col % 64) : 0);
    }

    // @post the first position >= from of the block, or the block's size
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_in_bitmap(const bits_t* bitmap, Interval band, index_t from,
                                                      Seek seek) const
    {
        const bits_t flip = seek == Seek::not_full ? ~bits_t{0} : 0;
        if constexpr (kAxis == Axis::rows) {
            for (index_t w = from / 64; w < words_per_row(); ++w) {
                bits_t found = 0;
                for (index_t row = band.begin; row < band.end; ++row)
                    found |= bitmap_row(bitmap, row)[w] ^ flip;
                if (seek == Seek::dead) found = ~found;
                if (w == from / 64) found &= ~low_bits(from % 64);
                if (found != 0) return min(w * 64 + lowest_bit(found), block_x);
            }
            return block_x;
        } else {
            for (index_t row = from; row < block_y; ++row) {
                bool found = false;
                for (index_t col = band.begin; col < band.end && !found; col += min(64, band.end - col))
                    found = ((elements(bitmap, row, col) ^ flip) & low_bits(band.end - col)) != 0;
                if (found != (seek == Seek::dead)) return row;
            }
            return block_y;
        }
    }
    // @pre bits != 0
    CK_TILE_MASKS_HD static constexpr index_t lowest_bit(bits_t bits)
    {
        index_t n = 0;
        for (index_t half = 32; half > 0; half /= 2)
            if (((bits >> n) & low_bits(half)) == 0) n += half;
        return n;
    }
};

} // namespace ck_tile_masks
