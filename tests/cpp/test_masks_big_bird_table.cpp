// Big Bird with given random blocks.

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"

namespace {

using namespace mask_tests;

TEST(BigBirdTable, Laws)
{
    check_laws(big_bird_table(4, 3, 1, BlockMatrix(3, 15, 18, 0.1, 1)), {2});
    check_laws(big_bird_table(7, 1, 0, BlockMatrix(1, 10, 10, 0.25, 2)), {5});
}
TEST(BigBirdTable, ComplementLaws)
{
    check_laws(~big_bird_table(3, 1, 1, BlockMatrix(2, 22, 22, 0.1, 3)), {1});
    check_short_laws(~big_bird_table(5, 3, 0, BlockMatrix(1, 5, 5, 0.2, 4)), {0});
}

class BigBirdTableBlock : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(BlockSize, BigBirdTableBlock, ::testing::Range(1, 9));

// One table for all heads or one for each; tables that end before the sequence or reach past it.
TEST_P(BigBirdTableBlock, AllParameters)
{
    const index_t block = GetParam(), n = (24 + block - 1) / block;
    index_t turn = 0;
    for (const index_t window : {1, 3, 5})
        for (const index_t num_global : {0, 1, 2})
            for (const index_t heads : {1, 3})
                for (const index_t more : {-1, 0, 3}) {
                    const BlockMatrix random(heads, n + more, n + 1 - turn % 4 % 3, 0.15, unsigned(turn));
                    check_laws_in_turn(big_bird_table(block, window, num_global, random), turn, {turn % 4});
                    ++turn;
                }
}

// The draws of BigBird written down are BigBird.
TEST(BigBirdTable, AgreesWithTheDraws)
{
    for (const index_t head : {0, 1}) {
        const index_t block = 3, n = 8;
        const MaskCall call{0, head, block * n - 1, block * n - 2};
        const RandomBlocks random(n, 2, 17, head);
        BlockMatrix drawn(1, n, n);
        for (index_t t = 0; t < 2; ++t)
            for (index_t row = 0; row < n; ++row)
                drawn.list(0, row, random.draw(t, row));
        const auto table = big_bird_table(block, 3, 1, drawn);
        const Spec<ck_tile_masks::BigBirdTable> claimed{table.def, big_bird(block, 3, 1, 2, 17).claim, table.data};
        check_shape(claimed.claim, view_factory(claimed), call);
    }
}

} // namespace
