// KeyedPermutation: a bijection with its inverse, one for each key, that looks random.

#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "ck_tile_masks/permutation.hpp"

namespace {

using namespace ck_tile_masks;

TEST(KeyedPermutation, IsABijectionAndInverseInverts)
{
    for (index_t n = 1; n <= 300; ++n) {
        const KeyedPermutation permutation(n);
        for (const hash_t key : {0u, 1u, 2u, 0x9e3779b9u, 0xffffffffu}) {
            std::vector<char> hit(static_cast<std::size_t>(n));
            for (index_t x = 0; x < n; ++x) {
                const index_t y = permutation.forward(x, key);
                ASSERT_TRUE(y >= 0 && y < n) << "n " << n << " key " << key << " x " << x << " y " << y;
                ASSERT_FALSE(hit[std::size_t(y)]) << "n " << n << " key " << key << ": " << y << " is hit twice";
                hit[std::size_t(y)] = true;
                ASSERT_EQ(permutation.inverse(y, key), x) << "n " << n << " key " << key;
            }
        }
    }
}

// Also next to squares (the grid is nearly square) and at the end of the range of index_t.
TEST(KeyedPermutation, InverseInvertsOnLargeRanges)
{
    std::mt19937 rng(1);
    for (const index_t n : {1000, 15625, 65535, 65536, 65537, 1000000, 999999937, 2147302921 - 1, 2147302921,
                            2147302921 + 1, 2147441940, 2147441941, 2147483646, 2147483647}) {
        const KeyedPermutation permutation(n);
        std::uniform_int_distribution<index_t> any(0, n - 1);
        for (int repeat = 0; repeat < 2000; ++repeat) {
            const index_t x = repeat < 8 ? repeat : repeat < 16 ? n - 1 - (repeat - 8) : any(rng);
            const hash_t key = rng();
            const index_t y = permutation.forward(x, key);
            ASSERT_TRUE(y >= 0 && y < n) << "n " << n << " key " << key << " x " << x << " y " << y;
            ASSERT_EQ(permutation.inverse(y, key), x) << "n " << n << " key " << key;
            const index_t z = permutation.inverse(x, key);
            ASSERT_TRUE(z >= 0 && z < n) << "n " << n << " key " << key << " x " << x << " z " << z;
            ASSERT_EQ(permutation.forward(z, key), x) << "n " << n << " key " << key;
        }
    }
}

// The grid of cells is larger than n: here some cells lie past 2^31 - 1. About one value in 500,000 meets them.
TEST(KeyedPermutation, GridMayExceedTheRangeOfIndices)
{
    const index_t n = 2147483647;
    const KeyedPermutation permutation(n);
    for (index_t x = 0; x < 2000000; ++x) {
        const index_t y = permutation.forward(x, 1);
        ASSERT_TRUE(y >= 0 && y < n) << "x " << x << " y " << y;
    }
    for (const index_t x : {572261, 1026820, 1072407, 1077983, 1266865, 1744123})
        EXPECT_EQ(permutation.inverse(permutation.forward(x, 1), 1), x);
}

// Many values at once are the same values: by tables, one by one where there are few or the grid is large.
TEST(KeyedPermutation, RangesAreTheirValues)
{
    std::mt19937 rng(2);
    for (const index_t n : {1, 2, 7, 16, 17, 97, 300, 4096, 65536, 65537, 250000, 262144, 262145, 300000, kIndexMax}) {
        const KeyedPermutation permutation(n);
        for (const index_t length : {0, 1, 9, 100, 1500}) {
            const index_t count = std::min(length, n), begin = index_t(rng() % (unsigned(n - count) + 1u));
            const hash_t key = rng();
            std::vector<index_t> images(std::size_t(count) + 1, -1), origins = images;
            permutation.forward(begin, count, key, images.data());
            permutation.inverse(begin, count, key, origins.data());
            for (index_t k = 0; k < count; ++k) {
                ASSERT_EQ(images[std::size_t(k)], permutation.forward(begin + k, key))
                    << "n " << n << ", " << begin + k;
                ASSERT_EQ(origins[std::size_t(k)], permutation.inverse(begin + k, key))
                    << "n " << n << ", " << begin + k;
            }
            EXPECT_TRUE(images.back() == -1 && origins.back() == -1) << "n " << n << ": written past the end";
        }
    }
}

TEST(KeyedPermutation, IsConstexpr)
{
    constexpr KeyedPermutation permutation(97);
    static_assert(permutation.inverse(permutation.forward(5, 3), 3) == 5);
    static_assert(KeyedPermutation().forward(0, 1) == 0, "the default is the permutation of one element");
    SUCCEED();
}

TEST(KeyedPermutation, DiffersByKey)
{
    const index_t n = 1000;
    const KeyedPermutation permutation(n);
    for (hash_t key = 0; key < 64; ++key)
        for (const hash_t other : {key + 1, key ^ 0x80000000u, key << 16, ~key}) {
            if (other == key) continue;
            index_t equal = 0;
            for (index_t x = 0; x < n; ++x)
                equal += permutation.forward(x, key) == permutation.forward(x, other);
            EXPECT_LE(equal, 12) << "keys " << key << " and " << other; // 1 is expected, 12 has probability ~1e-10
        }
}

// Deviation of chi square from what uniform counts give, in standard deviations.
double surplus(const std::vector<int>& counts)
{
    double total = 0, chi_square = 0;
    for (const int count : counts)
        total += count;
    const double expected = total / double(counts.size()), degrees = double(counts.size()) - 1;
    for (const int count : counts)
        chi_square += (count - expected) * (count - expected) / expected;
    return (chi_square - degrees) / std::sqrt(2 * degrees);
}

// Over consecutive keys each value goes everywhere equally often.
TEST(KeyedPermutation, ImagesAreUniform)
{
    for (const index_t n : {7, 16, 61, 100}) {
        const KeyedPermutation permutation(n);
        for (index_t x = 0; x < n; ++x) {
            std::vector<int> images(static_cast<std::size_t>(n));
            for (hash_t key = 0; key < hash_t(n) * 40; ++key)
                ++images[std::size_t(permutation.forward(x, combine(12345, key)))];
            EXPECT_LT(surplus(images), 6) << "n " << n << " x " << x;
        }
    }
}

// Neighbours do not stay neighbours: the distance between the images of x and x + 1 is uniform.
TEST(KeyedPermutation, NeighboursAreScattered)
{
    const index_t n = 1024;
    const KeyedPermutation permutation(n);
    std::vector<int> distances(static_cast<std::size_t>(n) - 1);
    for (hash_t key = 0; key < 40; ++key)
        for (index_t x = 0; x + 1 < n; ++x) {
            const index_t distance = permutation.forward(x + 1, key) - permutation.forward(x, key);
            ++distances[std::size_t((distance + n) % n - 1)];
        }
    EXPECT_LT(surplus(distances), 40); // 4 rounds are not perfect: measured 2; one round fewer gives hundreds
}

} // namespace
