// The strided pattern of the Sparse Transformer.

#include "mask_laws.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;

TEST(Strided, Laws)
{
    check_laws(strided(4, 6));
    check_laws(strided(9, 16));
}
TEST(Strided, ComplementLaws)
{
    check_laws(~strided(3, 7));
    check_short_laws(~strided(1, 1));
    check_short_laws(~strided(1, 5));
}

class StridedStride : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(Stride, StridedStride, ::testing::Values(1, 2, 3, 5, 8, 13, 24, 40, 1000, kIndexMax));

TEST_P(StridedStride, AllParameters)
{
    index_t turn = 0;
    for (const index_t local : {1, 2, 3, 4, 5, 7, 8, 9, 20, 41, 1000, kIndexMax}) {
        check_laws_in_turn(strided(local, GetParam()), turn);
        check_laws_in_turn(~strided(local, GetParam()), turn + 1);
        ++turn;
    }
}

TEST(Strided, Picture)
{
    const GenericAttentionMask mask(strided(2, 3).def, {0, 0, 7, 7}, DynamicTile{1, 1});
    std::string picture;
    for (index_t i = 0; i < 7; ++i, picture += '\n')
        for (index_t j = 0; j < 7; ++j)
            picture += mask.ElementwiseMask(i, j) ? '#' : '.';
    EXPECT_EQ(picture, "#......\n##.....\n.##....\n#.##...\n.#.##..\n..#.##.\n#..#.##\n");
}

} // namespace
