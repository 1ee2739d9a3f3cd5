// Compositions of definitions of every kind, nested, on all small shapes.

#include "mask_laws.hpp"
#include "mask_spec_deepspeed.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;

// What models are made of.
TEST(Combinations, CausalLongformer) { check_laws(longformer(8, 5, 2) & causal()); }
TEST(Combinations, CausalBigBird) { check_laws(big_bird(4, 3, 1, 2, 3) & causal(true), {1}); }
TEST(Combinations, CausalTokens) { check_laws(longformer_tokens(6, {0, 13, 14, 40}) & causal()); }
TEST(Combinations, PaddedWindow) { check_laws(lengths({}, {13, 47}) & diagonal(9, 9), {0, 1}); }
TEST(Combinations, LeftPaddedCausal) { check_laws(lengths({51, 20}, {60, 33}, true) & causal(true), {3, 0}); }
TEST(Combinations, WindowInDocuments)
{
    check_laws(packed({20, 11, 30}, {17, 11, 33}, Within::bottom_right) & diagonal(8, 0));
}
TEST(Combinations, PrefixInDocuments) { check_laws(packed({25, 30}, {25, 30}) & (prefix_lm(4) | causal())); }
TEST(Combinations, SinksAndNeighborhood)
{
    check_laws((diagonal(4, 2, false, 3) & ~diagonal(1, -1)) | neighborhood({{6, 3}, {10, 3}}));
}
TEST(Combinations, StridedOrFixed) { check_laws(strided(3, 8) | fixed(8, 2)); }
TEST(Combinations, StridedAndFixed) { check_laws(strided(5, 4) & fixed(10, 4)); }
TEST(Combinations, CausalNeighborhood) { check_laws(neighborhood({{3, 3}, {4, 3}, {5, 5}}, true) & causal()); }
TEST(Combinations, EveryHeadItsDilation)
{
    const auto heads = per_head<ck_tile_masks::Longformer>({longformer(6, 0, 1), longformer(6, 0, 3)});
    check_laws(heads & causal(true), {1});
}

// Blocks of one size with blocks of another one.
TEST(Combinations, BlocksOfTwoSizes) { check_laws(big_bird(5, 1, 0, 2, 4) & big_bird(8, 3, 1, 1, 5), {2}); }
TEST(Combinations, BlockListsOfTwoSizes)
{
    check_laws(block_list(6, 4, 11, 17, 0.4, true, 1) & ~block_list(9, 7, 8, 10, 0.3, false, 2));
}
TEST(Combinations, TableAndList)
{
    check_laws(big_bird_table(6, 3, 1, BlockMatrix(2, 11, 11, 0.1, 3)) | block_list(16, 16, 5, 5, 0.2, true, 4), {1});
}
TEST(Combinations, LayoutsOfTwoSizes)
{
    check_laws(deepspeed_fixed({4, 4, 1, 2, false, true}) & ~deepspeed_longformer(3, 3, {{2, 4}}, true), {1});
}
TEST(Combinations, LayoutAndElements)
{
    check_laws(deepspeed_variable({3, {2, 5}, {{1, 2}}, true, false}) & causal() & lengths({}, {44}));
}
TEST(Combinations, LayoutAndDraws)
{
    check_laws(deepspeed_big_bird({5, 3, 1, 1, 6}, true) | (strided(2, 11) & ~fixed(6, 1)), {3});
}

// Transposed and shifted parts.
TEST(Combinations, Symmetric) { check_laws(strided(2, 7) | transpose(strided(2, 7))); }
TEST(Combinations, WithItsTranspose)
{
    check_laws(block_list(5, 8, 13, 8, 0.3, true, 6) & transpose(block_list(8, 5, 9, 13, 0.4, true, 7)));
}
TEST(Combinations, ShiftedBlocksAndBlocks)
{
    check_laws(shift(big_bird(8, 1, 1, 1, 8), 3, -5) & ~big_bird(4, 1, 0, 1, 9));
}
TEST(Combinations, ShiftedTranspose) { check_laws(shift(transpose(fixed(7, 2) & causal()), -4, 6) | diagonal(1, 0)); }
TEST(Combinations, TransposedShift)
{
    check_laws(transpose(shift(longformer_tokens(4, {1, 20}, 3), 11, 2) | lengths({9}, {50})));
}
TEST(Combinations, ShiftedDocuments)
{
    check_laws(~shift(packed({12, 8, 19}, {10, 13, 9}, Within::top_left), -5, 7) & prefix_lm(30, true));
}

// Nested choices and complements.
TEST(Combinations, ChoiceInChoice)
{
    const auto heads = [](index_t window) {
        return per_head(std::vector{big_bird(4, 1, 1, 1, window) & causal(), big_bird(6, 3, 0, 2, window) & causal()});
    };
    check_laws(~per_sample(std::vector{heads(3), heads(5)}) | lengths({}, {9, 21}), {1, 1});
}
TEST(Combinations, ChoiceOfShifts)
{
    check_laws(per_sample(std::vector{shift(causal(true), 5, 0), shift(causal(true), -9, 4)}) & fixed(9, 3), {0, 1});
}
TEST(Combinations, DeepComplement)
{
    check_laws(~(~(neighborhood({{5, 3}, {12, 5, 2}}) & ~strided(1, 6)) & ~(fixed(5, 1) | transpose(causal()))));
}
TEST(Combinations, EverythingAtOnce)
{
    check_laws(((big_bird(6, 3, 1, 1, 1) | documents({{3, 30, 5, 40}}, Within::top_left)) & ~strided(2, 9)) |
                   shift(transpose(deepspeed_fixed({4, 3, 1, 1, true, false})), 8, -2),
               {2});
}

} // namespace
