// Tiles counted in closed form, against counting one by one.

#include <algorithm>
#include <numeric>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "ck_tile_masks/band_counts.hpp"
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
            const index_t positions[] = {position, -1};
            index_t tiles[] = {-7, -7};
            tiling.tiles_of(positions, 2, tiles);
            EXPECT_TRUE(tiles[0] == position / size && tiles[1] == -1) << position << ", tile " << size;
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

// Blocks and tiles of all small sizes, the last block cut off: each element marks its tile.
TEST(TileCounts, BlockTiling)
{
    for (index_t block = 1; block <= 9; ++block)
        for (index_t tile = 1; tile <= 9; ++tile)
            for (index_t seqlen = 1; seqlen <= 30; ++seqlen) {
                const BlockTiling tiling(block, tile, seqlen);
                ASSERT_EQ(tiling.num_blocks(), (seqlen + block - 1) / block);
                for (index_t b = 0; b < tiling.num_blocks(); ++b) {
                    const index_t begin = b * block, end = std::min(begin + block, seqlen);
                    ASSERT_EQ(tiling.begin_of(b), begin);
                    ASSERT_EQ(tiling.first_tile(b), begin / tile) << block << ", " << tile << ", " << seqlen;
                    ASSERT_EQ(tiling.last_tile(b), (end - 1) / tile) << block << ", " << tile << ", " << seqlen;
                    ASSERT_EQ(tiling.touched(b, tiling.num_blocks()), (seqlen - 1) / tile - begin / tile + 1);
                    ASSERT_EQ(tiling.touched(b, b), 0);
                }
                ASSERT_EQ(tiling.begin_of(tiling.num_blocks()), seqlen);
            }
    const BlockTiling longest((1 << 30) + 1, 3, kIndexMax);
    EXPECT_EQ(longest.first_tile(1), ((1 << 30) + 1) / 3);
    EXPECT_EQ(longest.last_tile(1), (kIndexMax - 1) / 3);
}

// Regular runs of blocks and single ones, with repetitions, for one line and for many side by side.
TEST(TileCounts, RunsAndSingleBlocks)
{
    std::mt19937 random(7);
    const auto in = [&](index_t low, index_t high) {
        return std::uniform_int_distribution<index_t>(low, high)(random);
    };
    for (int repeat = 0; repeat < 20000; ++repeat) {
        const index_t block = in(1, 12), tile = in(1, 12), num_lines = in(1, 70), num_single = in(0, 6);
        const BlockTiling tiling(block, tile, in(1, 150));
        const index_t n = tiling.num_blocks();
        struct Line {
            RegularTiles regular;
            std::vector<index_t> single;
            std::set<index_t> touched;
        };
        std::vector<Line> lines(static_cast<std::size_t>(num_lines));
        for (Line& line : lines) {
            const auto touch = [&](index_t b) {
                for (index_t e = b * block; e < std::min((b + 1) * block, tiling.seqlen()); ++e)
                    line.touched.insert(e / tile);
            };
            for (index_t run = 0, begin = 0; run < 3; ++run) {
                begin = std::min(begin + in(0, 3), n);
                const index_t end = std::min(begin + in(0, 3), n);
                line.regular.add_blocks(tiling, begin, end);
                for (index_t b = begin; b < end; ++b)
                    touch(b);
            }
            for (index_t k = 0; k < num_single; ++k) {
                line.single.push_back(in(-1, n - 1)); // -1: none
                if (line.single.back() >= 0) touch(line.single.back());
            }
            std::vector<index_t> given(line.single);
            given.erase(std::remove(given.begin(), given.end(), -1), given.end());
            ASSERT_EQ(line.regular.count_with(tiling, given.data(), index_t(given.size())),
                      index_t(line.touched.size()))
                << "block " << block << ", tile " << tile << ", " << tiling.seqlen() << " positions";
        }
        std::vector<index_t> counts(std::size_t(num_lines) + 1, -7);
        const TileLines all{0, num_lines, 1, num_lines, tile, tiling.seqlen()};
        for (index_t first = 0; first < num_lines; first += BandCounts::kBands) {
            BandCounts bands(all, first, Tiling(1),
                             [&](index_t begin, index_t) { return lines[std::size_t(begin)].regular; });
            for (index_t k = 0; k < num_single; ++k)
                bands.add_blocks(tiling,
                                 [&](index_t m) { return lines[std::size_t(first + m)].single[std::size_t(k)]; });
            bands.write(counts.data() + first);
        }
        for (std::size_t line = 0; line < lines.size(); ++line)
            ASSERT_EQ(counts[line], index_t(lines[line].touched.size()))
                << "block " << block << ", tile " << tile << ", " << tiling.seqlen() << " positions, line " << line;
        ASSERT_EQ(counts.back(), -7);
    }
}

} // namespace
