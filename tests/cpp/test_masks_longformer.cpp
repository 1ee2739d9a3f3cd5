// Longformer with a prefix of global tokens, exhaustively on small shapes.

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;

class LongformerDilation : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(Dilation, LongformerDilation, ::testing::Values(1, 2, 3, 7));

TEST_P(LongformerDilation, Laws)
{
    check_laws(longformer(12, 0, GetParam()));
    check_laws(longformer(8, 5, GetParam()));
}

TEST_P(LongformerDilation, ShortLaws)
{
    for (const index_t window : {0, 2, 8, 12, 100})
        for (const index_t num_global : {0, 1, 5, 100})
            check_short_laws(longformer(window, num_global, GetParam()));
}

TEST_P(LongformerDilation, ComplementLaws)
{
    check_laws(~longformer(6, 3, GetParam()));
    check_short_laws(~longformer(6, 0, GetParam()));
}

} // namespace
