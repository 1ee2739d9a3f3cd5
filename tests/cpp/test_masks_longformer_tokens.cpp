// Longformer with global tokens anywhere.

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"

namespace {

using namespace mask_tests;

TEST(LongformerTokens, Laws)
{
    check_laws(longformer_tokens(8, {0, 1, 7, 30, 31, 32, 64}));
    check_laws(longformer_tokens(6, {5, 23, 50}, 3));
}
TEST(LongformerTokens, ComplementLaws)
{
    check_laws(~longformer_tokens(4, {3, 4, 19, 40}, 2));
    check_short_laws(~longformer_tokens(2, {}));
}

class LongformerTokensDilation : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(Dilation, LongformerTokensDilation, ::testing::Values(1, 2, 3, 7, 40));

TEST_P(LongformerTokensDilation, AllParameters)
{
    Numbers odd;
    for (index_t token = 1; token < 60; token += 2)
        odd.push_back(token);
    index_t turn = 0;
    for (const index_t window : {0, 2, 3, 8, 20, 100})
        for (const Numbers& tokens :
             {Numbers{}, Numbers{0}, Numbers{9}, Numbers{1, 2, 3}, Numbers{0, 4, 8, 12}, Numbers{2, 11, 12, 23}, odd,
              Numbers{1000, kIndexMax - 1}, Numbers{7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 90}}) {
            check_laws_in_turn(longformer_tokens(window, tokens, GetParam()), turn);
            ++turn;
        }
}

// A prefix as tokens is the prefix of Longformer.
TEST(LongformerTokens, AgreesWithThePrefix)
{
    for (const index_t dilation : {1, 3})
        for (const index_t num_global : {0, 1, 6}) {
            Numbers tokens;
            for (index_t token = 0; token < num_global; ++token)
                tokens.push_back(token);
            const auto of_tokens = longformer_tokens(8, tokens, dilation);
            const Spec<ck_tile_masks::LongformerTokens> claimed{
                of_tokens.def, longformer(8, num_global, dilation).claim, of_tokens.data};
            check_short_laws(claimed);
        }
}

TEST(LongformerTokens, Picture)
{
    const auto spec = longformer_tokens(2, {4});
    const GenericAttentionMask mask(spec.def, {0, 0, 6, 6}, DynamicTile{1, 1});
    std::string picture;
    for (index_t i = 0; i < 6; ++i, picture += '\n')
        for (index_t j = 0; j < 6; ++j)
            picture += mask.ElementwiseMask(i, j) ? '#' : '.';
    EXPECT_EQ(picture, "##..#.\n###.#.\n.####.\n..###.\n######\n....##\n");
}

} // namespace
