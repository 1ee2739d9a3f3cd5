// The block layouts of DeepSpeed.

#include "mask_laws.hpp"
#include "mask_spec_deepspeed.hpp"

namespace {

using namespace mask_tests;

class Direction : public ::testing::TestWithParam<bool> {}; // unidirectional?
INSTANTIATE_TEST_SUITE_P(DeepSpeed, Direction, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "unidirectional" : "bidirectional"; });

// --- Fixed ----------------------------------------------------------------------------------------------------------

TEST_P(Direction, FixedLaws)
{
    check_laws(deepspeed_fixed({4, 4, 1, 3, GetParam(), !GetParam()}), {1});
    check_laws(deepspeed_fixed({3, 6, 2, 2, GetParam(), false}), {4});
}
TEST_P(Direction, FixedComplementLaws)
{
    check_laws(~deepspeed_fixed({2, 5, 1, 4, GetParam(), false}), {2});
    check_short_laws(~deepspeed_fixed({3, 4, 2, 1, GetParam(), !GetParam()}));
}

// Blocks of one element: up to 24 of them, so that groups are whole, cut short and shorter than the global run.
TEST_P(Direction, FixedAllParameters)
{
    index_t turn = 0;
    for (const index_t block : {1, 2, 5})
        for (const index_t local : {1, 2, 3, 4, 6, 30})
            for (const index_t global : {1, 2, 3, 5})
                for (const index_t patterns : {1, 2, 4}) {
                    if (local % global != 0 || patterns > local / global) continue;
                    const index_t head = turn % (patterns + 2);
                    check_laws_in_turn(deepspeed_fixed({block, local, global, patterns, GetParam(), false}), turn,
                                       {head});
                    if (!GetParam())
                        check_laws_in_turn(deepspeed_fixed({block, local, global, patterns, false, true}), turn,
                                           {head});
                    ++turn;
                }
}

// --- Variable -------------------------------------------------------------------------------------------------------

TEST_P(Direction, VariableLaws)
{
    check_laws(deepspeed_variable({4, {2, 1, 4}, {{0, 1}, {5, 7}, {9, 14}}, GetParam(), !GetParam()}));
    check_laws(deepspeed_variable({3, {3}, {{2, 4}, {4, 5}, {11, 12}}, GetParam(), false}));
}
TEST_P(Direction, VariableComplementLaws)
{
    check_laws(~deepspeed_variable({2, {1, 3, 2}, {{6, 7}, {20, 40}}, GetParam(), false}));
    check_short_laws(~deepspeed_variable({3, {4, 1}, {{0, 2}}, GetParam(), !GetParam()}));
}

TEST_P(Direction, VariableAllParameters)
{
    index_t turn = 0;
    for (const index_t block : {1, 2, 5})
        for (const Numbers& windows : {Numbers{1}, Numbers{4}, Numbers{30}, Numbers{1, 2, 3}, Numbers{5, 1},
                                       Numbers{1, 1, 7, 1, 2}, Numbers{2, 10, 3}})
            for (const std::vector<BlockRange>& global :
                 {std::vector<BlockRange>{}, std::vector<BlockRange>{{0, 1}}, std::vector<BlockRange>{{3, 6}},
                  std::vector<BlockRange>{{1, 2}, {2, 4}, {7, 8}}, std::vector<BlockRange>{{0, 3}, {9, 90}},
                  std::vector<BlockRange>{{500, 501}}}) {
                check_laws_in_turn(deepspeed_variable({block, windows, global, GetParam(), false}), turn);
                if (!GetParam()) check_laws_in_turn(deepspeed_variable({block, windows, global, false, true}), turn);
                ++turn;
            }
}

// --- Longformer -----------------------------------------------------------------------------------------------------

TEST_P(Direction, LongformerLaws)
{
    check_laws(deepspeed_longformer(4, 3, {{0, 1}, {6, 8}, {12, 13}}, GetParam()));
    check_laws(deepspeed_longformer(3, 6, {{4, 5}, {5, 6}, {15, 30}}, GetParam()));
}
TEST_P(Direction, LongformerComplementLaws)
{
    check_laws(~deepspeed_longformer(2, 5, {{3, 6}, {17, 18}}, GetParam()));
    check_short_laws(~deepspeed_longformer(3, 1, {}, GetParam()));
}

TEST_P(Direction, LongformerAllParameters)
{
    index_t turn = 0;
    for (const index_t block : {1, 2, 5})
        for (const index_t window : {0, 1, 2, 3, 4, 7, 100})
            for (const std::vector<BlockRange>& global :
                 {std::vector<BlockRange>{}, std::vector<BlockRange>{{0, 1}}, std::vector<BlockRange>{{3, 6}},
                  std::vector<BlockRange>{{1, 2}, {2, 4}, {7, 8}}, std::vector<BlockRange>{{0, 3}, {9, 90}},
                  std::vector<BlockRange>{{500, 501}}})
                check_laws_in_turn(deepspeed_longformer(block, window, global, GetParam()), turn++);
}

// --- Big Bird -------------------------------------------------------------------------------------------------------

TEST_P(Direction, BigBirdLaws)
{
    check_laws(deepspeed_big_bird({4, 3, 1, 1, 7}, GetParam()), {3});
    check_laws(deepspeed_big_bird({6, 2, 0, 3, 1LL << 33}, GetParam()), {1});
}
TEST_P(Direction, BigBirdTableLaws)
{
    check_laws(deepspeed_big_bird_table(4, 3, 1, BlockMatrix(2, 15, 18, 0.12, 8), GetParam()), {1});
    check_laws(deepspeed_big_bird_table(5, 1, 0, BlockMatrix(1, 11, 12, 0.2, 9), GetParam()), {3});
}
TEST_P(Direction, BigBirdComplementLaws)
{
    check_short_laws(~deepspeed_big_bird({3, 1, 1, 2, 5}, GetParam()), {2});
    check_laws(~deepspeed_big_bird_table(3, 3, 0, BlockMatrix(1, 22, 22, 0.15, 10), GetParam()));
}

TEST_P(Direction, BigBirdAllParameters)
{
    index_t turn = 0;
    for (const index_t block : {1, 2, 3, 5, 8})
        for (const index_t window : {0, 1, 4, 9})
            for (const index_t num_global : {0, 1, 40})
                for (const index_t num_random : {0, 1, 3})
                    check_laws_in_turn(deepspeed_big_bird({block, window, num_global, num_random, turn}, GetParam()),
                                       turn++, {turn % 3});
}
TEST_P(Direction, BigBirdTableAllParameters)
{
    index_t turn = 0;
    for (const index_t block : {1, 2, 3, 5, 8})
        for (const index_t window : {1, 3, 4})
            for (const index_t num_global : {0, 1, 2})
                for (const index_t more : {-1, 0, 2}) {
                    const index_t n = (24 + block - 1) / block;
                    const BlockMatrix random(1 + turn % 3, n + more, n + more, 0.15, unsigned(turn));
                    check_laws_in_turn(deepspeed_big_bird_table(block, window, num_global, random, GetParam()), turn,
                                       {turn % 4});
                    ++turn;
                }
}

// The draws are those of BigBird with the same seed, whatever the direction.
TEST(DeepSpeedBigBird, DrawsAsBigBird)
{
    const index_t n = 40;
    const MaskCall call{0, 2, 16 * n, 16 * n};
    const RandomBlocks random(n, 2, 77, 2);
    const GenericAttentionMask mask(deepspeed_big_bird({16, 1, 0, 2, 77}).def, call, DynamicTile{16, 16});
    for (index_t I = 0; I < n; ++I)
        for (index_t J = 0; J < n; ++J)
            ASSERT_EQ(mask.TileMask(I, J), I == J || random.drawn(I, J)) << "block (" << I << ", " << J << ")";
}

// --- Layouts as they are painted ------------------------------------------------------------------------------------

// A square layout, filled rectangle by rectangle in the order in which DeepSpeed describes its layouts.
class Painting {
public:
    explicit Painting(index_t n) : n_(n), blocks_(std::size_t(n) * std::size_t(n)) {}
    index_t size() const { return n_; }
    // Blocks [i0, i1) x [j0, j1), as far as they exist.
    void fill(index_t i0, index_t i1, index_t j0, index_t j1)
    {
        for (index_t I = std::max(i0, 0); I < std::min(i1, n_); ++I)
            for (index_t J = std::max(j0, 0); J < std::min(j1, n_); ++J)
                blocks_[cell(I, J)] = true;
    }
    void erase_upper_triangle()
    {
        for (index_t I = 0; I < n_; ++I)
            for (index_t J = I + 1; J < n_; ++J)
                blocks_[cell(I, J)] = false;
    }
    // One window: all of it, or its lower triangle.
    void window(index_t begin, index_t end, bool unidirectional)
    {
        for (index_t I = begin; I < std::min(end, n_); ++I)
            fill(I, I + 1, begin, unidirectional ? I + 1 : end);
    }
    bool at(index_t I, index_t J) const { return blocks_[cell(I, J)]; }

private:
    std::size_t cell(index_t I, index_t J) const { return std::size_t(I) * std::size_t(n_) + std::size_t(J); }
    index_t n_;
    std::vector<char> blocks_;
};

template <class Def>
void expect_painted(const Spec<Def>& spec, const Painting& painting, index_t block, index_t head = 0)
{
    const index_t n = painting.size();
    const GenericAttentionMask mask(spec.def, {0, head, n * block, n * block}, DynamicTile{block, block});
    for (index_t I = 0; I < n; ++I)
        for (index_t J = 0; J < n; ++J)
            ASSERT_EQ(mask.TileMask(I, J), painting.at(I, J))
                << spec.claim.name << ", " << n << " blocks, head " << head << ", block (" << I << ", " << J << ")";
}

// Groups of local blocks; the global run of each whole group, then that of the rest, moved in if it would stick out.
Painting paint_fixed(const DeepSpeedFixedParameters& p, index_t n, index_t head)
{
    Painting painting(n);
    for (index_t begin = 0; begin < n; begin += p.local)
        painting.window(begin, begin + p.local, p.unidirectional);
    const index_t first = p.local - (1 + head % p.patterns) * p.global;
    const auto paint_run = [&](index_t slice) {
        const index_t end = slice + p.global, begin = slice >= 0 ? slice : std::max(0, slice + n); // as Python slices
        painting.fill(p.unidirectional ? begin : 0, n, begin, end);
        if (p.horizontal) painting.fill(begin, end, 0, n);
    };
    index_t begin = first;
    for (; begin - first + p.local <= n; begin += p.local)
        paint_run(begin);
    if (begin - first < n) paint_run(std::min(begin, n - p.global));
    return painting;
}

TEST_P(Direction, FixedIsAsPainted)
{
    for (const index_t local : {1, 2, 4, 6, 9})
        for (const index_t global : {1, 2, 3})
            for (const index_t patterns : {1, 2, 3})
                for (const bool horizontal : {false, true})
                    for (index_t n = 0; n <= 20; ++n) {
                        if (local % global != 0 || patterns > local / global || (GetParam() && horizontal)) continue;
                        const DeepSpeedFixedParameters p{16, local, global, patterns, GetParam(), horizontal};
                        for (index_t head = 0; head < 4; ++head)
                            expect_painted(deepspeed_fixed(p), paint_fixed(p, n, head), p.block, head);
                    }
}

TEST_P(Direction, VariableIsAsPainted)
{
    for (const Numbers& windows : {Numbers{4}, Numbers{1, 2, 3}, Numbers{5, 1}})
        for (const bool horizontal : {false, true})
            for (index_t n = 0; n <= 20; ++n) {
                if (GetParam() && horizontal) continue;
                const std::vector<BlockRange> global = {{0, 1}, {3, 5}, {17, 30}};
                Painting painting(n);
                for (std::size_t w = 0, begin = 0; begin < std::size_t(n); ++w) {
                    const index_t size = windows[std::min(w, windows.size() - 1)];
                    painting.window(index_t(begin), index_t(begin) + size, GetParam());
                    begin += std::size_t(size);
                }
                for (const BlockRange& range : global) {
                    if (range.begin >= n) continue;
                    painting.fill(GetParam() ? range.begin : 0, n, range.begin, range.end);
                    if (horizontal) painting.fill(range.begin, range.end, 0, n);
                }
                expect_painted(deepspeed_variable({16, windows, global, GetParam(), horizontal}), painting, 16);
            }
}

TEST_P(Direction, LongformerAndBigBirdAreAsPainted)
{
    for (const index_t window : {1, 2, 3, 6})
        for (index_t n = 0; n <= 20; ++n) {
            const std::vector<BlockRange> global = {{0, 2}, {7, 8}, {18, 40}};
            Painting longformer(n), big_bird(n);
            const BlockMatrix random(1, n, n, 0.1, unsigned(n));
            for (index_t I = 0; I < n; ++I) {
                longformer.fill(I, I + 1, I - window / 2, I + window / 2 + 1);
                big_bird.fill(I, I + 1, I - window / 2, I + window / 2 + 1);
                for (index_t J = 0; J < n; ++J)
                    if (random.flag(0, I, J)) big_bird.fill(I, I + 1, J, J + 1);
            }
            for (const BlockRange& range : global) {
                longformer.fill(range.begin, range.end, 0, n);
                longformer.fill(0, n, range.begin, range.end);
            }
            big_bird.fill(0, 2, 0, n);
            big_bird.fill(0, n, 0, 2);
            if (GetParam()) {
                longformer.erase_upper_triangle();
                big_bird.erase_upper_triangle();
            }
            expect_painted(deepspeed_longformer(16, window, global, GetParam()), longformer, 16);
            expect_painted(deepspeed_big_bird_table(16, window, 2, random, GetParam()), big_bird, 16);
        }
}

} // namespace
