// Longformer, exhaustively on small shapes.

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;

class LongformerDilation : public ::testing::TestWithParam<index_t> {};
INSTANTIATE_TEST_SUITE_P(Dilation, LongformerDilation, ::testing::Values(1, 2, 3, 7));

TEST_P(LongformerDilation, Laws)
{
    for (const index_t window : {0, 2, 8, 12, 100})
        for (const index_t num_global : {0, 1, 5, 100})
            check_laws(longformer(window, num_global, GetParam()));
}

TEST_P(LongformerDilation, ComplementLaws)
{
    for (const index_t num_global : {0, 3})
        check_laws(~longformer(6, num_global, GetParam()));
}

} // namespace
