// The schedule of the forward on GPUs.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <tuple>

#include "gpu/runtime/fwd_plan.hpp"
#include "mask_examples.hpp"

namespace ck_fmha::gpu {
namespace {

using ck_tile_masks::Axis;
using ck_tile_masks::MaskCall;

constexpr index_t kComputeUnits = 304;

FwdShape shape(int64_t batch, int64_t heads, int64_t sq, int64_t sk, index_t head_dim = 128)
{
    return {batch, heads, sq, sk, head_dim, kComputeUnits};
}

FwdPlan plan_of(const std::string& structure, const std::vector<int64_t>& params, const FwdShape& shape)
{
    return make_fwd_plan(*build_mask(structure, params, {}), shape);
}

using Tile = std::tuple<int64_t, int64_t, index_t, index_t>; // batch, head, row and column of tiles

// The tiles that the work-groups of a plan visit, each as often as it is visited.
std::multiset<Tile> visited(const MaskExpr& mask, const FwdPlan& plan)
{
    std::multiset<Tile> tiles;
    for (const FwdGroup& group : plan.groups)
        for (const FwdWork& work : group.work)
            for (index_t s = 0; s < plan.num_shared(); ++s) {
                const int64_t batch = work.batch + s / plan.shared_heads();
                const int64_t head = work.head + s % plan.shared_heads();
                const MaskCall call{static_cast<index_t>(batch), static_cast<index_t>(head),
                                    static_cast<index_t>(plan.shape.seqlen_q),
                                    static_cast<index_t>(plan.shape.seqlen_k)};
                const auto bound = mask.bind(call);
                const TiledMask tiled(MaskRef(*bound), call, plan.tile());
                index_t num_live = 0;
                for (auto j = tiled.GetTileIndexIteratorAlongX(work.row, work.begin, work.end); !j.at_end();
                     j.advance(), ++num_live)
                    tiles.insert({batch, head, work.row, j.current()});
                EXPECT_EQ(work.num_live, num_live);
                EXPECT_LT(num_live, group.num_stored);
            }
    return tiles;
}

std::multiset<Tile> live(const MaskExpr& mask, const FwdPlan& plan)
{
    std::multiset<Tile> tiles;
    for (index_t b = 0; b < plan.shape.batch; ++b)
        for (index_t h = 0; h < plan.shape.num_heads; ++h) {
            const MaskCall call{b, h, static_cast<index_t>(plan.shape.seqlen_q),
                                static_cast<index_t>(plan.shape.seqlen_k)};
            const auto bound = mask.bind(call);
            const TiledMask tiled(MaskRef(*bound), call, plan.tile());
            for (index_t i = 0; i < tiled.num_tiles_y(); ++i)
                for (auto j = tiled.GetTileIndexIteratorAlongX(i); !j.at_end(); j.advance())
                    tiles.insert({b, h, i, j.current()});
        }
    return tiles;
}

// Pieces of cut rows have slots of their own, those of a row one after the other in the order of their columns.
void expect_merges_fit(const FwdPlan& plan)
{
    for (const FwdGroup& group : plan.groups) {
        std::vector<const FwdWork*> by_slot(group.num_slots, nullptr);
        for (const FwdWork& work : group.work)
            if (work.slot >= 0) {
                ASSERT_LT(work.slot, group.num_slots);
                ASSERT_EQ(by_slot[work.slot], nullptr) << "slot " << work.slot << " is written twice";
                by_slot[work.slot] = &work;
            }
        index_t slots = 0;
        for (const FwdMerge& merge : group.merges) {
            ASSERT_EQ(merge.first_slot, slots);
            ASSERT_GE(merge.num_slots, 2);
            slots += merge.num_slots;
            for (index_t n = 0; n < merge.num_slots; ++n) {
                const FwdWork* work = by_slot[merge.first_slot + n];
                ASSERT_NE(work, nullptr);
                EXPECT_EQ(std::tie(work->row, work->batch, work->head), std::tie(merge.row, merge.batch, merge.head));
                EXPECT_EQ(work->begin, n == 0 ? 0 : by_slot[merge.first_slot + n - 1]->end);
            }
        }
        EXPECT_EQ(slots, group.num_slots);
    }
}

void expect_longest_first(const FwdPlan& plan)
{
    for (const FwdGroup& group : plan.groups)
        EXPECT_TRUE(std::is_sorted(group.work.begin(), group.work.end(),
                                   [](const FwdWork& a, const FwdWork& b) { return a.num_live > b.num_live; }));
}

TEST(FwdPlan, WorkGroupsVisitEveryLiveTileOnce)
{
    for (const MaskExample& example : mask_examples()) {
        SCOPED_TRACE(example.structure);
        const auto mask = example.build();
        for (const index_t head_dim : {64, 128, 256})
            for (const index_t lanes : {64, 32, 128}) {
                FwdShape call = shape(2, 2, example.seqlen_q, example.seqlen_k, head_dim);
                call.lanes = lanes;
                const FwdPlan plan = make_fwd_plan(*mask, call);
                EXPECT_TRUE(visited(*mask, plan) == live(*mask, plan));
                expect_merges_fit(plan);
                expect_longest_first(plan);
            }
    }
}

TEST(FwdPlan, RowsAreLowWhereHalvesAttendOthers)
{
    const auto waves = [](const char* structure, const std::vector<int64_t>& parameters, int64_t seqlen,
                          index_t lanes) {
        FwdShape call = shape(1, 2, seqlen, seqlen);
        call.lanes = lanes;
        return make_fwd_plan(*build_mask(structure, parameters, {}), call).num_waves;
    };
    for (const int64_t seqlen : {4096, 1 << 20}) {
        EXPECT_EQ(waves("big_bird", {64, 3, 1, 3, 5}, seqlen, 32), 2);
        EXPECT_EQ(waves("big_bird", {64, 3, 1, 3, 5}, seqlen, 64), 4); // AMD
        EXPECT_EQ(waves("big_bird", {128, 3, 1, 3, 5}, seqlen, 32), 4);
        EXPECT_EQ(waves("diagonal", {1024, 0, 0, 0}, seqlen, 32), 4);
        EXPECT_EQ(waves("diagonal", {1024, 0, 0, 0}, seqlen, 128), 2); // a little less for a warpgroup
        EXPECT_EQ(waves("diagonal", {-1, 0, 0, 0}, seqlen, 128), 4);
    }
}

TEST(FwdPlan, RowsThatSeveralThreadsCountAreThoseOfOne)
{
    const int64_t seqlen = 128 * 12288 + 1;
    const auto mask = build_mask("big_bird", {64, 3, 1, 3, 7}, {});
    const FwdPlan plan = make_fwd_plan(*mask, shape(1, 1, seqlen, seqlen));
    const MaskCall call{0, 0, index_t(seqlen), index_t(seqlen)};
    std::vector<index_t> counts(12289), planned(counts.size());
    mask->bind(call)->count_live_tiles(Axis::rows, call, plan.tile(), 0, 12289, counts.data());
    for (const FwdWork& work : plan.groups.at(0).work)
        planned.at(size_t(work.row)) += work.num_live;
    EXPECT_EQ(planned, counts);
}

TEST(FwdPlan, TheLongestWorkComesFirstElseRowByRow)
{
    for (const int64_t seqlen : {1000, 40000, 300000}) {
        const FwdPlan plan = plan_of("big_bird", {64, 3, 1, 3, 7}, shape(1, 1, seqlen, seqlen));
        const std::vector<FwdWork>& work = plan.groups.at(0).work;
        EXPECT_TRUE(std::is_sorted(work.begin(), work.end(), [](const FwdWork& a, const FwdWork& b) {
            return std::make_tuple(-a.num_live, a.row, a.begin) < std::make_tuple(-b.num_live, b.row, b.begin);
        }));
    }
}

TEST(FwdPlan, LongRowsAreCut)
{
    const auto mask = build_mask("longformer", {256, 64, 1}, {});
    const FwdPlan plan = make_fwd_plan(*mask, shape(1, 2, 4096, 4096));
    ASSERT_EQ(plan.groups.size(), 1u);
    EXPECT_EQ(plan.groups[0].merges.size(), 1u); // the row of global tokens: 64 tiles, where 10 are usual
    EXPECT_EQ(plan.groups[0].num_slots, 8);
    EXPECT_TRUE(visited(*mask, plan) == live(*mask, plan));
    expect_merges_fit(plan);
    expect_longest_first(plan);
    EXPECT_EQ(plan.workspace_size(80), 8 * 2 * plan.tile().y() * (80 + 1));
}

TEST(FwdPlan, RowsThatStandOutAreCutToTheLengthOfTheOthers)
{
    const FwdShape many = shape(8, 64, 16384, 16384); // whose balanced shares are longer than any row
    const auto longformer = build_mask("longformer", {256, 64, 1}, {});
    const FwdPlan plan = make_fwd_plan(*longformer, many);
    const FwdGroup& group = plan.groups[0];
    EXPECT_EQ(group.merges.size(), 1u); // the row of global tokens: 256 tiles, where 11 are usual
    int64_t total = 0;
    for (const FwdWork& work : group.work)
        total += work.num_live;
    EXPECT_LT(group.work[0].num_live * static_cast<int64_t>(group.work.size()), total * 3 / 2);
    EXPECT_TRUE(visited(*longformer, plan) == live(*longformer, plan));
    expect_merges_fit(plan);
    // Rows of which as many are long as are short do not stand out.
    EXPECT_TRUE(plan_of("diagonal", {-1, 0, 0, 0}, many).groups[0].merges.empty());
}

TEST(FwdPlan, RowsAreWholeWhereThereIsWorkForEverybody)
{
    const FwdPlan plan = plan_of("full", {}, shape(8, 64, 4096, 4096));
    EXPECT_TRUE(plan.groups[0].merges.empty());
    EXPECT_EQ(plan.groups[0].work.size(), 32u); // one for each row of tiles, whatever the number of heads
    EXPECT_EQ(plan.workspace_size(128), 0);
}

TEST(FwdPlan, FinerWhereThereAreMoreComputeUnits)
{
    const auto mask = build_mask("full", {}, {});
    FwdShape call = shape(1, 8, 8192, 8192);
    const FwdPlan many = make_fwd_plan(*mask, call);
    call.num_compute_units = 8;
    const FwdPlan few = make_fwd_plan(*mask, call);
    EXPECT_GT(many.groups[0].num_slots, 0);
    EXPECT_EQ(few.groups[0].num_slots, 0);
}

TEST(FwdPlan, MasksOfOneStructureShareALaunch)
{
    const auto mask =
        build_mask("per_head(diagonal,full,diagonal,and(diagonal,full))", {-1, 0, 0, 0, 5, 5, 0, 0, 3, 3, 0, 0}, {});
    const FwdPlan plan = make_fwd_plan(*mask, shape(3, 4, 300, 300));
    ASSERT_EQ(plan.groups.size(), 3u);
    EXPECT_EQ(plan.groups[0].structure, "diagonal");
    EXPECT_EQ(plan.groups[1].structure, "full");
    EXPECT_EQ(plan.groups[2].structure, "and_<diagonal, full>");
    EXPECT_EQ(plan.num_shared(), 3);
    EXPECT_EQ(plan.shared_heads(), 1);
    EXPECT_EQ(plan.group_at(2, 2).structure, "diagonal");
    std::set<index_t> images;
    for (const FwdWork& work : plan.groups[0].work)
        images.insert(work.image);
    EXPECT_EQ(images.size(), 2u);
    EXPECT_TRUE(visited(*mask, plan) == live(*mask, plan));
}

TEST(FwdPlan, RowsThatAttendNothingAreServedToo)
{
    const FwdPlan plan = plan_of("not(full)", {}, shape(1, 1, 300, 100));
    ASSERT_EQ(plan.groups[0].work.size(), static_cast<size_t>((300 + 127) / 128));
    for (const FwdWork& work : plan.groups[0].work)
        EXPECT_EQ(std::make_tuple(work.num_live, work.slot), std::make_tuple(0, -1));
    EXPECT_FALSE(plan_of("full", {}, shape(1, 1, 300, 0)).groups[0].work.empty());
}

TEST(FwdPlan, StoresTheTilesOfTheLongestRow)
{
    const auto stored = [](const std::string& structure, const std::vector<int64_t>& params, int64_t seqlen) {
        return plan_of(structure, params, shape(64, 64, 64, seqlen)).groups.at(0).num_stored;
    };
    EXPECT_EQ(stored("full", {}, 64 * 64), 65); // and the code behind them
    EXPECT_EQ(stored("full", {}, 64 * 64 + 1), 66);
    EXPECT_EQ(stored("full", {}, 64 * 70000), 70001);
    EXPECT_EQ(stored("diagonal", {300, 0, 1, 0}, 64 * 6400), 7); // six, wherever they are
    EXPECT_EQ(stored("not(full)", {}, 64 * 64), 1);
    EXPECT_EQ(stored("full", {}, 0), 1);
}

TEST(FwdPlan, ListsThatTakeTooMuchMemoryAreFoundPartByPart)
{
    FwdShape s = shape(64, 64, 128 * 2048, 64 * 2047); // lists of 2048 codes each, for 2048 work items
    const auto plan = [&] { return make_fwd_plan(*build_mask("full", {}, {}), s); };
    const auto items = [](const FwdPlan& p) {
        return std::make_pair(p.groups.at(0).keeps_lists, p.groups.at(0).items_at_once);
    };
    s.most_list_bytes = int64_t{4} * 2048 * 2048;
    EXPECT_EQ(items(plan()), std::make_pair(true, size_t{2048}));
    EXPECT_EQ(plan().num_codes_of_call(), 0);
    --s.most_list_bytes;
    EXPECT_EQ(items(plan()), std::make_pair(false, size_t{2047}));
    EXPECT_EQ(plan().num_codes_of_call(), 2047 * 2048);
    EXPECT_EQ(plan().workspace_size(64), 2047 * 2048); // nothing is cut
    s.most_list_bytes = 0;
    EXPECT_EQ(items(plan()), std::make_pair(false, size_t{1})); // that serves the 4096 heads of all samples
    s.batch = s.num_heads = 1;
    EXPECT_EQ(items(plan()).second, size_t(4 * s.num_compute_units));
}

TEST(FwdPlan, RefusesTilesWhoseNumbersCannotBeStored)
{
    const auto make = [](index_t head_dim, int64_t seqlen_q, int64_t seqlen_k, Axis axis) {
        FwdShape s = shape(1, 1, seqlen_q, seqlen_k);
        s.head_dim = head_dim;
        s.axis = axis;
        make_fwd_plan(*build_mask("diagonal", {300, 0, 1, 0}, {}), s);
    };
    make(128, 64, int64_t{64} * kMostTiles, Axis::rows);
    EXPECT_THROW(make(128, 64, int64_t{64} * kMostTiles + 1, Axis::rows), std::invalid_argument);
    EXPECT_THROW(make(256, 64, int64_t{32} * kMostTiles + 1, Axis::rows), std::invalid_argument);
    make(128, int64_t{32} * kMostTiles, 64, Axis::cols);
    EXPECT_THROW(make(128, int64_t{32} * kMostTiles + 1, 64, Axis::cols), std::invalid_argument);
}

TEST(FwdPlan, InstancesHoldBothHeadDims)
{
    EXPECT_EQ(instance_head_dim(8, 32), 32);
    EXPECT_EQ(instance_head_dim(40, 8), 64);
    EXPECT_EQ(instance_head_dim(64, 72), 128);
    EXPECT_EQ(instance_head_dim(136, 64), 256);
}

} // namespace
} // namespace ck_fmha::gpu
