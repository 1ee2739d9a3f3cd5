// IndexIterator: what it visits, and what it asks.

#include <vector>

#include <gtest/gtest.h>

#include "ck_tile_masks/index_iterator.hpp"

namespace {

using namespace ck_tile_masks;

// Live are the multiples of `step`; every question is written down.
struct Recorder {
    std::vector<index_t>* asked;
    index_t step;
    index_t limit = kIndexMax; // nothing is live from here on

    index_t operator()(index_t from, index_t end) const
    {
        asked->push_back(from);
        EXPECT_LT(from, end) << "`next` was asked at or past the end";
        const index_t next = (from + step - 1) / step * step;
        return next < limit ? next : kNone; // may lie past `end`
    }
};

std::vector<index_t> visit(const Recorder& next, index_t start, index_t end)
{
    std::vector<index_t> visited;
    for (IndexIterator it(next, start, end); !it.at_end(); it.advance())
        visited.push_back(it.current());
    return visited;
}

TEST(IndexIterator, VisitsTheLiveTilesOfTheRange)
{
    for (const index_t step : {1, 2, 3, 7})
        for (index_t start = 0; start <= 12; ++start)
            for (index_t end = 0; end <= 15; ++end) {
                std::vector<index_t> expected, asked;
                for (index_t tile = start; tile < end; ++tile)
                    if (tile % step == 0) expected.push_back(tile);
                EXPECT_EQ(visit({&asked, step}, start, end), expected)
                    << "step " << step << " in [" << start << ", " << end << ")";
            }
}

TEST(IndexIterator, StandsOnTheFirstLiveTile)
{
    std::vector<index_t> asked;
    const IndexIterator it(Recorder{&asked, 5}, 3, 12);
    EXPECT_EQ(it.start(), 3);
    EXPECT_EQ(it.end(), 12);
    EXPECT_EQ(it.current(), 5);
    EXPECT_FALSE(it.at_end());
    EXPECT_EQ(asked, std::vector<index_t>{3});
}

TEST(IndexIterator, IsNeverAskedAtTheEnd)
{
    std::vector<index_t> asked;
    EXPECT_EQ(visit({&asked, 1}, 0, 4), (std::vector<index_t>{0, 1, 2, 3}));
    EXPECT_EQ(asked, (std::vector<index_t>{0, 1, 2, 3})) << "after the last tile nothing is left to ask";
    asked.clear();
    EXPECT_EQ(visit({&asked, 3}, 1, 6), (std::vector<index_t>{3}));
    EXPECT_EQ(asked, (std::vector<index_t>{1, 4}));
}

TEST(IndexIterator, EmptyRangeAsksNothing)
{
    for (const index_t end : {5, 4, 0, -1, kIndexMin}) {
        std::vector<index_t> asked;
        IndexIterator it(Recorder{&asked, 1}, 5, end);
        EXPECT_TRUE(it.at_end()) << "end " << end;
        EXPECT_EQ(it.current(), it.end()) << "end " << end;
        EXPECT_EQ(it.end(), 5) << "the range [5, " << end << ") is [5, 5)";
        it.advance();
        EXPECT_TRUE(it.at_end());
        EXPECT_TRUE(asked.empty()) << "end " << end;
    }
}

TEST(IndexIterator, AdvanceAtTheEndIsHarmless)
{
    std::vector<index_t> asked;
    IndexIterator it(Recorder{&asked, 4}, 0, 6);
    it.advance();
    EXPECT_EQ(it.current(), 4);
    it.advance();
    EXPECT_TRUE(it.at_end());
    EXPECT_EQ(it.current(), 6) << "an answer past the end is the end";
    const auto questions = asked.size();
    for (int repeat = 0; repeat < 3; ++repeat) {
        it.advance();
        EXPECT_TRUE(it.at_end());
        EXPECT_EQ(it.current(), 6);
    }
    EXPECT_EQ(asked.size(), questions);
}

TEST(IndexIterator, NothingLive)
{
    std::vector<index_t> asked;
    EXPECT_TRUE(visit({&asked, 4, 0}, 0, 100).empty());
    EXPECT_EQ(asked, std::vector<index_t>{0});
}

TEST(IndexIterator, ReachesTheLargestIndex)
{
    std::vector<index_t> asked;
    EXPECT_EQ(visit({&asked, 1}, kIndexMax - 2, kIndexMax), (std::vector<index_t>{kIndexMax - 2, kIndexMax - 1}));
}

struct Every {
    constexpr index_t operator()(index_t from, index_t) const { return from; }
};
TEST(IndexIterator, IsConstexpr)
{
    constexpr auto length = [] {
        index_t count = 0;
        for (IndexIterator it(Every{}, 2, 9); !it.at_end(); it.advance())
            ++count;
        return count;
    };
    static_assert(length() == 7);
    SUCCEED();
}

} // namespace
