// Index arithmetic and intervals.

#include <cmath>

#include <gtest/gtest.h>

#include "ck_tile_masks/index.hpp"
#include "ck_tile_masks/interval.hpp"

namespace {

using namespace ck_tile_masks;

constexpr index_t kExtremes[] = {
    kIndexMin, kIndexMin + 1, -1000000007, -65536,        -2,       -1, 0, 1, 2, 3, 64, 65535,
    65536,     46341,         1000000007,  kIndexMax - 1, kIndexMax};

long_index_t clamp(long_index_t a) { return a < -2147483648LL ? -2147483648LL : a > 2147483647LL ? 2147483647LL : a; }

TEST(Index, ArithmeticSaturates)
{
    for (const index_t a : kExtremes)
        for (const index_t b : kExtremes) {
            const long_index_t x = a, y = b;
            EXPECT_EQ(sat_add(a, b), clamp(x + y)) << a << " + " << b;
            EXPECT_EQ(sat_sub(a, b), clamp(x - y)) << a << " - " << b;
            EXPECT_EQ(sat_mul(a, b), clamp(x * y)) << a << " * " << b;
            EXPECT_EQ(ck_tile_masks::min(a, b), a < b ? a : b);
            EXPECT_EQ(ck_tile_masks::max(a, b), a < b ? b : a);
        }
    EXPECT_EQ(saturate(1LL << 62), kIndexMax);
    EXPECT_EQ(saturate(-(1LL << 62)), kIndexMin);
    EXPECT_EQ(saturate(-7), -7);
}

TEST(Index, DivUp)
{
    for (index_t a = 0; a < 70; ++a)
        for (index_t b = 1; b < 20; ++b)
            EXPECT_EQ(div_up(a, b), index_t(std::ceil(double(a) / double(b)))) << a << " / " << b;
    EXPECT_EQ(div_up(kIndexMax, 64), 33554432);
    EXPECT_EQ(div_up(kIndexMax, kIndexMax), 1);
    EXPECT_EQ(div_up(1, kIndexMax), 1);
}

TEST(Index, FloorMod)
{
    for (index_t a = -50; a < 50; ++a)
        for (index_t m = 1; m < 20; ++m) {
            const index_t r = floor_mod(a, m);
            EXPECT_TRUE(0 <= r && r < m && (a - r) % m == 0) << a << " mod " << m << " is " << r;
        }
    EXPECT_EQ(floor_mod(kIndexMin, 3), 1);
    EXPECT_EQ(floor_mod(-1, kIndexMax), kIndexMax - 1);
}

TEST(Index, LowBits)
{
    for (index_t count = 0; count <= 64; ++count)
        for (index_t n = 0; n < 64; ++n)
            EXPECT_EQ(low_bits(count) >> n & 1, bits_t{n < count}) << "low_bits(" << count << "), bit " << n;
}

TEST(Index, EveryNthBit)
{
    for (const index_t step : {1, 2, 3, 5, 31, 32, 33, 63, 64, 65, 1000, kIndexMax})
        for (int n = 0; n < 64; ++n)
            EXPECT_EQ(every_nth_bit(step) >> n & 1, bits_t{n % step == 0}) << "step " << step << ", bit " << n;
}

TEST(Interval, IsHalfOpen)
{
    constexpr Interval interval{3, 6}, none{6, 3};
    EXPECT_FALSE(interval.empty());
    EXPECT_EQ(interval.size(), 3);
    EXPECT_TRUE(interval.contains(3) && interval.contains(5));
    EXPECT_FALSE(interval.contains(2) || interval.contains(6));
    EXPECT_TRUE(none.empty() && (Interval{4, 4}).empty());
    EXPECT_EQ(none.size(), 0);
    EXPECT_FALSE(none.contains(4));
}

// @post t(i).contains(e) iff e / tile == i and 0 <= e < seqlen
TEST(Interval, TilesPartitionTheSequence)
{
    for (const index_t seqlen : {0, 1, 7, 16, 33})
        for (const index_t tile : {1, 4, 7, 64})
            for (index_t i = 0; i < 40; ++i)
                for (index_t e = -70; e < 70; ++e)
                    EXPECT_EQ(tile_interval(i, tile, seqlen).contains(e), 0 <= e && e < seqlen && e / tile == i)
                        << "tile " << i << " of " << tile << ", sequence of " << seqlen << ", element " << e;
}

TEST(Interval, NegativeTilesAreEmpty)
{
    for (const index_t i : {-1, -2, -1000, kIndexMin})
        for (const index_t tile : {1, 16, kIndexMax})
            EXPECT_TRUE(tile_interval(i, tile, 33).empty()) << "tile " << i << " of " << tile;
}

TEST(Interval, TilesAtTheEndOfTheRange)
{
    const Interval last = tile_interval(33554431, 64, kIndexMax);
    EXPECT_EQ(last.begin, 2147483584);
    EXPECT_EQ(last.end, kIndexMax);
    EXPECT_TRUE(tile_interval(33554432, 64, kIndexMax).empty());
    EXPECT_TRUE(tile_interval(kIndexMax, kIndexMax, kIndexMax).empty());
    EXPECT_EQ(tile_interval(0, kIndexMax, 5).size(), 5);
}

} // namespace
