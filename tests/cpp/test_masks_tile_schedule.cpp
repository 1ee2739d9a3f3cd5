// The schedule: lines of tiles cut into ranges of about equal numbers of live tiles.

#include <set>
#include <vector>

#include "ck_tile_masks/tile_schedule.hpp"
#include "mask_laws.hpp"

namespace {

using namespace mask_tests;
using namespace ck_tile_masks;

template <Axis kAxis, class Mask>
std::vector<TileRange> ranges_of(const Mask& mask, index_t line, index_t num_live, index_t limit)
{
    std::vector<TileRange> ranges;
    cut_line<kAxis>(mask, line, num_live, limit, [&](const TileRange& range) { ranges.push_back(range); });
    return ranges;
}

// @law the ranges of a line are adjacent and cover all its tiles; parts are numbered in order; counts are those of the
//      walks in the ranges, add up, are at most `limit` and differ by at most one; no range is needless
template <Axis kAxis, class Mask>
void check_line(const Mask& mask, index_t line, index_t limit)
{
    constexpr bool rows = kAxis == Axis::rows;
    const index_t num_tiles = rows ? mask.num_tiles_x() : mask.num_tiles_y();
    const index_t num_live = rows ? mask.num_live_tiles_in_row(line) : mask.num_live_tiles_in_col(line);
    const auto ranges = ranges_of<kAxis>(mask, line, num_live, limit);
    SCOPED_TRACE(::testing::Message() << (rows ? "row " : "column ") << line << " with " << num_live << " of "
                                      << num_tiles << " tiles live, limit " << limit);

    ASSERT_EQ(element_t(ranges.size()), std::max(1LL, (element_t{num_live} + limit - 1) / limit));
    index_t begin = 0, total = 0, part = 0, least = kIndexMax, most = 0;
    for (const TileRange& range : ranges) {
        EXPECT_EQ(range.line, line);
        EXPECT_EQ(range.begin, begin);
        EXPECT_EQ(range.part, part);
        EXPECT_EQ(range.num_parts, index_t(ranges.size()));
        index_t in_range = 0;
        const auto count = [&](auto it) {
            for (; !it.at_end(); it.advance())
                ++in_range;
        };
        if constexpr (rows)
            count(mask.GetTileIndexIteratorAlongX(line, range.begin, range.end));
        else
            count(mask.GetTileIndexIteratorAlongY(line, range.begin, range.end));
        EXPECT_EQ(range.num_live, in_range) << "tiles [" << range.begin << ", " << range.end << ")";
        begin = range.end;
        total += range.num_live;
        least = std::min(least, range.num_live);
        most = std::max(most, range.num_live);
        ++part;
    }
    EXPECT_EQ(begin, num_tiles);
    EXPECT_EQ(total, num_live);
    EXPECT_LE(most, limit);
    EXPECT_LE(most - least, 1);
}

template <class Def>
void check_schedule(const Spec<Def>& spec, const MaskCall& call, DynamicTile tile)
{
    const Subject subject{spec.claim, call, tile};
    SCOPED_TRACE(::testing::Message() << subject);
    const GenericAttentionMask<Def> mask(spec.def, call, tile);
    EXPECT_EQ(num_lines<Axis::rows>(mask), mask.num_tiles_y());
    EXPECT_EQ(num_lines<Axis::cols>(mask), mask.num_tiles_x());
    for (const index_t limit : {1, 2, 3, 5, 8, 1000, kIndexMax}) {
        for (index_t line = 0; line < num_lines<Axis::rows>(mask); ++line)
            check_line<Axis::rows>(mask, line, limit);
        for (index_t line = 0; line < num_lines<Axis::cols>(mask); ++line)
            check_line<Axis::cols>(mask, line, limit);
        if (::testing::Test::HasFailure()) return;
    }
}

TEST(TileSchedule, Laws)
{
    for (const auto& [seqlen_q, seqlen_k] :
         {std::pair{1, 1}, std::pair{37, 40}, std::pair{100, 61}, std::pair{16, 300}, std::pair{300, 16}})
        for (const DynamicTile tile : {DynamicTile{1, 1}, DynamicTile{4, 8}, DynamicTile{7, 5}}) {
            const MaskCall call{0, 1, seqlen_q, seqlen_k};
            check_schedule(full(), call, tile);
            check_schedule(~full(), call, tile);
            check_schedule(causal(true), call, tile);
            check_schedule(longformer(8, 3), call, tile);
            check_schedule(longformer(4, 1, 5), call, tile);
            check_schedule(big_bird(4), call, tile);
            check_schedule(big_bird(4, 1, 0, 2) & causal(), call, tile);
        }
}

TEST(TileSchedule, LineWithoutLiveTilesIsOneRange)
{
    const GenericAttentionMask mask((~full()).def, {0, 0, 64, 640}, DynamicTile{16, 16});
    const auto rows = ranges_of<Axis::rows>(mask, 2, 0, 4), cols = ranges_of<Axis::cols>(mask, 39, 0, 4);
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].line, 2);
    EXPECT_EQ(rows[0].begin, 0);
    EXPECT_EQ(rows[0].end, 40);
    EXPECT_EQ(rows[0].num_live, 0);
    EXPECT_EQ(rows[0].part, 0);
    EXPECT_EQ(rows[0].num_parts, 1);
    ASSERT_EQ(cols.size(), 1u);
    EXPECT_EQ(cols[0].line, 39);
    EXPECT_EQ(cols[0].end, 4);
    EXPECT_EQ(cols[0].num_live, 0);
}

// @post the smallest limit that target_ranges ranges of equal size can keep, but at least min_live
TEST(TileSchedule, BalancedLimit)
{
    for (const long_index_t num_live : {1LL, 2LL, 7LL, 64LL, 1000LL, 1000000LL, 5000000000LL})
        for (const index_t target : {1, 2, 3, 16, 1000, 65536})
            for (const index_t min_live : {1, 4, 32}) {
                const long_index_t limit = balanced_limit(num_live, target, min_live);
                SCOPED_TRACE(::testing::Message() << num_live << " live tiles, " << target << " ranges, at least "
                                                  << min_live << ": limit " << limit);
                EXPECT_GE(limit, min_live);
                const long_index_t fair = (num_live + target - 1) / target;
                EXPECT_EQ(limit, std::max<long_index_t>(std::min<long_index_t>(fair, kIndexMax), min_live));
            }
    EXPECT_EQ(balanced_limit(100, 7, 1), 15);
    EXPECT_EQ(balanced_limit(98, 7, 1), 14);
    EXPECT_EQ(balanced_limit(0, 7, 8), 8) << "a mask without live tiles needs no cut";
    EXPECT_EQ(balanced_limit(1LL << 40, 1, 1), kIndexMax) << "saturates";
    EXPECT_EQ(balanced_limit(0, 7, 0), 1) << "a range holds at least one live tile";
    EXPECT_EQ(balanced_limit(5, 0, 0), 5) << "no target: one range";
}

// What it is for: a global row does not hold up the others.
TEST(TileSchedule, GlobalRowsAreShared)
{
    const GenericAttentionMask mask(longformer(512, 64).def, {0, 0, 65536, 65536}, DynamicTile{64, 64});
    const index_t target = 256;
    const index_t limit = balanced_limit(mask.num_live_tiles(), target, 8);
    std::size_t num_ranges = 0, global_ranges = 0;
    for (index_t line = 0; line < mask.num_tiles_y(); ++line) {
        const auto ranges = ranges_of<Axis::rows>(mask, line, mask.num_live_tiles_in_row(line), limit);
        num_ranges += ranges.size();
        if (line == 0) global_ranges = ranges.size();
        for (const TileRange& range : ranges)
            EXPECT_LE(range.num_live, limit);
    }
    EXPECT_EQ(mask.num_live_tiles_in_row(0), 1024);
    EXPECT_EQ(mask.num_live_tiles_in_row(500), 10); // window of 9 tiles and the global column
    EXPECT_GE(global_ranges, 20u);
    EXPECT_LE(num_ranges, std::size_t(mask.num_tiles_y()) + target);
}

} // namespace
