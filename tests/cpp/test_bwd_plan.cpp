// The schedule of the backward on GPUs: columns of tiles.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "gpu/runtime/bwd_launch.hpp"
#include "mask_examples.hpp"

namespace ck_fmha::gpu {
namespace {

using ck_tile_masks::Axis;
using ck_tile_masks::MaskCall;

FwdShape shape(int64_t batch, int64_t heads, index_t heads_per_kv, int64_t sq, int64_t sk, index_t head_dim = 128)
{
    FwdShape shape{batch, heads, sq, sk, head_dim, /*num_compute_units=*/304};
    shape.axis = Axis::cols;
    shape.heads_per_kv = heads_per_kv;
    return shape;
}

using Tile = std::tuple<index_t, index_t, index_t, index_t>; // batch, head, row and column of tiles

template <class Use>
void for_each_live_tile(const MaskExpr& mask, const FwdPlan& plan, index_t batch, index_t head, index_t column,
                        index_t begin, index_t end, const Use& use)
{
    const MaskCall call{batch, head, static_cast<index_t>(plan.shape.seqlen_q),
                        static_cast<index_t>(plan.shape.seqlen_k)};
    const auto bound = mask.bind(call);
    const TiledMask tiled(MaskRef(*bound), call, plan.tile());
    for (auto i = tiled.GetTileIndexIteratorAlongY(column, begin, end); !i.at_end(); i.advance())
        use(Tile{batch, head, i.current(), column});
}

void expect_every_live_tile_once(const MaskExpr& mask, const FwdPlan& plan)
{
    std::multiset<Tile> visited, live;
    for (const FwdGroup& group : plan.groups)
        for (const FwdWork& work : group.work)
            for (index_t s = 0; s < plan.num_shared(); ++s) {
                index_t num_live = 0;
                for_each_live_tile(mask, plan, work.batch + s / plan.shared_heads(),
                                   work.head + s % plan.shared_heads(), work.row, work.begin, work.end, [&](Tile tile) {
                                       visited.insert(tile);
                                       ++num_live;
                                   });
                EXPECT_EQ(work.num_live, num_live);
            }
    const auto num_columns = ck_tile_masks::div_up(static_cast<index_t>(plan.shape.seqlen_k), plan.tile().x());
    for (index_t b = 0; b < plan.shape.batch; ++b)
        for (index_t h = 0; h < plan.shape.num_heads; ++h)
            for (index_t column = 0; column < num_columns; ++column)
                for_each_live_tile(mask, plan, b, h, column, 0, ck_tile_masks::kIndexMax,
                                   [&](Tile tile) { live.insert(tile); });
    EXPECT_TRUE(visited == live);
}

// Every partial result is summed into its own head of K and V, once, and the whole columns are written by one item.
void expect_every_column_written_once(const FwdPlan& plan)
{
    using Column = std::tuple<index_t, index_t, index_t>; // batch, head of K and V, column
    std::multiset<Column> written;
    std::vector<const FwdWork*> by_slot(plan.num_slots, nullptr);
    const index_t heads_per_kv = plan.shape.heads_per_kv;
    for (const FwdGroup& group : plan.groups)
        for (const FwdWork& work : group.work) {
            if (work.slot >= 0) {
                ASSERT_LT(work.slot, plan.num_slots);
                ASSERT_EQ(by_slot[work.slot], nullptr) << "slot " << work.slot << " is written twice";
                by_slot[work.slot] = &work;
                continue;
            }
            ASSERT_EQ(heads_per_kv, 1);
            for (index_t s = 0; s < plan.num_shared(); ++s)
                written.insert({work.batch + s / plan.shared_heads(), work.head + s % plan.shared_heads(), work.row});
        }
    index_t slots = 0;
    for (const FwdMerge& merge : plan.merges) {
        ASSERT_EQ(merge.first_slot, slots);
        slots += merge.num_slots;
        std::set<index_t> heads;
        for (index_t n = merge.first_slot; n < slots; ++n) {
            ASSERT_NE(by_slot[n], nullptr);
            EXPECT_EQ(std::tie(by_slot[n]->row, by_slot[n]->batch), std::tie(merge.row, merge.batch));
            EXPECT_EQ(by_slot[n]->head / heads_per_kv, merge.head / heads_per_kv);
            heads.insert(by_slot[n]->head);
        }
        EXPECT_EQ(static_cast<index_t>(heads.size()) * plan.merge_heads(), heads_per_kv);
        const index_t shared_heads = plan.shared_heads() / plan.merge_heads();
        for (index_t s = 0; s < plan.num_shared() / plan.merge_heads(); ++s)
            written.insert({merge.batch + s / shared_heads, merge.head / heads_per_kv + s % shared_heads, merge.row});
    }
    EXPECT_EQ(slots, plan.num_slots);
    const auto num_columns = ck_tile_masks::div_up(static_cast<index_t>(plan.shape.seqlen_k), plan.tile().x());
    EXPECT_EQ(static_cast<int64_t>(written.size()),
              plan.shape.batch * (plan.shape.num_heads / heads_per_kv) * num_columns);
    EXPECT_EQ(std::set<Column>(written.begin(), written.end()).size(), written.size());
}

TEST(BwdPlan, WorkGroupsVisitEveryLiveTileOnce)
{
    for (const MaskExample& example : mask_examples()) {
        SCOPED_TRACE(example.structure);
        const auto mask = example.build();
        for (const index_t heads_per_kv : {1, 2})
            for (const index_t head_dim : {64, 256})
                for (const index_t lanes : {64, 32, 128}) {
                    FwdShape call = shape(2, 2, heads_per_kv, example.seqlen_q, example.seqlen_k, head_dim);
                    call.lanes = lanes;
                    const FwdPlan plan = make_fwd_plan(*mask, call);
                    expect_every_live_tile_once(*mask, plan);
                    expect_every_column_written_once(plan);
                }
    }
}

TEST(BwdPlan, ColumnsAreNarrowWhereHalvesAttendOthers)
{
    const auto waves = [](const MaskExpr& mask, index_t head_dim, index_t lanes) {
        FwdShape call = shape(1, 2, 1, 4096, 4096, head_dim);
        call.lanes = lanes;
        return make_fwd_plan(mask, call).num_waves;
    };
    const auto blocks = build_mask("big_bird", {64, 3, 1, 3, 5}, {});
    EXPECT_EQ(waves(*blocks, 128, 32), 4);
    EXPECT_EQ(waves(*blocks, 128, 128), 4);
    EXPECT_EQ(waves(*blocks, 256, 32), 8); // tiles of 64 keys anyway
    EXPECT_EQ(waves(*blocks, 128, 64), 4); // AMD: all that there are
    EXPECT_EQ(waves(*build_mask("diagonal", {4096, 0, 0, 0}, {}), 128, 32), 8);
}

TEST(BwdPlan, LongColumnsAreCut)
{
    const auto mask = build_mask("longformer", {256, 64, 1}, {});
    const FwdPlan plan = make_fwd_plan(*mask, shape(1, 2, 1, 4096, 4096));
    ASSERT_EQ(plan.merges.size(), 1u); // the column of global tokens: 128 tiles, where 20 are usual
    EXPECT_EQ(plan.merges[0].num_slots, plan.num_slots);
    EXPECT_GT(plan.num_slots, 1);
    EXPECT_EQ(plan.num_partial_keys(), int64_t{plan.num_slots} * 2 * 128);
    expect_every_live_tile_once(*mask, plan);
    expect_every_column_written_once(plan);
}

TEST(BwdPlan, GradientsInOneOrderTakeLittleMemory)
{
    const std::pair<const char*, std::vector<int64_t>> masks[] = {
        {"full", {}},
        {"diagonal", {-1, 0, 0, 0}},
        {"diagonal", {1024, 0, 0, 8}},
        {"prefix_lm", {3000, 0}},
        {"longformer", {256, 64, 1}},
        {"longformer", {64, 700, 1}},
        {"big_bird", {64, 3, 2, 3, 5}},
        {"strided", {128, 128}},
    };
    int64_t most_rows = 0;
    for (const auto& [structure, parameters] : masks) {
        const auto mask = build_mask(structure, parameters, {});
        for (const auto& [batch, heads, sq, sk] : {std::tuple<int64_t, int64_t, int64_t, int64_t>{1, 1, 300, 70000},
                                                   {1, 2, 4096, 4096},
                                                   {8, 16, 16384, 16384},
                                                   {1, 1, 200000, 200000}})
            for (const index_t compute_units : {1, 304}) {
                SCOPED_TRACE(testing::Message() << structure << ", seqlens " << sq << " and " << sk << ", heads "
                                                << heads << ", compute units " << compute_units);
                FwdShape call = shape(batch, heads, 1, sq, sk);
                call.num_compute_units = compute_units;
                const FwdPlan columns = make_fwd_plan(*mask, call);
                call.axis = Axis::rows;
                const FwdPlan rows = make_fwd_plan(*mask, call);
                const int64_t tile = rows.tile().y(), whole_rows = batch * heads * ((sq + tile - 1) / tile) * tile;
                const int64_t dq_size = BwdWorkspace(columns, &rows, 128, 80).dq_size;
                EXPECT_LE(dq_size, 128 * std::max(whole_rows, 8 * compute_units * tile));
                EXPECT_EQ(BwdWorkspace(columns, nullptr, 80, 80).dq_size, 128 * batch * heads * sq);
                if (8 * compute_units * tile < whole_rows) most_rows = std::max(most_rows, dq_size * 100 / whole_rows);
            }
    }
    EXPECT_GT(most_rows, 0); // there are cut rows among them
}

} // namespace
} // namespace ck_fmha::gpu
