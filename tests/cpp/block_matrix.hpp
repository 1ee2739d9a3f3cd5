#pragma once

// Lists of blocks as tests write them down: a plain matrix of flags for each head, and the arrays of a BlockTable made
// from it.

#include <cstddef>
#include <random>
#include <vector>

#include "ck_tile_masks/block_table.hpp"

namespace mask_tests {

using ck_tile_masks::index_t;

// flag(head, row, col): is the block listed?
class BlockMatrix {
public:
    BlockMatrix(index_t heads, index_t rows, index_t cols)
        : heads_(heads), rows_(rows), cols_(cols), flags_(std::size_t(heads) * std::size_t(rows) * std::size_t(cols))
    {
    }
    // Each block with the given probability.
    BlockMatrix(index_t heads, index_t rows, index_t cols, double density, unsigned seed)
        : BlockMatrix(heads, rows, cols)
    {
        std::mt19937 engine(seed);
        for (char& flag : flags_)
            flag = std::bernoulli_distribution(density)(engine);
    }

    index_t heads() const { return heads_; }
    index_t rows() const { return rows_; }
    index_t cols() const { return cols_; }
    void list(index_t head, index_t row, index_t col) { flags_[cell(head, row, col)] = true; }
    // Blocks past the matrix are not listed; heads past it begin again.
    bool flag(index_t head, index_t row, index_t col) const
    {
        return row < rows_ && col < cols_ && flags_[cell(head % heads_, row, col)];
    }

private:
    std::size_t cell(index_t head, index_t row, index_t col) const
    {
        return (std::size_t(head) * std::size_t(rows_) + std::size_t(row)) * std::size_t(cols_) + std::size_t(col);
    }

    index_t heads_, rows_, cols_;
    std::vector<char> flags_;
};

// Owns what a BlockTable points to.
class BlockLists {
public:
    explicit BlockLists(const BlockMatrix& matrix) : heads_(matrix.heads()), rows_(matrix.rows()), cols_(matrix.cols())
    {
        for (index_t head = 0; head < heads_; ++head)
            for (index_t row = 0; row < rows_; ++row) {
                for (index_t col = 0; col < cols_; ++col)
                    if (matrix.flag(head, row, col)) col_entries_.push_back(col);
                row_begin_.push_back(index_t(col_entries_.size()));
            }
        for (index_t head = 0; head < heads_; ++head)
            for (index_t col = 0; col < cols_; ++col) {
                for (index_t row = 0; row < rows_; ++row)
                    if (matrix.flag(head, row, col)) row_entries_.push_back(row);
                col_begin_.push_back(index_t(row_entries_.size()));
            }
    }

    ck_tile_masks::BlockTable table() const
    {
        return {heads_, rows_, cols_, row_begin_.data(), col_entries_.data(), col_begin_.data(), row_entries_.data()};
    }

private:
    index_t heads_, rows_, cols_;
    std::vector<index_t> row_begin_ = {0}, col_entries_, col_begin_ = {0}, row_entries_;
};

} // namespace mask_tests
