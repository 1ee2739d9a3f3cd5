// BigBird: the laws on small shapes, and what is promised about its random blocks.

#include <set>
#include <string>

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;
using ck_tile_masks::BigBird;
using ck_tile_masks::BoundBigBird;

class BigBirdBlock : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(BlockSize, BigBirdBlock, ::testing::Range(1, 9));

// All parameters on all shapes; the tile shapes take turns, so that each meets each shape in 7 sets of parameters.
TEST_P(BigBirdBlock, AllParameters)
{
    index_t turn = 0;
    for (const index_t num_global : {0, 1, 2})
        for (const index_t window : {1, 3, 5})
            for (const index_t num_random : {0, 1, 2, 3}) {
                check_all_shapes_in_turn(big_bird(GetParam(), window, num_global, num_random, turn), {turn % 3}, turn);
                ++turn;
            }
}

// One set of parameters for each block size, with its own seed and head, on all shapes and all tile shapes.
TEST_P(BigBirdBlock, Laws)
{
    const index_t b = GetParam();
    const long long seeds[] = {0, 1, -1, 1LL << 32, 0x0123456789abcdef};
    check_laws(big_bird(b, 1 + b % 3 * 2, b / 2 % 3, 1 + b % 3, seeds[b % 5]), {b});
    check_all_bands(big_bird(b, 3, 0, 2, 7), {2});
    check_all_bands(~big_bird(b, 1, 1, 3, 8), {1});
}

TEST(BigBird, ComplementLaws)
{
    check_laws(~big_bird(2, 3, 0, 2, 11), {1});
    check_laws(~big_bird(5, 1, 1, 1, 12), {3});
}

// --- Random blocks --------------------------------------------------------------------------------------------------

// The live blocks of a square mask of n blocks, without window (but the diagonal) and global blocks.
std::vector<std::vector<char>> random_pattern(index_t n, index_t num_random, long long seed, index_t head,
                                              index_t batch = 0)
{
    const BoundBigBird bound = BigBird(4, 1, 0, num_random, seed).bind({batch, head, 4 * n, 4 * n - 3});
    std::vector<std::vector<char>> pattern(static_cast<std::size_t>(n), std::vector<char>(static_cast<std::size_t>(n)));
    for (index_t I = 0; I < n; ++I)
        for (index_t J = 0; J < n; ++J)
            pattern[std::size_t(I)][std::size_t(J)] = bound.tile_mask_func(I, J);
    return pattern;
}

// With one permutation: each row and each column has one block besides the diagonal, unless the draw is the diagonal.
TEST(BigBirdRandom, EachColumnIsDrawnOnce)
{
    for (const index_t n : {1, 2, 3, 7, 16, 33, 100})
        for (const index_t head : {0, 1, 2, 3}) {
            const auto pattern = random_pattern(n, 1, 5, head);
            for (std::size_t a = 0; a < std::size_t(n); ++a) {
                index_t in_row = 0, in_col = 0;
                for (std::size_t b = 0; b < std::size_t(n); ++b) {
                    in_row += a != b && pattern[a][b];
                    in_col += a != b && pattern[b][a];
                }
                EXPECT_LE(in_row, 1) << "n " << n << " head " << head << " row " << a;
                EXPECT_EQ(in_row, in_col) << "n " << n << " head " << head << " block " << a;
            }
        }
}

// r permutations draw each column exactly r times; a block drawn twice is one live block.
TEST(BigBirdRandom, EachColumnIsDrawnRTimes)
{
    for (const index_t n : {1, 5, 24, 61})
        for (const index_t num_random : {1, 2, 3, 8}) {
            const index_t head = n % 4;
            const RandomBlocks random(n, num_random, 42, head);
            const auto pattern = random_pattern(n, num_random, 42, head);
            for (index_t J = 0; J < n; ++J) {
                index_t draws = 0;
                std::set<index_t> live = {J};
                for (index_t I = 0; I < n; ++I)
                    for (index_t t = 0; t < num_random; ++t)
                        if (random.draw(t, I) == J) {
                            ++draws;
                            live.insert(I);
                        }
                EXPECT_EQ(draws, num_random) << "n " << n << " column " << J;
                for (index_t I = 0; I < n; ++I)
                    EXPECT_EQ(bool(pattern[std::size_t(I)][std::size_t(J)]), live.count(I) == 1)
                        << "n " << n << " random " << num_random << " block (" << I << ", " << J << ")";
            }
        }
}

TEST(BigBirdRandom, DiffersByHeadAndSeedNotByBatch)
{
    std::set<std::vector<std::vector<char>>> patterns;
    std::size_t count = 0;
    const long long seeds[] = {0, 1, 2, -1, 1LL << 31, 1LL << 32, 1LL << 33, (1LL << 32) + 1};
    for (const long long seed : seeds)
        for (const index_t head : {0, 1, 2, 15, 127}) {
            patterns.insert(random_pattern(48, 1, seed, head));
            ++count;
        }
    EXPECT_EQ(patterns.size(), count);
    EXPECT_EQ(random_pattern(48, 2, 3, 1, 0), random_pattern(48, 2, 3, 1, 7));
}

TEST(BigBirdRandom, DrawsOfOneRowDiffer)
{
    const index_t n = 256, num_random = 6;
    const RandomBlocks random(n, num_random, 0, 0);
    for (index_t t = 0; t < num_random; ++t)
        for (index_t u = 0; u < t; ++u) {
            index_t equal = 0;
            for (index_t I = 0; I < n; ++I)
                equal += random.draw(t, I) == random.draw(u, I);
            EXPECT_LE(equal, 10) << "draws " << t << " and " << u << " agree in " << equal << " of " << n << " rows";
        }
}

// The larger count of blocks is permuted; what falls outside is dropped.
TEST(BigBirdRandom, RectangularDropsWhatFallsOutside)
{
    const index_t nq = 40, nk = 13, b = 2;
    const BoundBigBird bound = BigBird(b, 1, 0, 1, 9).bind({0, 0, nq * b, nk * b});
    index_t drawn = 0;
    for (index_t J = 0; J < nk; ++J) {
        index_t live = 0;
        for (index_t I = 0; I < nq; ++I)
            live += I != J && bound.tile_mask_func(I, J);
        EXPECT_LE(live, 1) << "column " << J;
        drawn += live;
    }
    EXPECT_GE(drawn, nk - 4);
}

// The pattern belongs to a trained model: it must not change between releases.
TEST(BigBirdRandom, PatternIsPinned)
{
    const auto picture = [](index_t head, long long seed) {
        std::string out;
        for (const auto& row : random_pattern(12, 2, seed, head)) {
            for (const char live : row)
                out += live ? '#' : '.';
            out += '\n';
        }
        return out;
    };
    EXPECT_EQ(picture(0, 0), "##......#...\n"
                             ".#........#.\n"
                             "..#..#.#....\n"
                             "..##.......#\n"
                             "....#.......\n"
                             ".#...#.#....\n"
                             "...#.##.....\n"
                             "......##.#..\n"
                             "......#.##..\n"
                             "#.......##..\n"
                             "..#.......##\n"
                             "#..#.......#\n");
    EXPECT_EQ(picture(3, 1234567890123), "#..#.#......\n"
                                         ".#......#..#\n"
                                         "..#..#...#..\n"
                                         "...#...#.#..\n"
                                         ".#..#......#\n"
                                         "..#..##.....\n"
                                         "...#..#...#.\n"
                                         "....#.##....\n"
                                         "....#...#...\n"
                                         "#........#..\n"
                                         ".......#..#.\n"
                                         ".##........#\n");
}

} // namespace
