// Documents: packed sequences that do not see each other.

#include <random>

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"

namespace {

using namespace mask_tests;

const char* name_of(Within within)
{
    return within == Within::whole ? "whole" : within == Within::top_left ? "top_left" : "bottom_right";
}

class DocumentsWithin : public ::testing::TestWithParam<Within> {};
INSTANTIATE_TEST_SUITE_P(Causal, DocumentsWithin,
                         ::testing::Values(Within::whole, Within::top_left, Within::bottom_right),
                         [](const auto& info) { return name_of(info.param); });

// Documents of different lengths of queries and keys, gaps before, between and after them, one that sticks out.
TEST_P(DocumentsWithin, Laws)
{
    check_laws(documents({{2, 9, 0, 5}, {9, 10, 5, 20}, {15, 31, 22, 30}, {31, 62, 33, 90}}, GetParam()));
}
TEST_P(DocumentsWithin, SelfAttentionLaws)
{
    const Numbers lengths = {5, 1, 17, 0, 8, 3, 20, 4};
    check_laws(packed(lengths, lengths, GetParam()));
}
TEST_P(DocumentsWithin, ComplementLaws)
{
    check_laws(~documents({{0, 7, 0, 11}, {7, 20, 12, 14}, {22, 50, 20, 60}}, GetParam()));
}

// Random cuts, among them documents of one row, one column, no rows or no columns.
TEST_P(DocumentsWithin, RandomCuts)
{
    std::mt19937 random(11);
    const auto length = [&](index_t longest) {
        return index_t(random() % 4 == 0 ? random() % 2 : random() % unsigned(longest));
    };
    for (index_t turn = 0; turn < 60; ++turn) {
        Numbers lengths_q, lengths_k;
        for (index_t n = 0; n < turn % 9; ++n) {
            lengths_q.push_back(length(12));
            lengths_k.push_back(length(turn % 2 ? 12 : 5));
        }
        check_laws_in_turn(packed(lengths_q, lengths_k, GetParam()), turn);
        check_laws_in_turn(~packed(lengths_k, lengths_q, GetParam()), turn);
    }
}

TEST_P(DocumentsWithin, NoneOrOne)
{
    check_short_laws(documents({}, GetParam()));
    check_short_laws(documents({{0, 24, 0, 24}}, GetParam()));
    check_short_laws(documents({{0, kIndexMax, 0, kIndexMax}}, GetParam()));
    check_short_laws(documents({{5, 6, 3, 4}}, GetParam()));
    check_short_laws(documents({{100, 200, 100, 200}}, GetParam()));
}

// One document over everything is Full or Causal.
TEST(Documents, OneDocumentIsTheDiagonal)
{
    const auto claimed = [](const auto& spec, const Claim& claim) {
        return Spec<ck_tile_masks::Documents>{spec.def, claim, spec.data};
    };
    for (const auto& [seqlen_q, seqlen_k] : {std::pair{24, 24}, std::pair{13, 31}, std::pair{31, 13}}) {
        const auto one = [&, q = seqlen_q, k = seqlen_k](Within within) { return documents({{0, q, 0, k}}, within); };
        for (const auto& spec :
             {claimed(one(Within::whole), full().claim), claimed(one(Within::top_left), causal().claim),
              claimed(one(Within::bottom_right), causal(true).claim)})
            check_shape(spec.claim, view_factory(spec), {0, 0, seqlen_q, seqlen_k});
    }
}

TEST(Documents, Picture)
{
    const auto spec = documents({{0, 2, 0, 3}, {3, 6, 3, 5}}, Within::bottom_right);
    const GenericAttentionMask mask(spec.def, {0, 0, 7, 6}, DynamicTile{1, 1});
    std::string picture;
    for (index_t i = 0; i < 7; ++i, picture += '\n')
        for (index_t j = 0; j < 6; ++j)
            picture += mask.ElementwiseMask(i, j) ? '#' : '.';
    EXPECT_EQ(picture, "##....\n###...\n......\n......\n...#..\n...##.\n......\n");
}

} // namespace
