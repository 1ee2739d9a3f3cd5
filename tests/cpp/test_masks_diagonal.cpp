// The diagonal family and Full, exhaustively on small shapes.

#include "mask_laws.hpp"

namespace {

using namespace mask_tests;

TEST(Full, Laws) { check_laws(full()); }
TEST(Full, ComplementLaws) { check_laws(~full()); }

TEST(Diagonal, CausalLaws)
{
    for (const bool bottom_right : {false, true}) {
        check_laws(causal(bottom_right));
        check_laws(~causal(bottom_right));
    }
}

class DiagonalWindow : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Alignment, DiagonalWindow, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "bottom_right" : "top_left"; });

TEST_P(DiagonalWindow, Laws)
{
    check_laws(diagonal(6, 2, GetParam()));
    check_laws(diagonal(12, 5, GetParam(), 4));
}

TEST_P(DiagonalWindow, ShortLaws)
{
    for (const index_t left : {-1, 0, 1, 6, 50})
        for (const index_t right : {-1, 0, 2, 9})
            check_short_laws(diagonal(left, right, GetParam()));
}

TEST_P(DiagonalWindow, ShortSinkLaws)
{
    for (const index_t sinks : {1, 4, 50})
        for (const index_t left : {0, 3, 12})
            for (const index_t right : {-1, 0, 5})
                check_short_laws(diagonal(left, right, GetParam(), sinks));
}

TEST_P(DiagonalWindow, ComplementLaws)
{
    check_laws(~diagonal(2, 3, GetParam()));
    check_laws(~diagonal(5, 0, GetParam(), 3));
}

// The pictures of the header.
TEST(Diagonal, Pictures)
{
    using namespace ck_tile_masks;
    const auto picture = [](const Diagonal& def, index_t seqlen_q, index_t seqlen_k) {
        const GenericAttentionMask<Diagonal> mask(def, {0, 0, seqlen_q, seqlen_k});
        std::string out;
        for (index_t i = 0; i < seqlen_q; ++i, out += '\n')
            for (index_t j = 0; j < seqlen_k; ++j)
                out += mask.ElementwiseMask(i, j) ? '#' : '.';
        return out;
    };
    EXPECT_EQ(picture(Diagonal(1, 0), 4, 5), "#....\n##...\n.##..\n..##.\n");
    EXPECT_EQ(picture(Diagonal(1, 1, Alignment::top_left, 1), 4, 5), "##...\n###..\n####.\n#.###\n");
    EXPECT_EQ(picture(Diagonal::causal(Alignment::bottom_right), 3, 5), "###..\n####.\n#####\n");
}

} // namespace
