// live_run_end: which definitions have it; counts of live tiles, which rest on it or on closed forms.

#include <random>

#include "mask_laws.hpp"
#include "mask_spec_deepspeed.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;
using namespace ck_tile_masks;

template <class Def>
inline constexpr bool has_live_runs = contract::has_live_runs<bound_mask_t<Def>>;

// Every definition of the library that is exact; compositions of one part that is ...
static_assert(has_live_runs<Full>);
static_assert(has_live_runs<Diagonal>);
static_assert(has_live_runs<PrefixLM>);
static_assert(has_live_runs<Longformer>);
static_assert(has_live_runs<LongformerTokens>);
static_assert(has_live_runs<BigBird>);
static_assert(has_live_runs<BigBirdTable>);
static_assert(has_live_runs<Strided>);
static_assert(has_live_runs<Fixed>);
static_assert(has_live_runs<Documents>);
static_assert(has_live_runs<Lengths>);
static_assert(has_live_runs<Neighborhood>);
static_assert(has_live_runs<BlockList>);
static_assert(has_live_runs<DeepSpeedFixed>);
static_assert(has_live_runs<DeepSpeedVariable>);
static_assert(has_live_runs<DeepSpeedLongformer>);
static_assert(has_live_runs<DeepSpeedBigBird>);
static_assert(has_live_runs<DeepSpeedBigBirdTable>);
static_assert(has_live_runs<Transposed<Diagonal>>);
static_assert(has_live_runs<Shifted<Diagonal>>);
static_assert(has_live_runs<Shifted<Transposed<BigBird>>>);
static_assert(has_live_runs<PerHead<Diagonal>>);
static_assert(has_live_runs<PerSample<PerHead<BigBird>>>);

// ... but not those whose walks may be early.
static_assert(!has_live_runs<Union<Diagonal, BigBird>>);
static_assert(!has_live_runs<Intersection<Diagonal, BigBird>>);
static_assert(!has_live_runs<Complement<Diagonal>>);
static_assert(!has_live_runs<Shifted<Union<Diagonal, BigBird>>>);

// Blocks that say where their runs end: columns of blocks 3 n and 3 n + 1. Rows of blocks past the fourth have none.
struct Pairs : MaskDefABC<Pairs> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "pairs"; }
    constexpr index_t block_y() const { return 3; }
    constexpr index_t block_x() const { return 2; }
    constexpr bool tile_mask_func(index_t I, index_t J) const { return I < 4 && J % 3 != 2; }
    constexpr index_t next_live_block_col(index_t I0, index_t, index_t from) const
    {
        return I0 < 4 ? from + (from % 3 == 2) : kNone;
    }
    constexpr index_t next_not_full_block_col(index_t, index_t I1, index_t from) const
    {
        return I1 > 4 ? from : from / 3 * 3 + 2;
    }
    constexpr index_t next_live_block_row(index_t J0, index_t J1, index_t from) const
    {
        return from < 4 && next_live_block_col(0, 1, J0) < J1 ? from : kNone;
    }
    constexpr index_t next_not_full_block_row(index_t J0, index_t J1, index_t from) const
    {
        return J0 / 3 * 3 + 2 < J1 ? from : max(from, 4);
    }
    constexpr index_t live_run_end_block_col(index_t, index_t, index_t J) const { return J / 3 * 3 + 2; }
    constexpr index_t live_run_end_block_row(index_t, index_t, index_t) const { return 4; }
};
static_assert(has_live_runs<Pairs>);

TEST(LiveRuns, LawsOfBlocks)
{
    const Oracle oracle = [](const MaskCall&) {
        return [](element_t i, element_t j) { return i / 3 < 4 && j / 2 % 3 != 2; };
    };
    check_laws(Spec<Pairs>{{}, {"pairs", oracle}});
}

// --- What it is for: counting without a step for each tile ----------------------------------------------------------

// Live tiles in rows and columns 0, 1, middle and last of a square of 2^31 - 1 tiles of one element.
template <class Def>
long long count_lines(const Spec<Def>& spec)
{
    const index_t n = kIndexMax;
    const GenericAttentionMask mask(spec.def, {0, 0, n, n}, DynamicTile{1, 1});
    long long total = 0;
    for (const index_t line : {0, 1, n / 2, n - 1})
        total += static_cast<long long>(mask.num_live_tiles_in_row(line)) + mask.num_live_tiles_in_col(line);
    return total;
}

// Counts are lengths of walks for tiles of many sizes, on shapes that the laws do not reach. Closed forms depend on how
// tiles, periods and blocks divide each other.
template <class Def>
void check_counts(const Spec<Def>& spec, Entry entry = {})
{
    for (const auto& [seqlen_q, seqlen_k] : {std::pair{150, 171}, std::pair{203, 96}})
        for (const index_t tile_y : {1, 2, 3, 6, 7, 16, 25, 64, 1000})
            for (const index_t tile_x : {1, 2, 3, 5, 8, 12, 17, 48, 1000}) {
                const Subject s{spec.claim, {entry.batch, entry.head, seqlen_q, seqlen_k}, {tile_y, tile_x}};
                if (!check_walks(s, *make_view(spec.def, s.call, s.tile))) return;
            }
}

TEST(Counts, OfDiagonals)
{
    check_counts(diagonal(20, 7));
    check_counts(diagonal(31, 2, true, 9));
    check_counts(prefix_lm(44, true));
    check_counts(transpose(diagonal(20, 0, false, 50)));
    check_counts(shift(diagonal(20, 7), 33, -21));
}
TEST(Counts, OfLongformer)
{
    for (const index_t dilation : {1, 2, 5, 12, 40})
        for (const index_t window : {0, 6, 18}) {
            check_counts(longformer(window, 0, dilation));
            check_counts(longformer(window, 13, dilation));
            check_counts(longformer_tokens(window, {5, 30, 31, 32, 77, 119, 170}, dilation));
        }
}
TEST(Counts, OfStridedAndFixed)
{
    for (const index_t period : {1, 2, 3, 6, 7, 16, 24, 50, 300})
        for (const index_t width : {1, 2, 5, 9, 40}) {
            check_counts(strided(width, period));
            if (width <= period) check_counts(fixed(period, width));
        }
    check_counts(fixed(9, 0));
    check_counts(transpose(strided(4, 11)));
    check_counts(shift(strided(4, 11), 17, 40));
    check_counts(shift(transpose(fixed(10, 3)), -13, 22));
}
TEST(Counts, OfDocumentsAndLengths)
{
    for (const Within within : {Within::whole, Within::top_left, Within::bottom_right})
        check_counts(packed({30, 1, 44, 9, 60}, {12, 25, 44, 0, 70}, within));
    for (const bool left : {false, true})
        check_counts(lengths({77, 140}, {90, 33}, left), {0, 1});
}

class NeighborhoodCounts : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Border, NeighborhoodCounts, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "clip" : "shift"; });
TEST_P(NeighborhoodCounts, Of1d)
{
    for (const index_t dilation : {1, 2, 3, 10, 60})
        for (const index_t window : {1, 5, 11})
            for (const bool causal_axis : {false, true})
                check_counts(neighborhood({{160, window, dilation, causal_axis}}, GetParam()));
}
TEST_P(NeighborhoodCounts, Of2d)
{
    for (const auto& [rows, cols] : {std::pair{12, 13}, std::pair{5, 40}, std::pair{70, 2}})
        for (const index_t dilation : {1, 2})
            for (const index_t window : {1, 3, 7}) {
                check_counts(neighborhood({{rows, window, dilation}, {cols, 3}}, GetParam()));
                check_counts(neighborhood({{rows, 3, 1, true}, {cols, window, dilation}}, GetParam()));
            }
}
TEST_P(NeighborhoodCounts, Of3d)
{
    check_counts(neighborhood({{4, 3}, {5, 3}, {9, 5}}, GetParam()));
    check_counts(neighborhood({{6, 5, 1, true}, {6, 3, 2}, {5, 3}}, GetParam()));
    check_counts(neighborhood({{3, 3}, {2, 1}, {30, 7, 3}}, GetParam()));
    check_counts(neighborhood({{20, 3, 4}, {3, 3}, {3, 3, 1, true}}, GetParam()));
}

TEST(Counts, OfBlocks)
{
    check_counts(block_list(16, 12, 10, 15, 0.3, false, 1));
    check_counts(block_list(7, 70, 30, 2, 0.4, true, 2));
    for (const index_t block : {1, 2, 5, 8, 16, 50})
        for (const index_t num_global : {0, 1}) {
            check_counts(big_bird(block, 3, num_global, 2, 3), {1});
            check_counts(big_bird_table(block, 3, num_global, BlockMatrix(1, 200 / block, 180 / block, 0.05, 4)));
            check_counts(shift(big_bird(block, 1, num_global, 1, 5), 5, -7));
            check_counts(transpose(big_bird(block, 5, num_global, 3, 6)));
        }
}
TEST(Counts, OfLayouts)
{
    for (const index_t block : {1, 2, 5, 8, 16})
        for (const bool unidirectional : {false, true}) {
            check_counts(deepspeed_fixed({block, 6, 2, 3, unidirectional, !unidirectional}), {1});
            check_counts(deepspeed_variable({block, {3, 1, 4}, {{2, 4}, {7, 8}}, unidirectional, !unidirectional}));
            check_counts(deepspeed_longformer(block, 5, {{0, 1}, {9, 12}}, unidirectional));
            check_counts(deepspeed_big_bird({block, 3, 1, 2, 9}, unidirectional), {2});
        }
}

// The same for random parameters, shapes and tiles: closed forms have many cases.
class RandomCounts : public ::testing::TestWithParam<unsigned> {
protected:
    index_t in(index_t low, index_t high) { return std::uniform_int_distribution<index_t>(low, high)(random_); }
    bool coin() { return in(0, 1) != 0; }
    template <class Def>
    bool check(const Spec<Def>& spec)
    {
        const MaskCall call{0, in(0, 2), in(1, 260), in(1, 260)};
        const auto tile = [&] { return coin() ? in(1, 12) : coin() ? 1 << in(0, 6) : in(1, 100); };
        const Subject s{spec.claim, call, {tile(), tile()}};
        return check_walks(s, *make_view(spec.def, s.call, s.tile));
    }

private:
    std::mt19937 random_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Seed, RandomCounts, ::testing::Range(1u, 3u));

TEST_P(RandomCounts, Neighborhoods)
{
    for (int repeat = 0; repeat < 4000; ++repeat) {
        std::vector<GridAxis> axes(std::size_t(in(1, 3)));
        const index_t longest = axes.size() == 1 ? 260 : axes.size() == 2 ? 20 : 8;
        for (GridAxis& axis : axes)
            axis = {in(1, longest), 2 * in(0, coin() ? 2 : longest) + 1, coin() ? 1 : in(1, longest / 2 + 1),
                    in(0, 3) == 0};
        if (!check(neighborhood(axes, coin()))) return;
    }
}
TEST_P(RandomCounts, Positions)
{
    for (int repeat = 0; repeat < 1500; ++repeat) {
        const index_t window = in(0, 40), dilation = in(1, 30), local = in(1, 60), stride = in(1, 90);
        Numbers tokens;
        for (index_t token = in(0, 30); token < 260; token += in(1, 80))
            tokens.push_back(token);
        if (!check(longformer(window, in(0, 20), dilation)) || !check(longformer(window, 0, dilation)) ||
            !check(longformer_tokens(window, tokens, dilation)) || !check(strided(local, stride)) ||
            !check(fixed(local, in(0, local))))
            return;
    }
}
TEST_P(RandomCounts, Blocks)
{
    for (int repeat = 0; repeat < 1000; ++repeat) {
        const index_t block = coin() ? 1 << in(0, 4) : in(1, 20), n = 260 / block + 1;
        const BigBirdParameters p{block, in(0, 6), in(0, 3), in(0, 4), repeat};
        const BlockMatrix matrix(in(1, 2), in(1, n), in(1, n), 0.05, unsigned(repeat));
        const bool unidirectional = coin();
        if (!check(big_bird(block, p.window | 1, p.num_global, p.num_random, p.seed)) ||
            !check(big_bird_table(block, p.window | 1, p.num_global, matrix)) ||
            !check(deepspeed_big_bird(p, unidirectional)) ||
            !check(deepspeed_big_bird_table(block, p.window, p.num_global, matrix, unidirectional)))
            return;
    }
}
TEST_P(RandomCounts, Layouts)
{
    for (int repeat = 0; repeat < 1500; ++repeat) {
        const index_t block = coin() ? 1 << in(0, 4) : in(1, 20), global = in(1, 4), groups = in(1, 6);
        const bool unidirectional = coin(), horizontal = !unidirectional && coin();
        Numbers windows(std::size_t(in(1, 5)));
        for (index_t& size : windows)
            size = in(1, 12);
        std::vector<BlockRange> ranges;
        for (index_t begin = in(0, 20); begin < 300; begin += in(0, 60)) {
            const index_t end = begin + in(1, 9);
            ranges.push_back({begin, end});
            begin = end;
        }
        if (!check(deepspeed_fixed({block, global * groups, global, in(1, groups), unidirectional, horizontal})) ||
            !check(deepspeed_variable({block, windows, ranges, unidirectional, horizontal})) ||
            !check(deepspeed_longformer(block, in(0, 9), ranges, unidirectional)))
            return;
    }
}

// No walk visits lines of 2^31 - 1 tiles in reasonable time.
TEST(LiveRuns, CountLongLinesAtOnce)
{
    const long long n = kIndexMax, middle = n / 2;
    EXPECT_EQ(count_lines(full()), 8 * n);
    EXPECT_EQ(count_lines(causal()), (1 + 2 + (middle + 1) + n) + (n + (n - 1) + (n - middle) + 1));
    EXPECT_EQ(count_lines(prefix_lm(kIndexMax)), 8 * n);
    EXPECT_EQ(count_lines(longformer(2, 1)), 2 * (n + 3 + 4 + 3)); // row 1: 0 1 2; middle: 0 and three; last: 0 and two
    EXPECT_EQ(count_lines(longformer_tokens(2, {0})), 2 * (n + 3 + 4 + 3));
    EXPECT_EQ(count_lines(documents({{0, kIndexMax, 0, kIndexMax}})), 8 * n);
    EXPECT_EQ(count_lines(lengths({kIndexMax - 1}, {})), 3 * n + 4 * (n - 1));
    EXPECT_EQ(count_lines(neighborhood({{kIndexMax, kIndexMax}})), 8 * n);
    // Blocks of 64: rows 0, 1 and last are global; the middle one has five blocks, the last of which lacks an element.
    EXPECT_EQ(count_lines(big_bird(64, 3, 1, 0)), 2 * (3 * n + 5 * 64 - 1));
    EXPECT_EQ(count_lines(big_bird_table(64, 3, 1, BlockMatrix(1, 1, 1))), 2 * (3 * n + 5 * 64 - 1));
    EXPECT_EQ(count_lines(deepspeed_longformer(64, 1, {{0, 1}})), 2 * (2 * n + 128 + 127));
    EXPECT_EQ(count_lines(deepspeed_big_bird({64, 1, 1, 0, 0})), 2 * (2 * n + 128 + 127));
    EXPECT_EQ(count_lines(deepspeed_big_bird_table(64, 1, 1, BlockMatrix(1, 1, 1))), 2 * (2 * n + 128 + 127));
    EXPECT_EQ(count_lines(deepspeed_variable({64, {kIndexMax / 64 + 1}, {}, false, false})), 8 * n);
    EXPECT_EQ(count_lines(deepspeed_fixed({64, 1 << 25, 1, 1, false, false})), 8 * n);
    EXPECT_EQ(count_lines(transpose(shift(full(), 1, 0))), 4 * (n - 1) + 3 * n); // column 0 is empty
}

} // namespace
