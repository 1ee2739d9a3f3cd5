// Lengths: padding per sample.

#include "mask_laws.hpp"
#include "mask_spec_data.hpp"

namespace {

using namespace mask_tests;

class LengthsPadding : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Padding, LengthsPadding, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "left" : "right"; });

TEST_P(LengthsPadding, Laws)
{
    check_laws(lengths({50, 9}, {3, 27}, GetParam()), {0, 1});
    check_laws(lengths({}, {0, 41, 5}, GetParam()), {2, 1});
}
TEST_P(LengthsPadding, ComplementLaws)
{
    check_laws(~lengths({14}, {29}, GetParam()));
    check_short_laws(~lengths({}, {12}, GetParam()));
    check_short_laws(~lengths({12}, {}, GetParam()));
}

// Each sample has its own lengths: none, one, some, all, more than there are.
TEST_P(LengthsPadding, EverySample)
{
    const Numbers of_q = {0, 1, 7, 23, 24, 1000, kIndexMax, 5}, of_k = {9, 0, 7, 1000, 1, 24, kIndexMax, 23};
    for (index_t batch = 0; batch < index_t(of_q.size()); ++batch) {
        check_short_laws(lengths(of_q, of_k, GetParam()), {0, batch});
        check_short_laws(lengths(of_q, {}, GetParam()), {3, batch});
        check_short_laws(lengths({}, of_k, GetParam()), {1, batch});
    }
}

// A sample past the list has nothing valid; no list at all means that everything is.
TEST_P(LengthsPadding, SamplesPastTheList)
{
    check_short_laws(lengths({10, 20}, {20, 10}, GetParam()), {0, 2});
    check_short_laws(lengths({10, 20, 9}, {20, 10}, GetParam()), {0, 2});
    check_short_laws(lengths({}, {20, 10}, GetParam()), {0, 1000});
    check_short_laws(lengths({}, {}, GetParam()), {0, 5});
}

TEST_P(LengthsPadding, ComposedLaws)
{
    check_laws(lengths({40, 21}, {60, 30}, GetParam()) & causal(true), {0, 1});
    check_laws(longformer(6, 2) & ~lengths({}, {33}, GetParam()));
}

} // namespace
