#pragma once

#include <numeric>
#include <utility>
#include <vector>

#include "ck_tile_masks/block_table.hpp"

namespace ck_fmha {

using ck_tile_masks::index_t;

// A BlockTable with its arrays. Built from the lists of rows; the lists of columns are their transpose.
class OwnedBlockTable {
public:
    OwnedBlockTable() = default;
    // row_begin: num_heads * num_rows + 1 offsets into cols; cols ascending and unique inside a row, all < num_cols.
    OwnedBlockTable(index_t num_heads, index_t num_rows, index_t num_cols, std::vector<index_t> row_begin,
                    std::vector<index_t> cols)
        : num_heads_(num_heads),
          num_rows_(num_rows),
          num_cols_(num_cols),
          row_begin_(std::move(row_begin)),
          cols_(std::move(cols)),
          col_begin_(static_cast<size_t>(num_heads) * num_cols + 1),
          rows_(cols_.size()),
          entry_of_rows_(cols_.size())
    {
        for_each_entry([&](size_t column, index_t, index_t) { ++col_begin_[column + 1]; });
        std::partial_sum(col_begin_.begin(), col_begin_.end(), col_begin_.begin());
        std::vector<index_t> next(col_begin_.begin(), col_begin_.end() - 1);
        for_each_entry([&](size_t column, index_t row, index_t entry) {
            rows_[next[column]] = row;
            entry_of_rows_[next[column]++] = entry;
        });
    }

    ck_tile_masks::BlockTable view() const
    {
        return {num_heads_, num_rows_, num_cols_, row_begin_.data(), cols_.data(), col_begin_.data(), rows_.data()};
    }
    // Which entry of `cols` each entry of `rows` is.
    const std::vector<index_t>& entry_of_rows() const { return entry_of_rows_; }

private:
    template <class Visit>
    void for_each_entry(const Visit& visit) const
    {
        for (index_t head = 0; head < num_heads_; ++head)
            for (index_t row = 0; row < num_rows_; ++row) {
                const size_t line = static_cast<size_t>(head) * num_rows_ + row;
                for (index_t entry = row_begin_[line]; entry < row_begin_[line + 1]; ++entry)
                    visit(static_cast<size_t>(head) * num_cols_ + cols_[entry], row, entry);
            }
    }

    index_t num_heads_ = 0, num_rows_ = 0, num_cols_ = 0;
    std::vector<index_t> row_begin_, cols_, col_begin_, rows_, entry_of_rows_;
};

} // namespace ck_fmha
