// Tiles counted in closed form, against counting one by one.

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "ck_tile_masks/tile_counts.hpp"

namespace {

using namespace ck_tile_masks;

TEST(TileCounts, Intervals)
{
    for (index_t begin = 0; begin < 20; ++begin)
        for (index_t end = 0; end < 24; ++end)
            for (index_t tile = 1; tile < 9; ++tile) {
                std::set<index_t> touched;
                for (index_t e = begin; e < end; ++e)
                    touched.insert(e / tile);
                ASSERT_EQ(tiles_of_interval(begin, end, tile), index_t(touched.size()))
                    << "[" << begin << ", " << end << "), tile " << tile;
            }
    EXPECT_EQ(tiles_of_interval(0, kIndexMax, 1), kIndexMax);
    EXPECT_EQ(tiles_of_interval(kIndexMax - 1, kIndexMax, kIndexMax), 1);
}

TEST(TileCounts, FloorSums)
{
    for (long_index_t divisor = 1; divisor < 12; ++divisor)
        for (long_index_t step = 0; step < 14; ++step)
            for (long_index_t offset = 0; offset < 13; ++offset)
                for (long_index_t count = 0, sum = 0; count < 15; sum += (step * count + offset) / divisor, ++count)
                    ASSERT_EQ(floor_sum(count, divisor, step, offset), sum)
                        << count << " terms, (" << step << " k + " << offset << ") / " << divisor;
    EXPECT_EQ(floor_sum(kIndexMax, 1, 1, 0), (kIndexMax - 1LL) * kIndexMax / 2);
    EXPECT_EQ(floor_sum(1 << 20, 1 << 10, 1 << 11, 0), ((1LL << 20) - 1) * (1LL << 20));
    EXPECT_EQ(floor_sum(1 << 20, kIndexMax, kIndexMax - 1, 0), ((1LL << 20) - 2) * ((1LL << 20) - 1) / 2);
}

// Positions e with floor_mod(e - phase, period) < length in [lo, hi).
index_t count_runs(index_t phase, index_t period, index_t length, index_t lo, index_t hi, index_t tile)
{
    index_t count = 0;
    for (index_t last_tile = -1; lo < hi; ++lo) {
        const index_t e = lo;
        if (floor_mod(e - phase, period) >= length || e / tile == last_tile) continue;
        last_tile = e / tile;
        ++count;
    }
    return count;
}

TEST(TileCounts, Runs)
{
    for (index_t period = 1; period <= 9; ++period)
        for (index_t length = 1; length <= period; ++length)
            for (index_t tile = 1; tile <= 7; ++tile)
                for (const index_t phase : {-13, -2, -1, 0, 1, 3, 8, 20})
                    for (const index_t lo : {0, 1, 4, 9})
                        for (const index_t hi : {0, 1, 2, 3, 5, 9, 10, 14, 33})
                            ASSERT_EQ(tiles_of_runs(phase, period, length, lo, hi, tile),
                                      count_runs(phase, period, length, lo, hi, tile))
                                << "phase " << phase << ", period " << period << ", length " << length << ", [" << lo
                                << ", " << hi << "), tile " << tile;
}
TEST(TileCounts, LongRuns)
{
    std::mt19937 random(5);
    const auto in = [&](index_t low, index_t high) {
        return std::uniform_int_distribution<index_t>(low, high)(random);
    };
    for (int repeat = 0; repeat < 400; ++repeat) {
        const index_t period = in(1, 2000), length = in(1, period), tile = in(1, 300), phase = in(-100000, 100000);
        const index_t lo = in(0, 50000), hi = in(0, 200000);
        ASSERT_EQ(tiles_of_runs(phase, period, length, lo, hi, tile), count_runs(phase, period, length, lo, hi, tile))
            << "phase " << phase << ", period " << period << ", length " << length << ", [" << lo << ", " << hi
            << "), tile " << tile;
    }
}
// At the end of the range: what the count of single positions must be.
TEST(TileCounts, RunsNearTheEndOfTheRange)
{
    for (const index_t period : {1, 2, 3, 1000, 65537, kIndexMax / 2, kIndexMax})
        for (const index_t phase : {0, 1, kIndexMax - 1, -kIndexMax, -5}) {
            const long long first = floor_mod(index_t(phase % period), period); // the first position >= 0
            const long long expected = first < kIndexMax ? (kIndexMax - 1 - first) / period + 1 : 0;
            EXPECT_EQ(tiles_of_runs(phase, period, 1, 0, kIndexMax, 1), expected)
                << "phase " << phase << ", period " << period;
        }
    EXPECT_EQ(tiles_of_runs(0, kIndexMax, 1, 1, kIndexMax, 1), 0);
    EXPECT_EQ(tiles_of_runs(7, 3, 3, 5, kIndexMax, 1), kIndexMax - 5);
    EXPECT_EQ(tiles_of_runs(0, 64, 1, 0, kIndexMax, 64), 1 << 25);
}

TEST(TileCounts, Tiling)
{
    for (const index_t size : {1, 2, 3, 4, 7, 64, 100, 1 << 30, (1 << 30) + 1, kIndexMax}) {
        const Tiling tiling(size);
        EXPECT_EQ(tiling.size(), size);
        for (const index_t position : {0, 1, 2, 5, 63, 64, 65, 1 << 30, kIndexMax - 1, kIndexMax}) {
            EXPECT_EQ(tiling.tile_of(position), position / size) << position << ", tile " << size;
            EXPECT_EQ(tiling.common_divisor(std::max(position, 1)), std::gcd(std::max(position, 1), size)) << position;
            EXPECT_EQ(tiling.touched(0, position), tiles_of_interval(0, position, size)) << position << ", " << size;
        }
    }
}

// Runs moved by offset, offset + distance, ...: each position marks its tile.
TEST(TileCounts, CopiesOfRuns)
{
    std::mt19937 random(6);
    const auto in = [&](index_t low, index_t high) {
        return std::uniform_int_distribution<index_t>(low, high)(random);
    };
    index_t num_known = 0;
    for (int repeat = 0; repeat < 20000; ++repeat) {
        const index_t period = in(1, 12), length = in(1, period), phase = in(-20, 20), lo = in(0, 20);
        const index_t hi = lo + in(0, 40), tile = in(1, 20), offset = in(0, 50), count = in(0, 5);
        const SpacedRuns runs(phase, period, length, lo, hi);
        const index_t distance = runs.end() - runs.begin() + in(0, 30);
        std::set<index_t> touched, touched_once;
        for (index_t n = 0; n < count; ++n)
            for (index_t e = lo; e < hi; ++e)
                if (floor_mod(e - phase, period) < length) {
                    touched.insert((e + offset + n * distance) / tile);
                    if (n == 0) touched_once.insert((e + offset) / tile);
                }
        const auto where = [&] {
            return ::testing::Message() << "phase " << phase << ", period " << period << ", length " << length << ", ["
                                        << lo << ", " << hi << "), tile " << tile << ", " << count << " copies from "
                                        << offset << " at distance " << distance;
        };
        if (touched_once.empty()) continue;
        ASSERT_EQ(runs.tiles(Tiling(tile), offset), index_t(touched_once.size())) << where();
        const index_t tiles = tiles_of_copies(runs, offset, distance, count, Tiling(tile));
        if (tiles == kUnknownCount) continue;
        ASSERT_EQ(tiles, index_t(touched.size())) << where();
        ++num_known;
    }
    EXPECT_GE(num_known, 10000); // "unknown" is an exception
}

TEST(TileCounts, TileUnion)
{
    TileUnion tiles;
    tiles.add(3, 2);
    EXPECT_EQ(tiles.count(), 0);
    tiles.add(3, 5);
    tiles.add(4, 4);
    tiles.add(5, 6);
    tiles.add(9, 9);
    EXPECT_EQ(tiles.count(), 5);
}

TEST(TileCounts, TouchedTiles)
{
    TouchedTiles<3> touched;
    touched.add(2, 4);
    touched.add(4, 6);
    touched.add(9, 8); // nothing
    const index_t tiles[] = {0, 3, 7, 0, 6, 7, 100};
    EXPECT_EQ(touched.count_with(tiles, 0), 5);
    EXPECT_EQ(touched.count_with(tiles, 7), 8); // and 0, 7, 100
    EXPECT_TRUE(touched.contains(2) && touched.contains(6));
    EXPECT_FALSE(touched.contains(1) || touched.contains(7) || touched.contains(8) || touched.contains(9));
}

} // namespace
