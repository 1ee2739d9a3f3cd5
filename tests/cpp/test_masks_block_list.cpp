// BlockList: any pattern of blocks as data, with bitmaps for partial blocks.

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"

namespace {

using namespace mask_tests;

TEST(BlockList, Laws)
{
    check_laws(block_list(8, 8, 9, 9, 0.3, false, 1));
    check_laws(block_list(6, 10, 11, 7, 0.4, true, 2));
}
// Words of a bitmap: blocks wider than one, as wide as one, one element wider.
TEST(BlockList, LawsOfWideBlocks)
{
    check_laws(block_list(5, 65, 13, 1, 0.7, true, 3));
    check_laws(block_list(16, 64, 4, 2, 0.8, true, 4));
    check_laws(block_list(70, 130, 1, 1, 1, true, 5));
}
TEST(BlockList, ComplementLaws)
{
    check_laws(~block_list(7, 4, 10, 17, 0.5, true, 6));
    check_short_laws(~block_list(3, 5, 8, 5, 0.4, false, 7));
}

class BlockListSize : public ::testing::TestWithParam<std::pair<index_t, index_t>> {};
INSTANTIATE_TEST_SUITE_P(BlockSize, BlockListSize,
                         ::testing::Values(std::pair{1, 1}, std::pair{1, 9}, std::pair{9, 1}, std::pair{2, 3},
                                           std::pair{4, 4}, std::pair{5, 2}, std::pair{8, 16}, std::pair{12, 7},
                                           std::pair{30, 40}, std::pair{3, 100}));

// Tables that end before the sequence or reach past it, of no, few, many and all blocks.
TEST_P(BlockListSize, AllParameters)
{
    const auto [block_y, block_x] = GetParam();
    const index_t rows = (24 + block_y - 1) / block_y, cols = (24 + block_x - 1) / block_x;
    unsigned seed = 0;
    for (const index_t more_rows : {-1, 0, 2})
        for (const index_t more_cols : {-1, 0, 2})
            for (const double density : {0.0, 0.15, 0.5, 0.85, 1.0})
                for (const bool with_bitmaps : {false, true}) {
                    const auto spec =
                        block_list(block_y, block_x, rows + more_rows, cols + more_cols, density, with_bitmaps, ++seed);
                    check_laws_in_turn(spec, index_t(seed));
                    if (seed % 3 == 0) check_laws_in_turn(~spec, index_t(seed) + 1);
                }
}

// What the partial blocks attend is exact to the element: tiles inside of them are full, empty or partial as they are.
TEST(BlockList, TilesInsidePartialBlocks)
{
    BlockMatrix one(1, 1, 1);
    one.list(0, 0, 0);
    for (unsigned seed = 0; seed < 40; ++seed) {
        const BlockPattern pattern(40, 70, one, true, seed);
        const auto spec = block_list(pattern);
        for (const DynamicTile tile : {DynamicTile{1, 1}, DynamicTile{2, 3}, DynamicTile{1, 64}, DynamicTile{7, 5}})
            check_shape(spec.claim, view_factory(spec), {0, 0, 37, 66}, {tile});
    }
}

TEST(BlockList, Picture)
{
    BlockMatrix listed(1, 3, 2);
    listed.list(0, 0, 0);
    listed.list(0, 2, 1);
    const auto spec = block_list(BlockPattern(2, 3, listed, false, 0));
    const GenericAttentionMask mask(spec.def, {0, 0, 7, 8}, DynamicTile{2, 3});
    std::string picture;
    for (index_t i = 0; i < 7; ++i, picture += '\n')
        for (index_t j = 0; j < 8; ++j)
            picture += mask.ElementwiseMask(i, j) ? '#' : '.';
    EXPECT_EQ(picture, "###.....\n###.....\n........\n........\n...###..\n...###..\n........\n");
    EXPECT_EQ(mask.num_live_tiles(), 2);
}

} // namespace
