// Masks as the FmhaMask of CK Tile's pipelines: every definition and every way to combine them against brute force.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "ck_tile_masks/ck_tile/kernel_fmha_mask.hpp"
#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "fmha/mask_expr.hpp"
#include "mask_examples.hpp"
#include "mask_oracle.hpp"

namespace ck_fmha {
namespace {

using ck_tile_masks::DynamicTile;
using ck_tile_masks::FmhaMask;
using ck_tile_masks::GenericAttentionMask;
using ck_tile_masks::Interval;
using ck_tile_masks::MaskCall;
using mask_tests::Elements;

template <index_t kValue>
struct Number {
    static constexpr index_t value = kValue;
};

// The mask of one head of an example, its elements, and what is asked.
struct Case {
    MaskCall call;
    std::unique_ptr<BoundMask> bound;
    std::unique_ptr<Elements> truth;

    Case(const MaskExpr& expr, const MaskCall& c)
        : call(c),
          bound(expr.bind(c)),
          truth(std::make_unique<Elements>(
              [&](long long i, long long j) {
                  return bound->mask_func(static_cast<index_t>(i), static_cast<index_t>(j));
              },
              c.seqlen_q, c.seqlen_k))
    {
    }
    FmhaMask<MaskRef> mask() const { return {MaskRef(*bound), call.seqlen_q, call.seqlen_k}; }
};

index_t clip(index_t x, index_t seqlen) { return std::min(std::max(x, 0), seqlen); }

// Attended elements of the rows [i, i + rows) and columns [j, j + cols), of which there are more outside.
index_t attended(const Case& c, index_t i, index_t rows, index_t j, index_t cols)
{
    return c.truth->count({clip(i, c.call.seqlen_q), clip(i + rows, c.call.seqlen_q), clip(j, c.call.seqlen_k),
                           clip(j + cols, c.call.seqlen_k)});
}

// A range of a line of tiles. attended(from, to): elements attended in the line's positions [from, to).
template <class Attended>
void check_range(const Case& c, Interval range, index_t tile, index_t seqlen, const Attended& attended)
{
    ASSERT_EQ(range.begin % tile, 0);
    ASSERT_EQ(range.end % tile, 0);
    ASSERT_GE(range.begin, 0);
    ASSERT_LT(range.end, seqlen + tile);
    ASSERT_EQ(attended(0, range.begin), 0);
    ASSERT_EQ(attended(range.end, seqlen), 0);
    if (!c.bound->exact() || range.empty()) return;
    ASSERT_GT(attended(range.begin, range.begin + tile), 0);
    ASSERT_GT(attended(range.end - tile, range.end), 0);
}

template <index_t kY, index_t kX>
void check_tiles(const Case& c, index_t y_offset = 0, index_t x_offset = 0)
{
    SCOPED_TRACE(testing::Message() << "tiles of " << kY << " x " << kX << ", batch " << c.call.batch << ", head "
                                    << c.call.head);
    const FmhaMask<MaskRef> mask = c.mask();
    const auto [sq, sk] = std::pair(c.call.seqlen_q, c.call.seqlen_k);
    const Number<kY> y;
    const Number<kX> x;
    for (index_t i = y_offset; i < sq; i += kY) {
        const auto [start, end] = mask.GetTileRangeAlongX(i, y, x);
        check_range(c, {start, end}, kX, sk,
                    [&, i](index_t from, index_t to) { return attended(c, i, kY, from, to - from); });
        if (testing::Test::HasFatalFailure()) return;
        for (index_t j = x_offset; j < sk; j += kX) {
            const bool full = attended(c, i, kY, j, kX) == kY * kX;
            const bool edge = mask.IsEdgeTile(i, j, y, x);
            ASSERT_TRUE(edge || full) << "(" << i << ", " << j << ")";
            if (!c.bound->exact()) continue;
            ASSERT_EQ(edge, !full) << "(" << i << ", " << j << ")";
        }
    }
    for (index_t j = x_offset; j < sk; j += kX) {
        const auto [start, end] = mask.GetTileRangeAlongY(j, y, x);
        check_range(c, {start, end}, kY, sq,
                    [&, j](index_t from, index_t to) { return attended(c, from, to - from, j, kX); });
        if (testing::Test::HasFatalFailure()) return;
    }
}

// Of tiles that GenericAttentionMask knows by number: the first and the last one that it finds live.
template <index_t kY, index_t kX>
void check_live_tiles(const Case& c)
{
    const GenericAttentionMask<MaskRef> tiled(MaskRef(*c.bound), c.call, DynamicTile{kY, kX});
    const FmhaMask<MaskRef> mask = c.mask();
    const auto ends = [](auto it, index_t tile) {
        Interval all{0, 0};
        for (bool first = true; !it.at_end(); it.advance(), first = false)
            all = {first ? it.current() * tile : all.begin, (it.current() + 1) * tile};
        return all;
    };
    for (index_t i = 0; i < tiled.num_tiles_y(); ++i) {
        const Interval live = ends(tiled.GetTileIndexIteratorAlongX(i), kX);
        const auto [start, end] = mask.GetTileRangeAlongX(i * kY, Number<kY>{}, Number<kX>{});
        ASSERT_EQ(std::pair(start, end), std::pair(live.begin, live.end)) << "row of tiles " << i;
    }
    for (index_t j = 0; j < tiled.num_tiles_x(); ++j) {
        const Interval live = ends(tiled.GetTileIndexIteratorAlongY(j), kY);
        const auto [start, end] = mask.GetTileRangeAlongY(j * kX, Number<kY>{}, Number<kX>{});
        ASSERT_EQ(std::pair(start, end), std::pair(live.begin, live.end)) << "column of tiles " << j;
    }
}

void check_elements(const Case& c)
{
    const FmhaMask<MaskRef> mask = c.mask();
    for (index_t i = -3; i < c.call.seqlen_q + 130; ++i)
        for (index_t j = -3; j < c.call.seqlen_k + 70; ++j)
            ASSERT_EQ(mask.IsOutOfBound(i, j), !c.truth->at(i, j)) << "(" << i << ", " << j << ")";
}

// What newer pipelines ask: parts of a row, and sinks.
void check_newer_calls(const Case& c)
{
    const FmhaMask<MaskRef> mask = c.mask();
    const Number<32> y;
    const Number<16> x;
    for (index_t i = 0; i < c.call.seqlen_q; i += 32) {
        const auto [start, end] = mask.GetTileRangeAlongX(i, y, x);
        for (const index_t num_splits : {1, 2, 3, 20}) {
            index_t at = start;
            for (index_t split = 0; split < num_splits; ++split) {
                const auto [from, to] = mask.GetTileRangeAlongX(i, y, x, num_splits, split);
                ASSERT_EQ(from, at);
                ASSERT_GE(to, from);
                ASSERT_EQ((to - from) % 16, 0);
                at = to;
            }
            ASSERT_EQ(at, end);
        }
        const auto [sink_end, sink_start, sink_range_end] = mask.GetSinkTileRangeAlongX(i, y, x);
        ASSERT_EQ(std::tuple(sink_end, sink_start, sink_range_end), std::tuple(0, start, end));
        ASSERT_EQ(mask.IsOutOfSinkBound(i, i / 2), mask.IsOutOfBound(i, i / 2));
    }
}

class FmhaMaskOf : public testing::TestWithParam<MaskExample> {};
INSTANTIATE_TEST_SUITE_P(Every, FmhaMaskOf, testing::ValuesIn(mask_examples()),
                         [](const auto& info) { return "mask_" + std::to_string(info.index); });

TEST_P(FmhaMaskOf, AgreesWithBruteForce)
{
    SCOPED_TRACE(GetParam().structure);
    const auto expr = GetParam().build();
    for (index_t batch = 0; batch < (expr->varies_by_batch() ? 2 : 1); ++batch)
        for (index_t head = 0; head < (expr->varies_by_head() ? 2 : 1); ++head) {
            const Case c(*expr, {batch, head, GetParam().seqlen_q, GetParam().seqlen_k});
            check_elements(c);
            check_tiles<128, 64>(c);
            check_tiles<64, 128>(c);
            check_tiles<16, 16>(c);
            check_tiles<32, 24>(c);
            check_tiles<1, 1>(c);
            check_tiles<30, 7>(c, 11, 3); // origins between those of tiles
            check_tiles<512, 512>(c);
            check_live_tiles<32, 24>(c);
            check_live_tiles<16, 64>(c);
            check_newer_calls(c);
        }
}

TEST(FmhaMask, OfNoRowsOrColumns)
{
    const auto expr = build_mask("full", {});
    for (const auto& [sq, sk] : {std::pair(0, 5), std::pair(5, 0), std::pair(0, 0)}) {
        const Case c(*expr, {0, 0, sq, sk});
        const auto [start, end] = c.mask().GetTileRangeAlongX(0, Number<16>{}, Number<16>{});
        const auto [top, bottom] = c.mask().GetTileRangeAlongY(0, Number<16>{}, Number<16>{});
        EXPECT_EQ(std::tuple(start, end, top, bottom), std::tuple(0, 0, 0, 0));
        EXPECT_TRUE(c.mask().IsEdgeTile(0, 0, Number<16>{}, Number<16>{}));
    }
}

// Positions near 2^31 do not wrap.
TEST(FmhaMask, OfTheLongestSequences)
{
    constexpr index_t most = ck_tile_masks::kIndexMax;
    const auto mask = ck_tile_masks::make_fmha_mask(ck_tile_masks::Diagonal(100, 0), {0, 0, most, most});
    constexpr index_t last = most / 64 * 64;
    const auto [start, end] = mask.GetTileRangeAlongX(last, Number<64>{}, Number<64>{});
    EXPECT_EQ(start, last - 128);
    EXPECT_EQ(end, most);
    EXPECT_TRUE(mask.IsEdgeTile(last, last, Number<64>{}, Number<64>{}));
    EXPECT_FALSE(mask.IsOutOfBound(most - 1, most - 1));
    for (index_t split = 0, at = start; split < 3; ++split) { // a tile each
        const auto [from, to] = mask.GetTileRangeAlongX(last, Number<64>{}, Number<64>{}, 3, split);
        EXPECT_EQ(std::pair(from, to), std::pair(at, split == 2 ? end : at + 64)) << "part " << split;
        at = to;
    }
    const auto none = ck_tile_masks::make_fmha_mask(~ck_tile_masks::Full(), {0, 0, most, most});
    const auto [from, to] = none.GetTileRangeAlongX(0, Number<64>{}, Number<64>{});
    EXPECT_EQ(std::pair(from, to), std::pair(0, 0));
}

TEST(FmhaMask, ConstantsOfTheType)
{
    using ck_tile_masks::make_fmha_mask;
    const auto full = make_fmha_mask(ck_tile_masks::Full(), {0, 0, 8, 8});
    const auto window = make_fmha_mask(ck_tile_masks::Diagonal(3, 0), {0, 0, 8, 8});
    static_assert(!decltype(full)::IsMasking && decltype(window)::IsMasking);
    EXPECT_STREQ(decltype(window)::name, "diagonal");
    EXPECT_EQ(window.seqlen_q(), 8);
}

// As a kernel makes it: numbers mean what the source says.
struct WindowAndSinks {
    using Bound = ck_tile_masks::bound_mask_t<ck_tile_masks::Diagonal>;
    static Bound read(ck_tile_masks::WindowSizes w, index_t sq, index_t sk)
    {
        return bind_mask(ck_tile_masks::Diagonal(w.left, 0, ck_tile_masks::Alignment::top_left, w.right),
                         {0, 0, sq, sk});
    }
};
TEST(KernelFmhaMask, ReadsWhatItsSourceSays)
{
    using Mask = ck_tile_masks::KernelFmhaMask<WindowAndSinks>;
    for (const Mask& mask : {Mask{1 + 5, 1 + 2, 40, 50}, Mask{1 + 5, 1 + 2, 0, 40, 50}})
        for (index_t i = 0; i < 40; ++i)
            for (index_t j = 0; j < 50; ++j)
                ASSERT_EQ(mask.IsOutOfBound(i, j), !((j < 2 || j >= i - 5) && j <= i));
}

TEST(KernelFmhaMask, WindowSizesHoldAnAddress)
{
    using namespace ck_tile_masks;
    for (const unsigned long long address :
         {0ull, 16ull, 0x7f12'3456'7890ull, 0x3ffffffffull << 4, ~0ull << 4, 0x0123'4567'89ab'cde0ull}) {
        const WindowSizes w = window_sizes_of_address(address);
        EXPECT_EQ(address_of_window_sizes(w), address);
        EXPECT_GE(std::min(w.left, w.right), 0);
        EXPECT_LE(std::max(w.left, w.right), kMaxWindowSize);
    }
}

} // namespace
} // namespace ck_fmha
