#pragma once

#include "ck_tile_masks/index_span.hpp"

namespace ck_tile_masks {

// Lists of blocks for each row of blocks and, transposed, for each column, of one or more heads: what a pattern that is
// data walks in both directions. Memory O(listed blocks + rows + columns). Somebody else owns the arrays.
// @pre a line's entries are ascending and unique, and `rows` is the transpose of `cols`
struct BlockTable {
    index_t num_heads = 0; // 1: every head has the same lists
    index_t num_rows = 0;
    index_t num_cols = 0;
    const index_t* row_begin = nullptr; // num_heads * num_rows + 1 offsets into cols
    const index_t* cols = nullptr;
    const index_t* col_begin = nullptr; // num_heads * num_cols + 1 offsets into rows
    const index_t* rows = nullptr;

    // The part of one head, as a table of a single head.
    CK_TILE_MASKS_HD constexpr BlockTable of_head(index_t head) const
    {
        BlockTable part = *this;
        if (num_heads <= 0) return part;
        part.num_heads = 1;
        part.row_begin += static_cast<long_index_t>(head % num_heads) * num_rows;
        part.col_begin += static_cast<long_index_t>(head % num_heads) * num_cols;
        return part;
    }
    // The arrays as far as the first head needs them.
    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        if (row_begin == nullptr) return;
        visit(cols, row_begin[num_rows]);
        visit(rows, col_begin[num_cols]);
        visit(row_begin, static_cast<long_index_t>(num_rows) + 1);
        visit(col_begin, static_cast<long_index_t>(num_cols) + 1);
    }
    // Columns listed for a row of blocks of the first head, rows listed for a column; none past the table.
    CK_TILE_MASKS_HD constexpr IndexSpan cols_of(index_t row) const { return line(row_begin, num_rows, cols, row); }
    CK_TILE_MASKS_HD constexpr IndexSpan rows_of(index_t col) const { return line(col_begin, num_cols, rows, col); }

private:
    CK_TILE_MASKS_HD static constexpr IndexSpan line(const index_t* begin, index_t count, const index_t* entries,
                                                     index_t n)
    {
        if (n >= count) return {};
        return {entries + begin[n], begin[n + 1] - begin[n]};
    }
};

} // namespace ck_tile_masks
