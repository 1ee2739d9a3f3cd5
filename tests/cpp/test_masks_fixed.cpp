// The fixed pattern of the Sparse Transformer.

#include "mask_laws.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;

TEST(Fixed, Laws)
{
    check_laws(fixed(6, 2));
    check_laws(fixed(16, 3));
}
TEST(Fixed, ComplementLaws)
{
    check_laws(~fixed(7, 1));
    check_short_laws(~fixed(5, 0));
    check_short_laws(~fixed(4, 4));
}

class FixedLocal : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(Local, FixedLocal, ::testing::Values(1, 2, 3, 5, 8, 13, 24, 40, 1000, kIndexMax));

TEST_P(FixedLocal, AllParameters)
{
    const index_t local = GetParam();
    index_t turn = 0;
    for (const index_t summary : {0, 1, 2, 3, 7, local / 2, local - 1, local}) {
        if (summary > local) continue;
        check_laws_in_turn(fixed(local, summary), turn);
        check_laws_in_turn(~fixed(local, summary), turn + 1);
        ++turn;
    }
}

TEST(Fixed, Picture)
{
    const GenericAttentionMask mask(fixed(3, 1).def, {0, 0, 7, 7}, DynamicTile{1, 1});
    std::string picture;
    for (index_t i = 0; i < 7; ++i, picture += '\n')
        for (index_t j = 0; j < 7; ++j)
            picture += mask.ElementwiseMask(i, j) ? '#' : '.';
    EXPECT_EQ(picture, "#......\n##.....\n###....\n..##...\n..###..\n..####.\n..#..##\n");
}

} // namespace
