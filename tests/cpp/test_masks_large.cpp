// Large shapes: lengths of 10^5 .. 10^6 against single elements, and the end of the range of index_t, where windows and
// lengths near 2^31 must not wrap.

#include <random>
#include <set>

#include "mask_laws.hpp"
#include "mask_spec_deepspeed.hpp"
#include "mask_spec_patterns.hpp"

namespace {

using namespace mask_tests;

constexpr index_t kLongest = 2147483647; // the longest sequence

class Random {
public:
    explicit Random(unsigned seed) : engine_(seed) {}
    // In [low, high), mostly anywhere, often next to an end.
    index_t in(index_t low, index_t high)
    {
        const index_t last = high - 1;
        switch (std::uniform_int_distribution<int>(0, 7)(engine_)) {
        case 0:
            return low + std::min(last - low, std::uniform_int_distribution<index_t>(0, 3)(engine_));
        case 1:
            return last - std::min(last - low, std::uniform_int_distribution<index_t>(0, 3)(engine_));
        default:
            return std::uniform_int_distribution<index_t>(low, last)(engine_);
        }
    }
    // In [low, high), close to `at` if that is possible.
    index_t near(element_t at, index_t reach, index_t low, index_t high)
    {
        const element_t spot = at + std::uniform_int_distribution<index_t>(-reach, reach)(engine_);
        return index_t(std::clamp<element_t>(spot, low, element_t{high} - 1));
    }
    bool coin() { return std::uniform_int_distribution<int>(0, 1)(engine_) != 0; }

private:
    std::mt19937 engine_;
};

// --- Spot checks of any mask on any shape ---------------------------------------------------------------------------

// Elements of interest lie at j - i near one of these, or anywhere.
using Offsets = std::vector<element_t>;

index_t column_of_interest(Random& random, const Offsets& offsets, index_t i, index_t reach, index_t seqlen_k)
{
    if (offsets.empty() || !random.coin()) return random.in(0, seqlen_k);
    return random.near(i + offsets[std::size_t(random.in(0, index_t(offsets.size())))], reach, 0, seqlen_k);
}

// Tiles (status, RowBits, tile_bits, elements) against the oracle's elements.
bool spot_check_tiles(const Subject& s, const View& view, const Predicate& truth, const Offsets& offsets,
                      Random& random)
{
    for (int repeat = 0; repeat < 60; ++repeat) {
        const index_t i = random.in(0, s.call.seqlen_q);
        const index_t j = column_of_interest(random, offsets, i, 2 * s.tile.tile_x, s.call.seqlen_k);
        const index_t I = i / s.tile.tile_y, J = j / s.tile.tile_x;
        const Rect rect = s.rect(I, J);
        index_t count = 0;
        for (index_t y = rect.i0; y < rect.i1; ++y)
            for (element_t block = rect.j0; block < rect.j1; block += 64) {
                const auto x = index_t(block);
                bits_t bits = 0;
                const index_t width = std::min(64, rect.j1 - x);
                for (index_t n = 0; n < width; ++n)
                    bits |= bits_t{truth(y, block + n)} << n;
                count += index_t(__builtin_popcountll(bits));
                if (view.row_bits(y, x, width) != bits) return fault(s, "RowBits(", y, ", ", x, ", ", width, ")");
                bits_t rows[3];
                const index_t last = y + std::min(2, rect.i1 - 1 - y);
                view.tile_bits(y, last + 1, x, width, rows);
                if (rows[0] != bits || rows[last - y] != view.row_bits(last, x, width))
                    return fault(s, "tile_bits([", y, ", ", last + 1, "), ", x, ", ", width, ")");
                const index_t n = y % width;
                if (view.element(y, x + n) != (bits >> n & 1)) return fault(s, "element (", y, ", ", x + n, ")");
            }
        const TileStatus status = view.status(I, J);
        const bool is_empty = status == TileStatus::empty, is_full = status == TileStatus::full;
        if ((is_empty ? count > 0 : s.claim.live_exact && count == 0) ||
            (is_full ? count < rect.area() : s.claim.full_exact && count == rect.area()))
            return fault(s, "tile (", I, ", ", J, ") is ", name_of(status), ", with ", count, " of ", rect.area(),
                         " attended");
    }
    return true;
}

// The band functions for narrow bands: the answer has the property, and nothing that is looked at before it has. Where
// a live run is said to end, everything before that is live.
bool spot_check_bands(const Subject& s, const View& view, const Predicate& truth, const Offsets& offsets,
                      Random& random)
{
    for (int repeat = 0; repeat < 200; ++repeat)
        for (const Band band : {Band::live_col, Band::not_full_col, Band::live_row, Band::not_full_row}) {
            const bool cols = band == Band::live_col || band == Band::not_full_col;
            const bool live = band == Band::live_col || band == Band::live_row;
            const bool exact = live ? s.claim.live_exact : s.claim.full_exact;
            const index_t lines = cols ? s.call.seqlen_q : s.call.seqlen_k;
            const index_t n = cols ? s.call.seqlen_k : s.call.seqlen_q;
            const index_t b0 = random.in(0, lines), b1 = b0 + 1 + random.in(0, std::min(lines - b0, 20));
            Offsets from_offsets;
            for (const element_t offset : offsets)
                from_offsets.push_back(cols ? offset : -offset);
            const index_t from = column_of_interest(random, from_offsets, b0, 25, n);

            const auto has_property = [&](index_t position) {
                for (element_t line = b0; line < b1; ++line)
                    if ((cols ? truth(line, position) : truth(position, line)) == live) return true;
                return false;
            };
            const index_t answer = view.next(band, b0, b1, from);
            const auto complain = [&](index_t position) {
                return fault(s, name_of(band), "(", b0, ", ", b1, ", ", from, ") is ", answer, "; look at ", position);
            };
            if (answer < from) return complain(from);
            if (exact && answer < n && !has_property(answer)) return complain(answer);
            const index_t before = std::min(answer, n);
            for (index_t step = 0; step < 30 && from + step < before; ++step) {
                if (has_property(from + step)) return complain(from + step);
                if (has_property(before - 1 - step)) return complain(before - 1 - step);
                const index_t between = random.in(from, before);
                if (has_property(between)) return complain(between);
            }
            if (!live || answer >= n || !view.has_live_runs()) continue;
            const index_t run_end = view.live_run_end(cols, b0, b1, answer), last = std::min(run_end, n) - 1;
            for (index_t step = 0; step < 20 && answer + step <= last; ++step)
                for (const index_t position : {answer + step, last - step, random.in(answer, last + 1)})
                    if (!has_property(position))
                        return fault(s, "the live run from ", answer, " of band [", b0, ", ", b1, ") ends at ", run_end,
                                     "; look at ", position);
            if (run_end <= answer) return fault(s, "the live run from ", answer, " ends at ", run_end);
        }
    return true;
}

// A few steps of a walk: live tiles, nothing live in between, the same tiles when the column is walked.
bool spot_check_walks(const Subject& s, const View& view, const Offsets& offsets, Random& random)
{
    std::vector<index_t> walk;
    for (int repeat = 0; repeat < 30; ++repeat) {
        const index_t i = random.in(0, s.call.seqlen_q);
        const index_t I = i / s.tile.tile_y, num_x = view.num_tiles(Along::x);
        const index_t start = column_of_interest(random, offsets, i, 300, s.call.seqlen_k) / s.tile.tile_x;
        const index_t end = start + std::min(num_x - start, 20);
        view.walk(Along::x, I, start, end, walk);
        std::size_t next = 0;
        for (index_t J = start; J < end; ++J) {
            const bool visited = next < walk.size() && walk[next] == J;
            next += visited;
            if (visited != view.live(I, J)) return fault(s, "walk along x: tile (", I, ", ", J, ")");
            if (repeat % 4 == 0) {
                std::vector<index_t> one;
                view.walk(Along::y, J, I, I + 1, one);
                if (visited != (one.size() == 1)) return fault(s, "walk along y: tile (", I, ", ", J, ")");
            }
        }
        if (next != walk.size()) return fault(s, "walk along x of row ", I, " visits more than its tiles");
    }
    return true;
}

// The numbers of live tiles in a few lines are the lengths of their walks.
bool spot_check_counts(const Subject& s, const View& view, const Offsets& offsets, Random& random)
{
    std::vector<index_t> walk;
    for (int repeat = 0; repeat < 6; ++repeat)
        for (const Along along : {Along::x, Along::y}) {
            const index_t n = view.num_tiles(along == Along::x ? Along::y : Along::x);
            const element_t tile = along == Along::x ? s.tile.tile_y : s.tile.tile_x;
            const element_t offset = offsets.empty() ? 0 : offsets[std::size_t(random.in(0, index_t(offsets.size())))];
            const index_t line = random.coin() ? random.in(0, n) : random.near(std::abs(offset) / tile, 2, 0, n);
            view.walk(along, line, walk);
            const index_t count = view.num_live(along, line);
            if (count != index_t(walk.size()))
                return fault(s, along == Along::x ? "row " : "column ", line, " of tiles has ", walk.size(),
                             " live ones, counted as ", count);
            const index_t begin = std::max(line - 2, 0);
            if (line < n && view.num_live(along, begin, line + 1).back() != count)
                return fault(s, along == Along::x ? "row " : "column ", line, " of tiles has ", count,
                             " live ones, counted with its neighbours as ",
                             view.num_live(along, begin, line + 1).back());
        }
    return true;
}

template <class Def>
void spot_check(const Spec<Def>& spec, const MaskCall& call, DynamicTile tile, const Offsets& offsets, unsigned seed)
{
    Random random(seed);
    const Subject s{spec.claim, call, tile};
    const Predicate truth = spec.claim.oracle(call);
    const auto view = make_view(spec.def, call, tile);
    spot_check_tiles(s, *view, truth, offsets, random);
    spot_check_bands(s, *view, truth, offsets, random);
    spot_check_walks(s, *view, offsets, random);
    if (view->num_tiles(Along::x) <= 20000 && view->num_tiles(Along::y) <= 20000)
        spot_check_counts(s, *view, offsets, random);
}

// --- 10^5 .. 10^6 ---------------------------------------------------------------------------------------------------

class LargeShape : public ::testing::TestWithParam<unsigned> {
protected:
    template <class Def>
    void check(const Spec<Def>& spec, const Offsets& offsets)
    {
        Random random(GetParam());
        const MaskCall call{random.in(0, 2), random.in(0, 2), random.in(100000, 1000001), random.in(100000, 1000001)};
        const DynamicTile tile{random.in(1, 129), random.in(1, 257)};
        Offsets all = offsets;
        for (const element_t offset : offsets)
            all.push_back(offset + call.seqlen_k - call.seqlen_q);
        spot_check(spec, call, tile, all, GetParam());
    }
};
INSTANTIATE_TEST_SUITE_P(Seed, LargeShape, ::testing::Range(1u, 7u));

TEST_P(LargeShape, Diagonal)
{
    for (const bool bottom_right : {false, true}) {
        check(causal(bottom_right), {0});
        check(diagonal(1000, 50, bottom_right), {-1000, 50});
        check(diagonal(4096, 0, bottom_right, 100), {-4096, 0});
        check(~diagonal(70, 3, bottom_right), {-70, 3});
    }
}
TEST_P(LargeShape, Longformer)
{
    check(longformer(512, 64), {-256, 256});
    check(longformer(300, 0, 7), {-1050, 0, 1050});
    check(longformer(2, 1000, 499), {-499, 0, 499});
    check(longformer(900000, 3), {-450000, 450000});
    check(~longformer(64, 9, 3), {-96, 96});
}
TEST_P(LargeShape, BigBird)
{
    check(big_bird(64), {-100, 100});
    check(big_bird(48, 5, 0, 2, 77), {-100, 100});
    check(~big_bird(333, 1, 1, 1, 5), {0});
}
TEST_P(LargeShape, Compositions)
{
    check(longformer(512, 64) & causal(), {-256, 0});
    check(big_bird(64) & causal(true), {-100, 0});
    check((longformer(600, 0, 3) | big_bird(128, 1, 1, 2)) & ~diagonal(10, 10), {-900, 0, 900});
    check(~(diagonal(1000, 0) & ~longformer(64, 16)), {-1000, -32, 0});
}

TEST_P(LargeShape, LongformerTokens)
{
    Random random(GetParam());
    std::set<index_t> tokens;
    for (int n = 0; n < 200; ++n)
        tokens.insert(random.in(0, 1000000));
    const Numbers list(tokens.begin(), tokens.end());
    check(longformer_tokens(512, list), {-256, 256});
    check(longformer_tokens(30, list, 5), {-75, 0, 75});
    check(~longformer_tokens(900, {0, 77777}), {-450, 450});
}
TEST_P(LargeShape, StridedAndFixed)
{
    check(strided(128, 128), {-128, 0, -12800});
    check(strided(1000, 3), {-1000, 0});
    check(~strided(10, 70000), {-70000, -10});
    check(fixed(128, 8), {-128, 0});
    check(fixed(1000, 1000), {-1000, 0});
    check(~fixed(3001, 1), {-3001, 0});
}
TEST_P(LargeShape, DocumentsAndLengths)
{
    Random random(GetParam());
    Numbers lengths_q, lengths_k;
    for (int n = 0; n < 40; ++n) {
        lengths_q.push_back(random.in(0, 30000));
        lengths_k.push_back(random.coin() ? lengths_q.back() : random.in(0, 30000));
    }
    for (const Within within : {Within::whole, Within::top_left, Within::bottom_right}) {
        check(packed(lengths_q, lengths_q, within), {0});
        check(packed(lengths_q, lengths_k, within), {0});
        check(~packed(lengths_k, lengths_q, within), {0});
    }
    for (const bool left : {false, true}) {
        check(lengths({90000, 1000000}, {500000, 123}, left), {0});
        check(lengths({}, {99999, 777777}, left), {0});
    }
}
TEST_P(LargeShape, Neighborhood)
{
    for (const bool clip : {false, true}) {
        check(neighborhood({{700000, 1001}}, clip), {-500, 500});
        check(neighborhood({{1000000, 31, 200}}, clip), {-3000, 3000});
        check(neighborhood({{800, 7}, {900, 13}}, clip), {-2700, 0, 2700, 6});
        check(neighborhood({{500, 9, 3, true}, {1100, 101, 2}}, clip), {-13200, 0, 100});
        check(neighborhood({{64, 3}, {100, 5, 2}, {120, 7, 3, true}}, clip), {-12000, -480, 0, 12000});
    }
}
TEST_P(LargeShape, BlockLists)
{
    check(block_list(3000, 5000, 300, 210, 0.05, false, GetParam()), {});
    check(block_list(60, 100, 300, 300, 0.3, true, GetParam()), {0});
    check(~block_list(2000, 700, 500, 400, 0.9, false, GetParam()), {});
    check(big_bird_table(2048, 3, 1, BlockMatrix(2, 489, 489, 0.01, GetParam())), {-2048, 2048});
    check(~big_bird_table(1000, 1, 0, BlockMatrix(1, 900, 900, 0.01, GetParam())), {0});
}
TEST_P(LargeShape, DeepSpeed)
{
    for (const bool unidirectional : {false, true}) {
        check(deepspeed_fixed({16, 4, 1, 4, unidirectional, !unidirectional}), {-64, 64});
        check(deepspeed_fixed({64, 1000, 10, 1, unidirectional, false}), {-64000, 0});
        check(deepspeed_variable({16, {4, 8, 3}, {{0, 2}, {500, 510}}, unidirectional, !unidirectional}), {-64, 64});
        check(deepspeed_longformer(16, 9, {{0, 1}, {77, 99}, {5000, 5001}}, unidirectional), {-64, 64});
        check(deepspeed_big_bird({48, 3, 1, 2, 77}, unidirectional), {-48, 48});
        const BlockMatrix random(2, 1000, 1000, 0.003, GetParam());
        check(deepspeed_big_bird_table(1000, 3, 1, random, unidirectional), {-1000, 1000});
    }
}
TEST_P(LargeShape, TransposedShiftedAndChosen)
{
    check(transpose(diagonal(4096, 7, true, 3)), {-7, 4096});
    check(transpose(fixed(700, 2) & lengths({}, {300000, 90000})), {0, 700});
    check(shift(strided(100, 64), 77777, -31), {-77777 - 31, -77777});
    check(shift(big_bird(64, 3, 1, 1, 4), -50000, 12345), {50000 + 12345});
    check(~shift(transpose(longformer(512, 64) & causal(true)), 1000, 1000), {0, 256});
    check(per_head<ck_tile_masks::Diagonal>({diagonal(50, 3), diagonal(4000, 0, true)}), {-4000, -50, 0, 3});
    check(per_sample<ck_tile_masks::BigBird>({big_bird(64), big_bird(128, 5, 0)}), {-100, 100});
}

// Whole rows and columns of blocks at a million tokens, from the tables of the oracle.
TEST(LargeBigBird, RowsAndColumnsOfAMillionTokens)
{
    const BigBirdParameters p{64, 3, 2, 3, 2024};
    const MaskCall call{0, 5, 1000000, 1000000};
    const auto blocks = big_bird_blocks(p, call);
    const auto spec = big_bird(64, 3, 2, 3, 2024);
    const GenericAttentionMask mask(spec.def, call, DynamicTile{64, 64});
    const index_t n = mask.num_tiles_y();
    ASSERT_EQ(n, 15625);
    for (const index_t line : {0, 1, 2, 3, 77, 8000, 15620, 15622, 15623, 15624}) {
        std::vector<index_t> row, column, expected_row, expected_column;
        for (auto it = mask.GetTileIndexIteratorAlongX(line); !it.at_end(); it.advance())
            row.push_back(it.current());
        for (auto it = mask.GetTileIndexIteratorAlongY(line); !it.at_end(); it.advance())
            column.push_back(it.current());
        for (index_t other = 0; other < n; ++other) {
            if (blocks(line, other)) expected_row.push_back(other);
            if (blocks(other, line)) expected_column.push_back(other);
        }
        EXPECT_EQ(row, expected_row) << "row " << line;
        EXPECT_EQ(column, expected_column) << "column " << line;
        if (line >= 2 && line < n - 2) {
            EXPECT_LE(row.size(), 10u);
            EXPECT_LE(column.size(), 10u);
        }
    }
    EXPECT_GE(mask.num_live_tiles(), (n - 4) * 7LL);
    EXPECT_LE(mask.num_live_tiles(), (n - 4) * 10LL + 4LL * n);
}

// --- Near 2^31 ------------------------------------------------------------------------------------------------------

TEST(NearTheEndOfTheRange, Full)
{
    for (const DynamicTile tile : {DynamicTile{64, 64}, DynamicTile{1, 100}})
        spot_check(full(), {0, 0, kLongest, kLongest}, tile, {}, 1);
    EXPECT_EQ(
        (GenericAttentionMask(full().def, {0, 0, kLongest, kLongest}, DynamicTile{1 << 20, 1 << 20})).num_live_tiles(),
        1LL << 22);
}

TEST(NearTheEndOfTheRange, Diagonal)
{
    unsigned seed = 0;
    for (const index_t left : {-1, 0, 1000, kLongest / 2, kLongest - 1, kLongest})
        for (const index_t right : {-1, 0, 77, kLongest - 2, kLongest})
            for (const index_t sinks : {0, 5, kLongest / 3, kLongest})
                for (const bool bottom_right : {false, true})
                    for (const auto& [seqlen_q, seqlen_k] :
                         {std::pair{kLongest, kLongest}, std::pair{kLongest, 100}, std::pair{100, kLongest},
                          std::pair{kLongest - 1, kLongest / 2}, std::pair{kLongest / 2 + 1, kLongest}}) {
                        const element_t d = bottom_right ? element_t{seqlen_k} - seqlen_q : 0;
                        const Offsets offsets = {d, d - std::max(left, 0), d + std::max(right, 0), d - 1};
                        const auto spec = diagonal(left, right, bottom_right, sinks);
                        const MaskCall call{0, 0, seqlen_q, seqlen_k};
                        const Subject s{spec.claim, call, {16, 32}};
                        const Predicate truth = spec.claim.oracle(call);
                        Random random(++seed);
                        const auto view = make_view(spec.def, call, s.tile);
                        if (!spot_check_bands(s, *view, truth, offsets, random)) return;
                        if (seed % 8 == 0 && !spot_check_tiles(s, *view, truth, offsets, random)) return;
                        if (seed % 8 == 0 && !spot_check_walks(s, *view, offsets, random)) return;
                    }
}

// What a window attends is an interval, so that counts are known.
TEST(NearTheEndOfTheRange, DiagonalCounts)
{
    const MaskCall call{0, 0, kLongest, kLongest};
    const index_t tile = 1 << 21; // 1024 x 1024 tiles, the last ones one element short
    const auto num_live = [&](const auto& spec) {
        return GenericAttentionMask(spec.def, call, DynamicTile{tile, tile}).num_live_tiles();
    };
    const long long n = 1024, triangle = n * (n + 1) / 2;
    EXPECT_EQ(num_live(causal()), triangle);
    EXPECT_EQ(num_live(causal(true)), triangle);
    EXPECT_EQ(num_live(~causal()), triangle); // the diagonal tiles are partial
    EXPECT_EQ(num_live(diagonal(kLongest, kLongest)), n * n);
    EXPECT_EQ(num_live(diagonal(kLongest, 0)), triangle);
    EXPECT_EQ(num_live(diagonal(0, kLongest)), triangle);
    EXPECT_EQ(num_live(diagonal(kLongest - 1, kLongest - 1)), n * n);
    EXPECT_EQ(num_live(~diagonal(kLongest - 1, kLongest - 1)), 0);
    EXPECT_EQ(num_live(~diagonal(kLongest - 2, kLongest - 1)), 1); // the corner (2^31 - 2, 0)
    EXPECT_EQ(num_live(diagonal(0, 0)), n);
    EXPECT_EQ(num_live(diagonal(0, 0, false, kLongest)), triangle);
    EXPECT_EQ(num_live(diagonal(tile, 0)), 2 * n - 1);
    EXPECT_EQ(num_live(diagonal(tile + 1, 0)), 3 * n - 3);
}

TEST(NearTheEndOfTheRange, OneTileCoversEverything)
{
    const MaskCall call{0, 0, kLongest, kLongest};
    const DynamicTile whole{kLongest, kLongest};
    EXPECT_EQ((GenericAttentionMask(full().def, call, whole)).GetTileStatus(0, 0), TileStatus::full);
    EXPECT_EQ((GenericAttentionMask(causal().def, call, whole)).GetTileStatus(0, 0), TileStatus::edge);
    EXPECT_EQ((GenericAttentionMask((~full()).def, call, whole)).GetTileStatus(0, 0), TileStatus::empty);
    EXPECT_EQ((GenericAttentionMask(longformer(4, 1).def, call, whole)).num_live_tiles(), 1);
    EXPECT_FALSE((GenericAttentionMask(full().def, call, whole)).IsEdgeTile(0, 0));
    EXPECT_TRUE((GenericAttentionMask(full().def, {0, 0, kLongest, kLongest - 1}, whole)).IsEdgeTile(0, 0));
}

TEST(NearTheEndOfTheRange, Longformer)
{
    unsigned seed = 0;
    for (const index_t window : {0, 64, kLongest / 2, kLongest - 1, kLongest})
        for (const index_t dilation : {1, 2, 3, 65537, kLongest})
            for (const index_t num_global : {0, 5, kLongest / 2, kLongest})
                for (const auto& [seqlen_q, seqlen_k] : {std::pair{kLongest, kLongest}, std::pair{1000, kLongest}}) {
                    const element_t m = dilation, reach = std::min<element_t>(window / 2 * m, kLongest);
                    const Offsets offsets = {0, reach, -reach, m};
                    spot_check(longformer(window, num_global, dilation), {0, 0, seqlen_q, seqlen_k}, {16, 32}, offsets,
                               ++seed);
                }
}

TEST(NearTheEndOfTheRange, LongformerTokens)
{
    unsigned seed = 0;
    for (const index_t window : {0, 64, kLongest})
        for (const index_t dilation : {1, 3, 65537})
            for (const Numbers& tokens :
                 {Numbers{}, Numbers{0, kLongest / 2, kLongest - 1}, Numbers{kLongest - 2, kLongest - 1}}) {
                const element_t reach = std::min<element_t>(window / 2 * element_t{dilation}, kLongest);
                const auto spec = longformer_tokens(window, tokens, dilation);
                spot_check(spec, {0, 0, kLongest, kLongest}, {16, 32}, {0, reach, -reach}, ++seed);
                spot_check(~spec, {0, 0, kLongest, 1000}, {16, 32}, {0, reach, -reach}, ++seed);
            }
}

TEST(NearTheEndOfTheRange, StridedAndFixed)
{
    unsigned seed = 0;
    const index_t lengths_of_interest[] = {1, 2, 1000, kLongest / 2, kLongest - 1, kLongest};
    for (const auto& [seqlen_q, seqlen_k] : {std::pair{kLongest, kLongest}, std::pair{kLongest, 100}})
        for (const index_t local : lengths_of_interest)
            for (const index_t other : lengths_of_interest) {
                const Offsets offsets = {0, -element_t{local}, -element_t{other}, -2 * element_t{other}};
                const MaskCall call{0, 0, seqlen_q, seqlen_k};
                spot_check(strided(local, other), call, {16, 32}, offsets, ++seed);
                spot_check(~strided(local, other), call, {16, 32}, offsets, ++seed);
                if (other <= local) spot_check(fixed(local, other), call, {16, 32}, offsets, ++seed);
            }
}

// Tiles of 2^20: lines short enough to be walked and counted.
TEST(NearTheEndOfTheRange, Counts)
{
    const index_t tile = 1 << 20;
    const auto check = [&](const auto& spec, const Offsets& offsets) {
        const MaskCall call{0, 0, kLongest, kLongest};
        Random random(9);
        const Subject s{spec.claim, call, {tile, tile}};
        spot_check_counts(s, *make_view(spec.def, call, s.tile), offsets, random);
    };
    check(full(), {});
    check(diagonal(kLongest - 3, 5 * tile, false, 2 * tile), {0});
    check(prefix_lm(kLongest / 2), {kLongest / 2});
    for (const index_t window : {2, 5 * tile, kLongest})
        for (const index_t dilation : {1, 7, tile + 3, kLongest / 3}) {
            check(longformer(window, 9, dilation), {element_t{window} / 2 * dilation, dilation});
            check(longformer_tokens(window, {0, 5, tile * 3, kLongest - 1}, dilation), {3 * tile, dilation});
            check(strided(window, dilation), {dilation, window});
            check(fixed(std::max(window, dilation), std::min(window, dilation)), {dilation, window});
            check(transpose(strided(window, dilation)), {dilation, window});
        }
    for (const bool clip : {false, true}) {
        check(neighborhood({{kLongest, 5 * tile + 1}}, clip), {});
        check(neighborhood({{46340, 101}, {46340, 7, 9}}, clip), {});
    }
    check(documents({{5, kLongest / 2, 7, tile}, {kLongest / 2, kLongest, tile, kLongest}}, Within::bottom_right),
          {tile});
    check(lengths({kLongest - 5}, {kLongest / 3}, true), {kLongest / 3});
    check(block_list(1 << 25, 1 << 26, 64, 32, 0.3, false, 3), {});
    check(deepspeed_fixed({1 << 18, 6, 2, 1, false, true}), {});
    check(deepspeed_variable({1 << 19, {7, 20, 9}, {{3, 5}, {4000, 4095}}, true, false}), {});
    check(deepspeed_longformer(1 << 19, 9, {{3, 5}, {4000, 4095}}, true), {});
    check(deepspeed_big_bird({1 << 19, 9, 1, 2, 5}), {});
    check(big_bird(1 << 19, 9, 1, 2, 5), {});
    check(shift(causal(true), 3 * tile + 1, -5), {3 * tile});
}

// The last line of tiles holds the last element alone: most lines of blocks that a tile has would lie past 2^31.
TEST(NearTheEndOfTheRange, CountsOfTheLastLines)
{
    const index_t tile = 63;
    static_assert((kLongest - 1) % tile == 0);
    const auto check = [&](const auto& spec) {
        const MaskCall call{0, 0, kLongest, kLongest};
        const auto view = make_view(spec.def, call, DynamicTile{tile, tile});
        const index_t n = view->num_tiles(Along::x);
        for (const Along along : {Along::x, Along::y}) {
            const std::vector<index_t> counts = view->num_live(along, n - 3, n);
            std::vector<index_t> walk;
            for (index_t line = n - 3; line < n; ++line) {
                view->walk(along, line, walk);
                EXPECT_EQ(counts[std::size_t(line - (n - 3))], index_t(walk.size()))
                    << spec.claim.name << ", " << (along == Along::x ? "row " : "column ") << line;
            }
        }
    };
    for (const index_t block : {1, 3, tile, 2 * tile, 1 << 20}) {
        check(big_bird(block, 3, 0, 1, 5));
        check(deepspeed_big_bird({block, 3, 0, 1, 5}));
        check(deepspeed_big_bird({block, 3, 0, 1, 5}, true));
    }
    check(longformer_tokens(2, {0, kLongest / 2}, kLongest / 3));
    check(neighborhood({{kLongest - 1, 5, kLongest / 7}}));
}

TEST(NearTheEndOfTheRange, DocumentsAndLengths)
{
    const index_t half = kLongest / 2, third = kLongest / 3;
    unsigned seed = 0;
    for (const Within within : {Within::whole, Within::top_left, Within::bottom_right})
        for (const auto& [seqlen_q, seqlen_k] : {std::pair{kLongest, kLongest}, std::pair{kLongest, 1000}}) {
            const MaskCall call{0, 0, seqlen_q, seqlen_k};
            spot_check(documents({{0, half, 0, third}, {half, kLongest, third, kLongest}}, within), call, {16, 32},
                       {0, third - half, third, -half}, ++seed);
            spot_check(
                documents({{0, 1, 0, 5}, {5, kLongest - 1, 5, 6}, {kLongest - 1, kLongest, 7, kLongest}}, within), call,
                {16, 32}, {0, 5 - kLongest}, ++seed);
            spot_check(~documents({{0, 5, 0, kLongest - 1}, {7, kLongest, kLongest - 1, kLongest}}, within), call,
                       {16, 32}, {0, kLongest}, ++seed);
        }
    for (const bool left : {false, true})
        for (const index_t of_q : {0, 3, half, kLongest - 1, kLongest})
            for (const index_t of_k : {0, 3, half, kLongest - 1, kLongest})
                spot_check(lengths({of_q}, {of_k}, left), {0, 0, kLongest, kLongest}, {16, 32}, {0, half, -half},
                           ++seed);
}

TEST(NearTheEndOfTheRange, Neighborhood)
{
    const MaskCall call{0, 0, kLongest, kLongest};
    unsigned seed = 0;
    for (const bool clip : {false, true})
        for (const bool causal_axis : {false, true}) {
            for (const index_t window : {1, 1001, kLongest / 2, kLongest})
                for (const index_t dilation : {1, 3, kLongest / 2, kLongest}) {
                    const element_t reach = std::min<element_t>(window / 2 * element_t{dilation}, kLongest);
                    spot_check(neighborhood({{kLongest, window, dilation, causal_axis}}, clip), call, {16, 32},
                               {0, reach, -reach, dilation}, ++seed);
                }
            for (const index_t window : {3, 101, kLongest}) {
                // Grids that end a little before the sequence.
                spot_check(neighborhood({{46340, window, 1, causal_axis}, {46340, 5, 3}}, clip), call, {16, 32},
                           {0, 46340, -46340, -46340 * element_t{50}}, ++seed);
                spot_check(neighborhood({{46340, 5, 7}, {46340, window, 2, causal_axis}}, clip), call, {16, 32},
                           {0, 46340, -100, 46340 * 7}, ++seed);
                spot_check(neighborhood({{1290, window, 1, causal_axis}, {1290, 3, 3}, {1290, 7}}, clip), call,
                           {16, 32}, {0, 1290 * 1290, -3870}, ++seed);
                spot_check(neighborhood({{2, 1}, {kLongest / 2, window, 1, causal_axis}}, clip), call, {16, 32},
                           {0, window, -element_t{window}}, ++seed);
                spot_check(neighborhood({{kLongest / 2, window, 1, causal_axis}, {2, 1}}, clip), call, {16, 32},
                           {0, window, -element_t{window}}, ++seed);
                // Grids of more positions than a sequence has: it ends inside of a line.
                spot_check(neighborhood({{3, 3}, {1 << 30, window, 1, causal_axis}}, clip), call, {16, 32},
                           {0, 1 << 30, -(1 << 30)}, ++seed);
                spot_check(neighborhood({{kLongest, 3}, {kLongest - 5, window, 1, causal_axis}}, clip), call, {16, 32},
                           {0, 5 - kLongest}, ++seed);
            }
        }
}

TEST(NearTheEndOfTheRange, BlockLists)
{
    const MaskCall call{0, 1, kLongest, kLongest};
    unsigned seed = 0;
    for (const double density : {0.05, 0.5, 1.0}) {
        ++seed;
        spot_check(block_list(1 << 26, 1 << 25, 32, 64, density, false, seed), call, {16, 32}, {}, seed);
        spot_check(block_list(kLongest, kLongest, 1, 1, density, false, seed), call, {16, 32}, {0}, seed);
        spot_check(~block_list(1 << 26, (1 << 25) + 9, 33, 66, density, false, seed), call, {16, 32}, {}, seed);
        // The last block of a column alone, as wide as a bitmap word and a bit.
        spot_check(block_list(1 << 30, 65, 2, 9, density, false, seed), {0, 0, kLongest, 600}, {16, 32}, {}, seed);
        spot_check(big_bird_table(1 << 22, 3, 1, BlockMatrix(2, 512, 512, density / 50, seed)), call, {16, 32},
                   {0, 1 << 22}, seed);
        spot_check(~big_bird_table(1 << 22, 1, 0, BlockMatrix(1, 500, 530, density, seed)), call, {16, 32}, {0}, seed);
    }
}

TEST(NearTheEndOfTheRange, DeepSpeed)
{
    const MaskCall call{0, 3, kLongest, kLongest};
    unsigned seed = 0;
    for (const bool unidirectional : {false, true}) {
        for (const index_t block : {1, 16, 1 << 20, kLongest})
            for (const index_t local : {1, 4, 1000, kLongest})
                for (const index_t global : {1, 2, local}) {
                    if (local % global != 0) continue;
                    const index_t patterns = std::min(local / global, 4);
                    const element_t width = element_t{block} * local, run = element_t{block} * global;
                    const Offsets offsets = {0, -std::min<element_t>(width, kLongest),
                                             -std::min<element_t>(run, kLongest)};
                    spot_check(deepspeed_fixed({block, local, global, patterns, unidirectional, !unidirectional}), call,
                               {16, 32}, offsets, ++seed);
                }
        for (const index_t block : {1, 16, 1 << 20}) {
            const index_t last = (kLongest - 1) / block; // the last block
            spot_check(
                deepspeed_variable({block, {4, 1, 9}, {{0, 1}, {last - 1, last + 1}}, unidirectional, !unidirectional}),
                call, {16, 32}, {0, block}, ++seed);
            spot_check(deepspeed_variable({block, {last}, {}, unidirectional, false}), call, {16, 32}, {0}, ++seed);
            spot_check(deepspeed_longformer(block, 5, {{0, 2}, {last, last + 1}}, unidirectional), call, {16, 32},
                       {0, 2 * block}, ++seed);
            spot_check(deepspeed_longformer(block, kLongest, {}, unidirectional), call, {16, 32}, {0}, ++seed);
        }
        spot_check(deepspeed_big_bird({1 << 16, 3, 1, 2, 5}, unidirectional), call, {16, 32}, {0, 1 << 16}, ++seed);
        spot_check(deepspeed_big_bird_table(1 << 22, 3, 1, BlockMatrix(1, 512, 512, 0.01, 6), unidirectional), call,
                   {16, 32}, {0, 1 << 22}, ++seed);
    }
}

TEST(NearTheEndOfTheRange, TransposedAndShifted)
{
    const MaskCall call{0, 0, kLongest, kLongest}, chunk{0, 0, 1000, kLongest};
    unsigned seed = 0;
    spot_check(transpose(diagonal(kLongest - 5, 9, true)), {0, 0, 1000, kLongest}, {16, 32}, {0}, ++seed);
    spot_check(transpose(strided(1000, kLongest / 2)), call, {16, 32}, {0, 1000, kLongest / 2}, ++seed);
    for (const index_t d : {1, 1000, kLongest / 2, kLongest - 1, kLongest}) {
        spot_check(shift(causal(), d, 0), call, {16, 32}, {-d}, ++seed);
        spot_check(shift(causal(true), 0, d), call, {16, 32}, {0, d}, ++seed);
        spot_check(shift(longformer(64, 3), d, d), call, {16, 32}, {0, -32, 32}, ++seed);
        spot_check(~shift(big_bird(64, 3, 1, 0), d, 5), call, {16, 32}, {-d}, ++seed);
    }
    // A chunk of queries of the longest sequence.
    const index_t offset = kLongest - 1000;
    spot_check(shift(causal(), -offset, 0), chunk, {16, 32}, {offset}, ++seed);
    spot_check(shift(causal(true), -offset, 0), chunk, {16, 32}, {offset}, ++seed);
    spot_check(shift(strided(500, 999), -offset, 0), chunk, {16, 32}, {offset, offset - 500}, ++seed);
    spot_check(shift(longformer(600, 2, 5), -offset, 0), chunk, {16, 32}, {offset, offset - 1500}, ++seed);
}

TEST(NearTheEndOfTheRange, Compositions)
{
    const MaskCall call{0, 0, kLongest, kLongest};
    spot_check(causal() & longformer(kLongest, 3, 2), call, {8, 16}, {0}, 1);
    spot_check(diagonal(kLongest, 0) | diagonal(0, kLongest - 9), call, {8, 16}, {0, kLongest - 9}, 2);
    spot_check(~(diagonal(kLongest - 2, 0) & ~diagonal(5, 5)), call, {8, 16}, {0, -5, 5}, 3);
}

// 33,554,432 blocks: too many for a table. Rows and columns must agree with each other and with the elements.
TEST(NearTheEndOfTheRange, BigBird)
{
    const MaskCall call{0, 1, kLongest, kLongest};
    const auto spec = big_bird(64, 3, 1, 3, 99);
    const GenericAttentionMask mask(spec.def, call, DynamicTile{64, 64});
    const index_t n = mask.num_tiles_y();
    ASSERT_EQ(n, 33554432);
    Random random(3);
    for (int repeat = 0; repeat < 300; ++repeat) {
        const index_t line = random.in(1, n - 1);
        std::set<index_t> row;
        for (auto it = mask.GetTileIndexIteratorAlongX(line); !it.at_end(); it.advance()) {
            row.insert(it.current());
            ASSERT_EQ(mask.GetTileIndexIteratorAlongY(it.current(), line, line + 1).current(), line)
                << "block (" << line << ", " << it.current() << ") is in its row, but not in its column";
            ASSERT_TRUE(mask.ElementwiseMask(line * 64, it.current() * 64));
        }
        ASSERT_LE(row.size(), 8u);
        ASSERT_GE(row.size(), 4u);
        for (const index_t J : {0, line - 1, line, line + 1, n - 1})
            ASSERT_EQ(row.count(J), 1u) << "row " << line << " lacks block " << J;
        for (auto it = mask.GetTileIndexIteratorAlongY(line); !it.at_end(); it.advance())
            ASSERT_EQ(mask.GetTileIndexIteratorAlongX(it.current(), line, line + 1).current(), line)
                << "block (" << it.current() << ", " << line << ") is in its column, but not in its row";
    }
}

// Blocks of one element: as many blocks as the range of index_t has.
TEST(NearTheEndOfTheRange, BigBirdOfSingleElements)
{
    const MaskCall call{0, 1, kLongest, kLongest};
    const GenericAttentionMask mask(big_bird(1, 3, 0, 3, 1).def, call, DynamicTile{1, 1});
    Random random(4);
    for (int repeat = 0; repeat < 200; ++repeat) {
        const index_t line = random.in(0, kLongest);
        for (auto it = mask.GetTileIndexIteratorAlongX(line); !it.at_end(); it.advance())
            ASSERT_EQ(mask.GetTileIndexIteratorAlongY(it.current(), line, line + 1).current(), line)
                << "element (" << line << ", " << it.current() << ") is in its row, but not in its column";
    }
}

} // namespace
