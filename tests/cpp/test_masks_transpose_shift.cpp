// transpose(a) and shift(a, dq, dk).

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;

// A spec whose claim is another one's: both must be the same mask.
template <class Def, class Other>
Spec<Def> claimed(const Spec<Def>& spec, const Spec<Other>& same)
{
    Claim claim = same.claim;
    claim.name = text(spec.claim.name, " = ", same.claim.name);
    claim.live_exact = spec.claim.live_exact;
    claim.full_exact = spec.claim.full_exact;
    return {spec.def, claim, both(spec.data, same.data)};
}

TEST(Transposed, Laws)
{
    check_laws(transpose(diagonal(9, 2, true, 3)));
    check_laws(transpose(strided(3, 7)));
}
TEST(Transposed, LawsOfBlocks)
{
    check_laws(transpose(big_bird(4, 3, 1, 2, 5)), {1});
    check_laws(transpose(block_list(6, 9, 8, 11, 0.4, true, 1)));
}
TEST(Transposed, LawsOfCompositions)
{
    check_laws(transpose(longformer(8, 3, 2) & causal(true)));
    check_laws(~transpose(prefix_lm(9) | big_bird(5)) & diagonal(30, 30), {2});
}

// Data of rows becomes data of columns.
TEST(Transposed, ShortLaws)
{
    check_short_laws(transpose(documents({{2, 9, 0, 5}, {9, 10, 5, 20}, {15, 31, 22, 30}}, Within::bottom_right)));
    check_short_laws(transpose(lengths({9}, {17})));
    check_short_laws(transpose(fixed(5, 2)));
    check_short_laws(transpose(neighborhood({{3, 3}, {7, 5, 2, true}})));
    check_short_laws(transpose(prefix_lm(5, true)));
    check_short_laws(transpose(full()));
}

TEST(Transposed, TwiceIsNothing)
{
    check_short_laws(claimed(transpose(transpose(strided(2, 5))), strided(2, 5)));
    check_short_laws(claimed(transpose(transpose(causal(true) & big_bird(3))), causal(true) & big_bird(3)), {4});
}
TEST(Transposed, OfSymmetricPatternsIsThePattern)
{
    check_short_laws(claimed(transpose(longformer(6, 2, 3)), longformer(6, 2, 3)));
    check_short_laws(claimed(transpose(diagonal(4, 1)), diagonal(1, 4)));
}

class ShiftBy : public ::testing::TestWithParam<std::pair<index_t, index_t>> {};
INSTANTIATE_TEST_SUITE_P(Offset, ShiftBy,
                         ::testing::Values(std::pair{0, 0}, std::pair{5, 0}, std::pair{0, 7}, std::pair{-6, 0},
                                           std::pair{0, -3}, std::pair{4, 9}, std::pair{-5, -8}, std::pair{11, -2},
                                           std::pair{-1, 16}, std::pair{23, 30}, std::pair{-40, -70},
                                           std::pair{1000, 1000}, std::pair{-1000, 3}),
                         [](const auto& info) {
                             const auto word = [](index_t d) { return d < 0 ? text("minus_", -d) : text(d); };
                             return text(word(info.param.first), "_and_", word(info.param.second));
                         });

TEST_P(ShiftBy, ShortLaws)
{
    const auto [dq, dk] = GetParam();
    const auto moved = [dq = dq, dk = dk](const auto& spec) { return shift(spec, dq, dk); };
    check_short_laws(moved(full()));
    check_short_laws(moved(causal(true)));
    check_short_laws(moved(diagonal(3, 4, false, 2)));
    check_short_laws(moved(prefix_lm(6, true)));
    check_short_laws(moved(longformer(6, 3, 2)));
    check_short_laws(moved(longformer_tokens(4, {2, 9, 10})));
    check_short_laws(moved(strided(2, 5)));
    check_short_laws(moved(fixed(6, 2)));
    check_short_laws(moved(documents({{1, 6, 0, 5}, {6, 12, 7, 20}}, Within::top_left)));
    check_short_laws(moved(lengths({12}, {17}, true)));
    check_short_laws(moved(neighborhood({{4, 3}, {6, 3}})));
    check_short_laws(moved(~(big_bird(3, 1, 1, 1, 2) & causal())));
}
// Blocks are cut by the shift: they begin anywhere in a tile.
TEST_P(ShiftBy, LawsOfBlocks)
{
    const auto [dq, dk] = GetParam();
    check_short_laws(shift(big_bird(5, 3, 1, 1, 3), dq, dk), {1});
    check_short_laws(shift(big_bird_table(4, 1, 1, BlockMatrix(2, 8, 8, 0.2, 4)), dq, dk), {1});
    check_short_laws(shift(block_list(3, 70, 12, 2, 0.5, true, 5), dq, dk));
}

TEST(Shifted, Laws)
{
    check_laws(shift(diagonal(9, 2, true, 3), 6, -5));
    check_laws(shift(big_bird(6, 3, 1, 2, 1), -9, 13), {2});
}
TEST(Shifted, LawsOfCompositions)
{
    check_laws(shift(longformer(8, 3, 2) & causal(true), 7, 3));
    check_laws(~shift(fixed(9, 2) | block_list(4, 6, 10, 9, 0.3, true, 2), -3, -11));
}

// The mask of a chunk of queries is the rows of the whole mask from there on.
TEST(Shifted, ChunkOfQueries)
{
    const index_t seqlen_q = 60, seqlen_k = 47;
    const auto check = [&](const auto& spec) {
        const Predicate whole = spec.claim.oracle({0, 0, seqlen_q, seqlen_k});
        for (const index_t offset : {0, 1, 16, 33, 59}) {
            const auto chunk = shift(spec, -offset, 0);
            const GenericAttentionMask mask(chunk.def, {0, 0, seqlen_q - offset, seqlen_k}, DynamicTile{16, 16});
            for (index_t i = 0; i < seqlen_q - offset; ++i)
                for (index_t j = 0; j < seqlen_k; ++j)
                    ASSERT_EQ(mask.ElementwiseMask(i, j), whole(i + offset, j))
                        << chunk.claim.name << " at " << i << ", " << j;
        }
    };
    check(causal());
    check(causal(true));
    check(diagonal(20, 0, true, 4));
    check(longformer(16, 2) & causal(true));
    check(big_bird(8));
}

// What a negative shift cuts off does not come back, and nothing comes before a positive one.
TEST(Shifted, ThereAndBack)
{
    const Spec<ck_tile_masks::Full> all = full();
    const GenericAttentionMask mask(shift(shift(all, 5, 3), -2, -3).def, {0, 0, 20, 20}, DynamicTile{4, 4});
    for (index_t i = 0; i < 20; ++i)
        for (index_t j = 0; j < 20; ++j)
            ASSERT_EQ(mask.ElementwiseMask(i, j), i >= 3) << i << ", " << j;
    check_short_laws(shift(shift(strided(2, 5), 5, 3), -2, -3));
    check_short_laws(shift(shift(strided(2, 5), -2, -3), 5, 3));
    check_short_laws(claimed(shift(shift(causal(true), -2, 1), -3, 4), shift(causal(true), -5, 5)));
}

TEST(Shifted, TransposeExchangesTheOffsets)
{
    check_short_laws(claimed(transpose(shift(fixed(5, 1), 4, -3)), shift(transpose(fixed(5, 1)), -3, 4)));
}

TEST(Names, SayWhatWasDone)
{
    EXPECT_STREQ(decltype(transpose(causal().def))::get_name(), "transposed");
    EXPECT_STREQ(decltype(shift(causal().def, 1, 2))::get_name(), "shifted");
}

} // namespace
