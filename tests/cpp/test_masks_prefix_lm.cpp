// Prefix-LM, exhaustively on small shapes.

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;

class PrefixLMAlignment : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Alignment, PrefixLMAlignment, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "bottom_right" : "top_left"; });

TEST_P(PrefixLMAlignment, Laws)
{
    check_laws(prefix_lm(16, GetParam()));
    for (const index_t prefix : {0, 1, 7, 16, 50})
        check_short_laws(prefix_lm(prefix, GetParam()));
}

TEST_P(PrefixLMAlignment, ComplementLaws) { check_laws(~prefix_lm(7, GetParam())); }

TEST(PrefixLM, ComposedLaws)
{
    check_laws(prefix_lm(5) & diagonal(8, -1, false, 2));
    check_laws(~prefix_lm(3, true) | longformer(4, 1));
}

TEST(PrefixLM, NearTheEndOfTheRange)
{
    const GenericAttentionMask<ck_tile_masks::PrefixLM> mask(ck_tile_masks::PrefixLM(kIndexMax), {0, 0, 5, kIndexMax},
                                                             {4, 1 << 20});
    EXPECT_EQ(mask.num_live_tiles_in_row(1), mask.num_tiles_x());
    EXPECT_EQ(mask.GetTileStatus(1, mask.num_tiles_x() - 1), ck_tile_masks::TileStatus::full);
    const GenericAttentionMask<ck_tile_masks::PrefixLM> causal(
        ck_tile_masks::PrefixLM(0, ck_tile_masks::Alignment::bottom_right), {0, 0, 5, kIndexMax}, {4, 1 << 20});
    EXPECT_TRUE(causal.ElementwiseMask(4, kIndexMax - 1));
    EXPECT_FALSE(causal.ElementwiseMask(3, kIndexMax - 1));
}

} // namespace
