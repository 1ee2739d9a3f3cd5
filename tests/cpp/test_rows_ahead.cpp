#define CK_FMHA_ISA isa_test
#include "cpu/rows_ahead.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

using namespace ck_fmha::cpu;
using namespace ck_fmha::cpu::isa_test;

namespace {

// Offsets of the lines that blocks bring near until there are none left, from the first row on.
std::set<ptrdiff_t> lines_of(const NextRows& rows, int turns = 16)
{
    std::set<ptrdiff_t> lines;
    RowsAhead ahead(rows);
    for (int block = 0; block < 1000; ++block) {
        RowsAhead::Pairs pairs = ahead.for_block(turns);
        const char* line = pairs.next();
        if (!line) return lines;
        for (int n = 0; n < turns; ++n, line = pairs.next())
            for (const ptrdiff_t second : {0, kLine})
                lines.insert(line - rows.data + second);
    }
    ADD_FAILURE() << "no end";
    return lines;
}

struct Shape {
    ptrdiff_t stride;
    int size, count;
};

std::string name_of(const ::testing::TestParamInfo<Shape>& info)
{
    const Shape& s = info.param;
    return std::to_string(s.count) + "_rows_of_" + std::to_string(s.size) + "_bytes_" + std::to_string(s.stride) +
           "_apart";
}

class RowsAheadOf : public ::testing::TestWithParam<Shape> {};

// Rows begin at a line here, as torch's do.
TEST_P(RowsAheadOf, EveryLineIsBrought)
{
    const Shape s = GetParam();
    const char data[1] = {};
    for (const int turns : {1, 4, 8, 16}) {
        const auto lines = lines_of({data, s.stride, s.size, s.count}, turns);
        for (int row = 0; row < s.count; ++row)
            for (int at = 0; at < s.size; at += kLine)
                EXPECT_TRUE(lines.count(row * s.stride + at)) << turns << " turns, row " << row << ", byte " << at;
    }
}

// A block is filled up: with lines past the last row, or of the gap between rows, but few.
TEST_P(RowsAheadOf, FewOthersAre)
{
    const Shape s = GetParam();
    const char data[1] = {};
    const size_t pairs_of_rows = (s.size + RowsAhead::kPair - 1) / RowsAhead::kPair;
    const size_t blocks = (s.count + 15) / 16;
    EXPECT_LE(lines_of({data, s.stride, s.size, s.count}).size(), 2 * 16 * blocks * pairs_of_rows);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RowsAheadOf,
                         ::testing::Values(Shape{256, 256, 64}, Shape{1024, 256, 64}, Shape{512, 512, 64},
                                           Shape{512, 512, 37}, Shape{64, 64, 64}, Shape{192, 192, 64},
                                           Shape{1024, 192, 64}, Shape{1024, 512, 37}, Shape{2048, 64, 1},
                                           Shape{128, 128, 1}, Shape{-512, 256, 20}),
                         [](const auto& info) {
                             std::string name = name_of(info);
                             for (char& c : name)
                                 if (c == '-') c = 'm';
                             return name;
                         });

TEST(RowsAhead, NothingOfNoRows)
{
    const char data[1] = {};
    EXPECT_TRUE(lines_of({}).empty());
    EXPECT_TRUE(lines_of({data, 256, 256, 0}).empty());
}

} // namespace
