// Neighbourhoods on grids of one, two and three dimensions.

#include "mask_laws.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;
using Sizes = std::vector<index_t>;

class NeighborhoodBorder : public ::testing::TestWithParam<bool> {
protected:
    Spec<ck_tile_masks::Neighborhood> grid(const std::vector<GridAxis>& axes) const
    {
        return neighborhood(axes, GetParam());
    }
};
INSTANTIATE_TEST_SUITE_P(Border, NeighborhoodBorder, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "clip" : "shift"; });

// Grids end before the longest sequence, or reach past it.
TEST_P(NeighborhoodBorder, Laws1d)
{
    check_laws(grid({{50, 9}}));
    check_laws(grid({{80, 5, 3}}));
}
TEST_P(NeighborhoodBorder, Laws2d)
{
    check_laws(grid({{6, 3}, {9, 5}}));
    check_laws(grid({{7, 5, 2}, {10, 3, 3}}));
}
TEST_P(NeighborhoodBorder, LawsOfCausalAxes)
{
    check_laws(grid({{9, 3, 1, true}, {6, 3}}));
    check_laws(grid({{4, 3}, {15, 4, 3, true}}));
}
TEST_P(NeighborhoodBorder, Laws3d)
{
    check_short_laws(grid({{3, 3}, {4, 3}, {5, 3}}));
    check_laws(grid({{4, 3, 2}, {4, 3, 1, true}, {5, 3, 2}}));
}
TEST_P(NeighborhoodBorder, ComplementLaws)
{
    check_short_laws(~grid({{60, 7, 2}}));
    check_laws(~grid({{5, 3}, {11, 5}}));
}

TEST_P(NeighborhoodBorder, AllParameters1d)
{
    index_t turn = 0;
    for (const index_t size : {1, 2, 5, 11, 24, 30, 1000})
        for (const index_t window : {1, 3, 5, 9, 25, 1001})
            for (const index_t dilation : {1, 2, 3, 12, 40})
                for (const bool causal : {false, true})
                    check_laws_in_turn(grid({{size, window, dilation, causal}}), turn++);
}

// The axes take turns to be the plain one.
TEST_P(NeighborhoodBorder, AllParameters2d)
{
    index_t turn = 0;
    for (const auto& [rows, cols] :
         {std::pair{20, 1}, std::pair{4, 6}, std::pair{7, 3}, std::pair{8, 9}, std::pair{2, 12}})
        for (const index_t window : {1, 3, 5, 101})
            for (const index_t dilation : {1, 2, 3})
                for (const int causal : {0, 1, 2, 3}) {
                    const index_t other = turn % 3 * 2 + 1;
                    const bool of_rows = causal / 2 != 0, of_cols = causal % 2 != 0;
                    if ((turn + dilation) % 2 == 0)
                        check_laws_in_turn(grid({{rows, window, dilation, of_rows}, {cols, other, 1, of_cols}}), turn);
                    else
                        check_laws_in_turn(grid({{rows, other, 1, of_rows}, {cols, window, dilation, of_cols}}), turn);
                    ++turn;
                }
}
TEST_P(NeighborhoodBorder, AllParameters3d)
{
    index_t turn = 0;
    for (const Sizes& size : {Sizes{2, 3, 4}, Sizes{3, 3, 3}, Sizes{4, 1, 6}, Sizes{5, 2, 1}, Sizes{4, 5, 6}})
        for (const index_t window : {1, 3, 5})
            for (const index_t dilation : {1, 2})
                for (int causal = 0; causal < 8; ++causal) {
                    const index_t other = turn % 2 * 2 + 1;
                    check_laws_in_turn(grid({{size[0], window, dilation, causal / 4 != 0},
                                             {size[1], other, 1 + turn % 3, causal / 2 % 2 != 0},
                                             {size[2], window, 3 - dilation, causal % 2 != 0}}),
                                       turn);
                    ++turn;
                }
}

// The window that is shifted inwards has the same size everywhere, the clipped one loses what is outside.
TEST(Neighborhood, WindowsAtTheBorder)
{
    const auto picture = [](const auto& spec) {
        const GenericAttentionMask mask(spec.def, {0, 0, 6, 7}, DynamicTile{1, 1});
        std::string out;
        for (index_t i = 0; i < 6; ++i, out += '\n')
            for (index_t j = 0; j < 7; ++j)
                out += mask.ElementwiseMask(i, j) ? '#' : '.';
        return out;
    };
    EXPECT_EQ(picture(neighborhood({{6, 3}})), "###....\n###....\n.###...\n..###..\n...###.\n...###.\n");
    EXPECT_EQ(picture(neighborhood({{6, 3}}, true)), "##.....\n###....\n.###...\n..###..\n...###.\n....##.\n");
    EXPECT_EQ(picture(neighborhood({{6, 3, 1, true}})), "#......\n##.....\n###....\n.###...\n..###..\n...###.\n");
    EXPECT_EQ(picture(neighborhood({{6, 3, 2}})), "#.#.#..\n.#.#.#.\n#.#.#..\n.#.#.#.\n#.#.#..\n.#.#.#.\n");
    EXPECT_EQ(picture(neighborhood({{2, 1}, {3, 3}})), "###....\n###....\n###....\n...###.\n...###.\n...###.\n");
}

// A grid of one row is a grid of one dimension.
TEST_P(NeighborhoodBorder, DimensionsOfOneAreNone)
{
    const auto line = grid({{20, 5, 2}});
    for (const auto& same : {grid({{1}, {20, 5, 2}}), grid({{20, 5, 2}, {1, 7}}), grid({{1, 3}, {1}, {20, 5, 2}})})
        check_short_laws(Spec<ck_tile_masks::Neighborhood>{same.def, line.claim});
}

} // namespace
