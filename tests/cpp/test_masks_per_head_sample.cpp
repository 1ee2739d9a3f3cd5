// PerHead and PerSample: a choice by the entry of the call.

#include <type_traits>

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;

TEST(PerHead, Laws)
{
    const auto spec = per_head<ck_tile_masks::Longformer>({longformer(6), longformer(6, 4, 3), longformer(20, 1)});
    for (const index_t head : {0, 1, 2})
        check_short_laws(spec, {head, 7});
    check_laws(spec, {1, 7});
}
TEST(PerSample, Laws)
{
    const auto spec = per_sample<ck_tile_masks::PrefixLM>({prefix_lm(3), prefix_lm(20, true), prefix_lm(0)});
    for (const index_t batch : {0, 1, 2})
        check_short_laws(spec, {7, batch});
    check_laws(spec, {7, 1});
}

// The part that was chosen is bound to the call itself: to its head, its sample and its lengths.
TEST(PerHead, LawsOfBlocks)
{
    const auto spec = per_head<ck_tile_masks::BigBird>({big_bird(4), big_bird(7, 1, 0, 2, 9), big_bird(3, 5, 2, 1)});
    check_laws(spec, {1});
    for (const index_t head : {0, 2})
        check_short_laws(spec, {head});
}
TEST(PerSample, LawsOfData)
{
    const auto spec = per_sample<ck_tile_masks::Documents>(
        {packed({9, 3, 12}, {4, 9, 11}), packed({30}, {20}, Within::bottom_right), documents({})});
    for (const index_t batch : {0, 1, 2})
        check_laws(spec, {0, batch});
}

TEST(PerHead, NestedLaws)
{
    const auto first = per_head<ck_tile_masks::Strided>({strided(2, 5), strided(4, 9)});
    const auto second = per_head<ck_tile_masks::Strided>({strided(7, 3), strided(1, 8)});
    const auto both_entries = per_sample<ck_tile_masks::PerHead<ck_tile_masks::Strided>>({first, second});
    for (const index_t batch : {0, 1})
        for (const index_t head : {0, 1})
            check_short_laws(both_entries, {head, batch});
    check_laws(both_entries & ~lengths({50, 40}, {30, 60}), {1, 1});
}

TEST(PerHead, LawsOfCompositions)
{
    const auto spec = per_head(std::vector{longformer(6, 1) & causal(true), longformer(10, 0, 2) & causal()});
    for (const index_t head : {0, 1})
        check_laws(~spec | diagonal(0, 0), {head});
    check_short_laws(transpose(shift(spec, 3, -4)), {1});
}

TEST(PerHead, BindsToThePartItself)
{
    using namespace ck_tile_masks;
    EXPECT_TRUE((std::is_same_v<bound_mask_t<PerHead<Diagonal>>, BoundDiagonal>));
    EXPECT_STREQ(PerHead<Diagonal>::get_name(), "per_head");
    EXPECT_STREQ(PerSample<Diagonal>::get_name(), "per_sample");
}

} // namespace
