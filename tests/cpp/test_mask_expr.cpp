#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "fmha/mask_expr.hpp"
#include "fmha/mask_view.hpp"

namespace ck_fmha {
namespace {

using Bits = std::vector<uint8_t>;
using Data = std::vector<IndexArray>;

IndexArray array(std::vector<index_t> numbers)
{
    return std::make_shared<const std::vector<index_t>>(std::move(numbers));
}

Bits materialize(const std::string& structure, const std::vector<int64_t>& params, index_t sq, index_t sk,
                 index_t head = 0, const Data& data = {}, index_t batch = 0)
{
    Bits out(static_cast<size_t>(sq) * sk);
    MaskView(*build_mask(structure, params, data), {batch, head, sq, sk}).materialize(out.data());
    return out;
}

// What is said when something is refused.
template <class Call>
std::string refusal(const Call& call)
{
    try {
        call();
    } catch (const std::invalid_argument& e) {
        return e.what();
    }
    return "";
}
std::string build_refusal(const std::string& structure, const std::vector<int64_t>& params, const Data& data = {})
{
    return refusal([&] { build_mask(structure, params, data); });
}
std::string bind_refusal(const std::string& structure, const std::vector<int64_t>& params, const Data& data,
                         const ck_tile_masks::MaskCall& call)
{
    return refusal([&] { build_mask(structure, params, data)->bind(call); });
}
std::string count_refusal(const std::string& structure, const std::vector<int64_t>& params, const Data& data,
                          int64_t batch, int64_t num_heads)
{
    return refusal([&] { build_mask(structure, params, data)->check_counts(batch, num_heads); });
}

void expect_each_says(const std::vector<std::pair<std::string, std::string>>& cases)
{
    for (const auto& [text, part] : cases)
        EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
}

TEST(MaskExpr, BuildsWhatTheStructureSays)
{
    EXPECT_EQ(materialize("full", {}, 2, 3), Bits({1, 1, 1, 1, 1, 1}));
    EXPECT_EQ(materialize("not(full)", {}, 2, 3), Bits({0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(materialize("diagonal", {-1, 0, 0, 0}, 2, 3), Bits({1, 0, 0, 1, 1, 0}));
    EXPECT_EQ(materialize("diagonal", {-1, 0, 1, 0}, 2, 3), Bits({1, 1, 0, 1, 1, 1}));
    EXPECT_EQ(materialize("longformer", {2, 1, 1}, 3, 4), Bits({1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1}));
    EXPECT_EQ(materialize("prefix_lm", {2, 0}, 3, 4), Bits({1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0}));
    EXPECT_EQ(materialize("prefix_lm", {0, 1}, 2, 3), Bits({1, 1, 0, 1, 1, 1}));
    // Parameters go to the definitions in the order of their names.
    EXPECT_EQ(materialize("and(diagonal,or(diagonal,not(full)))", {1, 0, 0, 0, -1, 0, 0, 0}, 3, 3),
              Bits({1, 0, 0, 1, 1, 0, 0, 1, 1}));
}

TEST(MaskExpr, OnlyRandomBlocksVaryByHead)
{
    EXPECT_FALSE(build_mask("longformer", {2, 1, 1})->varies_by_head());
    EXPECT_FALSE(build_mask("big_bird", {4, 3, 1, 0, 0})->varies_by_head());
    EXPECT_TRUE(build_mask("and(full,not(big_bird))", {4, 3, 1, 1, 0})->varies_by_head());
    EXPECT_NE(materialize("big_bird", {1, 1, 0, 1, 0}, 40, 40, 0), materialize("big_bird", {1, 1, 0, 1, 0}, 40, 40, 1));
}

TEST(MaskExpr, CountsAgreeWithElements)
{
    const auto mask = build_mask("or(big_bird,diagonal)", {5, 3, 1, 1, 3, 9, 2, 1, 1});
    const MaskView view(*mask, {0, 2, 90, 75}, {8, 16});
    int64_t attended = 0;
    for (uint8_t x : materialize("or(big_bird,diagonal)", {5, 3, 1, 1, 3, 9, 2, 1, 1}, 90, 75, 2))
        attended += x;
    EXPECT_EQ(view.count_attended(), attended);
    std::vector<int8_t> status(12 * 5);
    view.tile_status(status.data());
    int64_t count[3] = {};
    for (int8_t x : status)
        ++count[x];
    EXPECT_EQ(view.count_tiles().total, 60);
    EXPECT_EQ(view.count_tiles().edge, count[1]);
    EXPECT_EQ(view.count_tiles().full, count[2]);
    EXPECT_EQ(view.count_tiles().live, count[1] + count[2]);
}

TEST(MaskExpr, RefusesWithTheReason)
{
    expect_each_says({
        {build_refusal("ful", {}), "no such mask definition at position 0"},
        {build_refusal("", {}), "no such mask definition at position 0"},
        {build_refusal("full)", {}), "unexpected text at position 4"},
        {build_refusal("and(full", {}), "expected ',' at position 8"},
        {build_refusal("and(full,full", {}), "expected ')' at position 13"},
        {build_refusal("not(full,full)", {}), "expected ')' at position 8"},
        {build_refusal("full", {1}), "takes 0 parameters, got 1"},
        {build_refusal("diagonal", {1, 2, 0}), "parameter num_sinks is missing"},
        {build_refusal("diagonal", {-2, 0, 0, 0}), "left must be in [-1, 2147483647], got -2"},
        {build_refusal("diagonal", {0, 0, 2, 0}), "alignment must be in [0, 1], got 2"},
        {build_refusal("prefix_lm", {-1, 0}), "prefix must be in [0, 2147483647], got -1"},
        {build_refusal("longformer", {3, 0, 1}), "window must be even, got 3"},
        {build_refusal("longformer", {4, 0, 0}), "dilation must be in [1, 2147483647], got 0"},
        {build_refusal("big_bird", {0, 3, 1, 3, 0}), "block_size must be in [1, 2147483647], got 0"},
        {build_refusal("big_bird", {64, 2, 1, 3, 0}), "num_window_blocks must be odd, got 2"},
        {build_refusal("transpose(full,full)", {}), "expected ')' at position 14"},
        {build_refusal("shift(full)", {1}), "parameter dk is missing"},
        {build_refusal("per_head()", {}), "no such mask definition at position 9"},
        {build_refusal("per_sample(full,)", {}), "no such mask definition at position 16"},
        {build_refusal("per_sample(full", {}), "expected ')' at position 15"},
        {build_refusal("strided", {0, 3}), "local must be in [1, 2147483647], got 0"},
        {build_refusal("fixed", {3, 4}), "summary must be in [0, 3], got 4"},
        {build_refusal("neighborhood", {4, 0}), "num_dims must be in [1, 3], got 4"},
        {build_refusal("neighborhood", {1, 0, 8, 4, 1, 0}), "window must be odd, got 4"},
        {build_refusal("deepspeed_fixed", {16, 4, 5, 1, 0, 0}), "num_global_blocks must be in [1, 4], got 5"},
        {build_refusal("deepspeed_fixed", {16, 4, 2, 3, 0, 0}), "num_global_patterns must be in [1, 2], got 3"},
    });
    std::string deep;
    for (int n = 0; n < 100000; ++n)
        deep += "not(";
    EXPECT_NE(build_refusal(deep, {}).find("nested deeper than 200"), std::string::npos);
}

TEST(MaskExpr, RefusesDataWithTheReason)
{
    expect_each_says({
        {build_refusal("full", {}, {array({1})}), "takes 0 data arrays, got 1"},
        {build_refusal("documents", {0}, {array({0, 3})}), "data array cu_seqlens_k is missing"},
        {build_refusal("documents", {0}, {array({0, 3, 2}), array({0, 1, 2})}), "must not decrease, got 3 before 2"},
        {build_refusal("documents", {0}, {array({0, 3}), array({0, 1, 2})}), "equally long and not empty, got 2 and 3"},
        {build_refusal("documents", {0}, {array({}), array({})}), "equally long and not empty, got 0 and 0"},
        {build_refusal("documents", {0}, {array({-1, 3}), array({0, 3})}), "must be in [0, 2147483647], got -1"},
        {build_refusal("lengths", {0, 0, 0}), "lengths_q or lengths_k must be given"},
        {build_refusal("lengths", {0, 1, 1}, {array({1}), array({1, 2})}), "equally long, got 1 and 2"},
        {build_refusal("longformer_tokens", {4, 1}, {array({3, 3})}), "ascending without repetition, got 3 before 3"},
        {build_refusal("deepspeed_variable", {4, 0, 0}, {array({}), array({}), array({})}), "must not be empty"},
        {build_refusal("deepspeed_longformer", {4, 3, 0}, {array({2}), array({2})}), "below its global_end"},
        {build_refusal("deepspeed_longformer", {4, 3, 0}, {array({2}), array({3, 4})}), "equally long, got 1 and 2"},
        {build_refusal("block_list", {4, 4, 2, 2, -1, -1}, {array({0, 1}), array({0}), array({-1}), array({})}),
         "num_rows + 1 = 3 numbers"},
        {build_refusal("block_list", {4, 4, 1, 2, -1, -1}, {array({0, 2}), array({1, 1}), array({-1, -1}), array({})}),
         "columns of row 0 must be ascending"},
        {build_refusal("block_list", {4, 4, 1, 2, -1, -1}, {array({0, 1}), array({2}), array({-1}), array({})}),
         "columns must be in [0, 1], got 2"},
        {build_refusal("block_list", {4, 4, 1, 2, -1, -1}, {array({0, 1}), array({1}), array({0}), array({})}),
         "bitmap_of names bitmap 0 of 0"},
        {build_refusal("block_list", {4, 4, 1, 2, -1, -1}, {array({0, 1}), array({1}), array({0}), array({1, 2, 3})}),
         "bitmaps must have 8 words each, got 3"},
        {build_refusal("big_bird_table", {4, 3, 1, 1, 2, 2}, {array({0, 1, 2})}), "1 * 2 * 2 numbers, got 3"},
        {build_refusal("big_bird_table", {4, 3, 1, 1, 1, 1}, {array({1 << 24})}), "random_blocks must be in"},
    });
}

TEST(MaskExpr, RefusesCallsThatDoNotFit)
{
    const Data documents = {array({0, 3, 7}), array({0, 4, 9})}, lengths = {array({3, 5})};
    const Data blocks = {array({0, 1, 2}), array({0, 1}), array({-1, -1}), array({})};
    const Data table = {array({0, 1, 2, 0, 2, 1})}; // 2 heads, 3 rows, 1 block each
    expect_each_says({
        {bind_refusal("documents", {0}, documents, {0, 0, 6, 9}), "cu_seqlens_q ends at 7, past the seqlen_q 6"},
        {bind_refusal("documents", {0}, documents, {0, 0, 7, 8}), "cu_seqlens_k ends at 9, past the seqlen_k 8"},
        {bind_refusal("lengths", {0, 0, 1}, lengths, {2, 0, 9, 9}), "2 samples have none for batch 2"},
        {bind_refusal("lengths", {0, 0, 1}, lengths, {1, 0, 9, 4}), "lengths_k[1] is 5, more than the seqlen_k 4"},
        {count_refusal("lengths", {0, 0, 1}, lengths, 3, 1), "Lengths of 2 samples, the call has 3"},
        {bind_refusal("block_list", {4, 4, 2, 2, -1, -1}, blocks, {0, 0, 9, 8}), "2 blocks of 4 along seqlen_q"},
        {bind_refusal("block_list", {4, 4, 2, 2, 7, 8}, blocks, {0, 0, 8, 8}), "made for seqlen_q 7, the call has 8"},
        {bind_refusal("big_bird_table", {4, 1, 0, 2, 3, 1}, table, {0, 2, 12, 12}), "2 heads, asked for head 2"},
        {bind_refusal("big_bird_table", {4, 1, 0, 2, 3, 1}, table, {0, 0, 16, 12}), "has 3 rows, the call has 4 rows"},
        {bind_refusal("big_bird_table", {4, 1, 0, 2, 3, 1}, table, {0, 0, 12, 8}), "names block 2, the call has 2"},
        {count_refusal("big_bird_table", {4, 1, 0, 2, 3, 1}, table, 1, 4), "has 2 heads, the call has 4"},
        {bind_refusal("per_head(full,full)", {}, {}, {0, 2, 4, 4}), "per_head of 2 masks has no mask for head 2"},
        {bind_refusal("per_sample(full,full)", {}, {}, {2, 0, 4, 4}), "per_sample of 2 masks has no mask for batch 2"},
        {count_refusal("per_head(full,full)", {}, {}, 1, 3), "per_head of 2 masks, the call has 3 query heads"},
        {count_refusal("not(per_sample(full,full))", {}, {}, 1, 3), "per_sample of 2 masks, the call has 1 samples"},
        {bind_refusal("shift(full)", {-2147483647, 0}, {}, {0, 0, 1, 1}), "needs seqlen_q - dq below 2^31"},
    });
    // And those that do.
    EXPECT_EQ(bind_refusal("documents", {0}, documents, {0, 0, 7, 20}), "");
    EXPECT_EQ(bind_refusal("block_list", {4, 4, 2, 2, 7, 8}, blocks, {0, 0, 7, 8}), "");
    EXPECT_EQ(bind_refusal("big_bird_table", {4, 1, 0, 2, 3, 1}, table, {0, 1, 20, 20}), ""); // all but two rows
    EXPECT_EQ(count_refusal("per_head(full,full)", {}, {}, 5, 2), "");
}

TEST(MaskExpr, DataGoesToTheDefinitionsInTheirOrder)
{
    const Data data = {array({0, 1, 3}), array({0, 2, 3}), array({1})};
    EXPECT_EQ(materialize("or(documents,longformer_tokens)", {0, 0, 1}, 3, 3, 0, data),
              Bits({1, 1, 0, 1, 1, 1, 0, 1, 1}));
    EXPECT_EQ(materialize("documents", {2}, 3, 3, 0, {data[0], data[1]}), Bits({1, 1, 0, 0, 0, 0, 0, 0, 1}));
    EXPECT_EQ(materialize("lengths", {1, 1, 1}, 2, 3, 0, {array({1, 2}), array({2, 1})}, 0), Bits({0, 0, 0, 0, 1, 1}));
    EXPECT_EQ(materialize("lengths", {0, 0, 1}, 2, 3, 0, {array({2, 1})}, 1), Bits({1, 0, 0, 1, 0, 0}));
}

TEST(MaskExpr, BlockListsHaveElementsInPartialBlocks)
{
    // Blocks of 2 x 3: (0, 1) whole; (1, 0) partial with elements (0, 2) and (1, 0).
    const Data data = {array({0, 1, 2}), array({1, 0}), array({-1, 0}), array({4, 0, 1, 0})};
    EXPECT_EQ(materialize("block_list", {2, 3, 2, 2, 4, 5}, 4, 5, 0, data),
              Bits({0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0}));
    EXPECT_EQ(materialize("transpose(block_list)", {2, 3, 2, 2, 4, 5}, 5, 4, 0, data),
              Bits({0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0, 0}));
}

TEST(MaskExpr, TablesOfRandomBlocksListAllRowsOrAllButTwo)
{
    const Data data = {array({2, 2, 0})}; // 1 head, 3 rows, 1 block each
    EXPECT_EQ(materialize("big_bird_table", {1, 1, 0, 1, 3, 1}, 3, 3, 0, data), Bits({1, 0, 1, 0, 1, 1, 1, 0, 1}));
    EXPECT_EQ(materialize("big_bird_table", {1, 1, 0, 1, 3, 1}, 5, 3, 7, data),
              Bits({1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0}));
    EXPECT_EQ(materialize("deepspeed_big_bird_table", {1, 1, 0, 1, 3, 1, 1}, 3, 3, 0, data),
              Bits({1, 0, 0, 0, 1, 0, 1, 0, 1}));
}

TEST(MaskExpr, ShiftsAndChoices)
{
    EXPECT_EQ(materialize("shift(diagonal)", {1, 0, -1, 0, 0, 0}, 3, 2), Bits({0, 0, 1, 0, 1, 1}));
    EXPECT_EQ(materialize("shift(diagonal)", {-1, 0, -1, 0, 0, 0}, 2, 3), Bits({1, 1, 0, 1, 1, 1}));
    EXPECT_EQ(materialize("shift(transpose(diagonal))", {0, 1, -1, 0, 0, 0}, 2, 3), Bits({0, 1, 1, 0, 0, 1}));
    for (const index_t n : {0, 1}) {
        const Bits expected = n == 0 ? Bits({1, 1, 1, 1}) : Bits({0, 0, 0, 0});
        EXPECT_EQ(materialize("per_head(full,not(full))", {}, 2, 2, n), expected);
        EXPECT_EQ(materialize("per_sample(full,not(full))", {}, 2, 2, 0, {}, n), expected);
    }
}

TEST(MaskExpr, SaysWhatVaries)
{
    const auto varies = [](const char* structure, const std::vector<int64_t>& params, const Data& data = {}) {
        const auto mask = build_mask(structure, params, data);
        return std::pair(mask->varies_by_head(), mask->varies_by_batch());
    };
    EXPECT_EQ(varies("per_head(full,full)", {}), std::pair(true, false));
    EXPECT_EQ(varies("per_head(full)", {}), std::pair(false, false));
    EXPECT_EQ(varies("not(per_sample(full,per_head(full,full)))", {}), std::pair(true, true));
    EXPECT_EQ(varies("lengths", {0, 1, 0}, {array({1, 2})}), std::pair(false, true));
    EXPECT_EQ(varies("lengths", {0, 1, 0}, {array({1})}), std::pair(false, false));
    EXPECT_EQ(varies("deepspeed_fixed", {16, 4, 1, 2, 0, 0}), std::pair(true, false));
    EXPECT_EQ(varies("deepspeed_fixed", {16, 4, 1, 1, 0, 0}), std::pair(false, false));
    EXPECT_EQ(varies("big_bird_table", {1, 1, 0, 2, 1, 1}, {array({0, 0})}), std::pair(true, false));
    EXPECT_EQ(varies("big_bird_table", {1, 1, 0, 1, 1, 1}, {array({0})}), std::pair(false, false));
}

// The counts that schedules are made of agree with walking, for every leaf, whatever the path they are counted by.
TEST(MaskExpr, LineCountsAreLengthsOfWalks)
{
    struct Case {
        const char* structure;
        std::vector<int64_t> params;
        Data data;
    };
    const Case cases[] = {
        {"full", {}, {}},
        {"diagonal", {5, 2, 1, 3}, {}},
        {"prefix_lm", {9, 1}, {}},
        {"longformer", {8, 3, 5}, {}},
        {"longformer_tokens", {8, 2}, {array({0, 17, 18, 80})}},
        {"big_bird", {8, 3, 1, 2, 5}, {}},
        {"strided", {4, 30}, {}},
        {"fixed", {33, 2}, {}},
        {"documents", {1}, {array({0, 10, 40, 90}), array({0, 30, 31, 75})}},
        {"lengths", {1, 1, 1}, {array({50}), array({60})}},
        {"neighborhood", {2, 0, 9, 3, 1, 0, 10, 5, 2, 0}, {}},
        {"deepspeed_fixed", {4, 4, 1, 2, 0, 1}, {}},
        {"deepspeed_variable", {4, 1, 0}, {array({2, 3}), array({0, 9}), array({1, 11})}},
        {"deepspeed_longformer", {4, 3, 0}, {array({3}), array({5})}},
        {"deepspeed_big_bird", {4, 3, 1, 2, 8, 1}, {}},
        {"transpose(strided)", {4, 30}, {}},
        {"shift(strided)", {7, -3, 4, 30}, {}},
        {"and(big_bird,diagonal)", {8, 3, 1, 2, 5, -1, 0, 0, 0}, {}},
    };
    for (const Case& c : cases)
        for (const ck_tile_masks::DynamicTile tile : {ck_tile_masks::DynamicTile{64, 64}, {8, 16}, {7, 5}}) {
            const ck_tile_masks::MaskCall call{0, 0, 90, 75};
            const auto bound = build_mask(c.structure, c.params, c.data)->bind(call);
            const TiledMask tiled(MaskRef(*bound), call, tile);
            std::vector<index_t> rows(tiled.num_tiles_y()), cols(tiled.num_tiles_x());
            bound->count_live_tiles(ck_tile_masks::Axis::rows, call, tile, 0, tiled.num_tiles_y(), rows.data());
            bound->count_live_tiles(ck_tile_masks::Axis::cols, call, tile, 0, tiled.num_tiles_x(), cols.data());
            for (index_t i = 0; i < tiled.num_tiles_y(); ++i) {
                for (auto j = tiled.GetTileIndexIteratorAlongX(i); !j.at_end(); j.advance())
                    --rows[i], --cols[j.current()];
                EXPECT_EQ(rows[i], 0) << c.structure << " row " << i << " tile " << tile.tile_y;
            }
            for (index_t j = 0; j < tiled.num_tiles_x(); ++j)
                EXPECT_EQ(cols[j], 0) << c.structure << " column " << j << " tile " << tile.tile_x;
        }
}

} // namespace
} // namespace ck_fmha
