// Large shapes: lengths of 10^5 .. 10^6 against single elements, and the end of the range of index_t, where windows and
// lengths near 2^31 must not wrap.

#include <random>
#include <set>

#include "mask_laws.hpp"

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

// --- Spot checks of any mask on any shape ----------------------------------------------------------------------------

// Elements of interest lie at j - i near one of these, or anywhere.
using Offsets = std::vector<element_t>;

index_t column_of_interest(Random& random, const Offsets& offsets, index_t i, index_t reach, index_t seqlen_k)
{
    if (offsets.empty() || !random.coin()) return random.in(0, seqlen_k);
    return random.near(i + offsets[std::size_t(random.in(0, index_t(offsets.size())))], reach, 0, seqlen_k);
}

// Tiles (status, RowBits, elements) against the oracle's elements.
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

// The band functions for narrow bands: the answer has the property, and nothing that is looked at before it has.
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
}

// --- 10^5 .. 10^6
// -------------------------------------------------------------------------------------------------------

class LargeShape : public ::testing::TestWithParam<unsigned> {
protected:
    template <class Def>
    void check(const Spec<Def>& spec, const Offsets& offsets)
    {
        Random random(GetParam());
        const MaskCall call{0, random.in(0, 16), random.in(100000, 1000001), random.in(100000, 1000001)};
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

// --- Near 2^31
// --------------------------------------------------------------------------------------------------------

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
