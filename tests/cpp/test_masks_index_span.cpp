// IndexSpan and BlockTable: searches in ascending numbers, lists of blocks.

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "block_matrix.hpp"

namespace {

using namespace mask_tests;
using ck_tile_masks::IndexSpan;
using ck_tile_masks::kIndexMax;
using ck_tile_masks::kNone;

void check_searches(const std::vector<index_t>& numbers, const std::vector<index_t>& values)
{
    const IndexSpan span{numbers.data(), index_t(numbers.size())};
    EXPECT_EQ(span.empty(), numbers.empty());
    for (const index_t value : values) {
        const auto lower = std::lower_bound(numbers.begin(), numbers.end(), value);
        ASSERT_EQ(span.lower_bound(value), lower - numbers.begin()) << value;
        ASSERT_EQ(span.upper_bound(value), std::upper_bound(numbers.begin(), numbers.end(), value) - numbers.begin())
            << value;
        ASSERT_EQ(span.contains(value), std::count(numbers.begin(), numbers.end(), value) == 1) << value;
        ASSERT_EQ(span.next(value), lower == numbers.end() ? kNone : *lower) << value;
        long long missing = value;
        while (std::binary_search(numbers.begin(), numbers.end(), missing))
            ++missing;
        ASSERT_EQ(span.next_missing(value), missing) << value;
    }
}

TEST(IndexSpan, SearchesEverySubset)
{
    std::vector<index_t> values;
    for (index_t value = -2; value < 12; ++value)
        values.push_back(value);
    for (unsigned subset = 0; subset < 1024; ++subset) {
        std::vector<index_t> numbers;
        for (index_t n = 0; n < 10; ++n)
            if (subset >> n & 1) numbers.push_back(n);
        check_searches(numbers, values);
    }
}
TEST(IndexSpan, SearchesNearTheEndOfTheRange)
{
    check_searches({0, 5, kIndexMax - 2, kIndexMax - 1}, {0, 1, 5, 6, kIndexMax - 3, kIndexMax - 2, kIndexMax - 1});
    const index_t last = kIndexMax;
    EXPECT_EQ((IndexSpan{&last, 1}).upper_bound(kIndexMax), 1);
    EXPECT_EQ((IndexSpan{&last, 1}).lower_bound(kIndexMax), 0);
    EXPECT_EQ((IndexSpan{}).lower_bound(kIndexMax), 0);
}

// Each line of each head, heads past the table, lines past it.
TEST(BlockTable, HasTheLinesOfTheMatrix)
{
    for (const index_t heads : {1, 3})
        for (const double density : {0.0, 0.3, 1.0}) {
            const BlockMatrix matrix(heads, 7, 5, density, 3);
            const BlockLists lists(matrix);
            for (index_t head = 0; head < 2 * heads + 1; ++head) {
                const ck_tile_masks::BlockTable table = lists.table().of_head(head);
                for (index_t row = 0; row < 9; ++row)
                    for (index_t col = 0; col < 8; ++col) {
                        const bool listed = matrix.flag(head, row, col);
                        ASSERT_EQ(table.cols_of(row).contains(col), listed) << head << ", " << row << ", " << col;
                        ASSERT_EQ(table.rows_of(col).contains(row), listed) << head << ", " << row << ", " << col;
                    }
            }
        }
}
TEST(BlockTable, TheDefaultIsEmpty)
{
    const ck_tile_masks::BlockTable none;
    EXPECT_TRUE(none.of_head(4).cols_of(0).empty());
    EXPECT_TRUE(none.rows_of(3).empty());
}

} // namespace
