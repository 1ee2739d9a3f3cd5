#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "fmha/mask_expr.hpp"
#include "fmha/mask_view.hpp"

namespace ck_fmha {
namespace {

std::vector<uint8_t> materialize(const char* structure, const std::vector<int64_t>& params, index_t sq, index_t sk,
                                 index_t head = 0)
{
    std::vector<uint8_t> out(static_cast<size_t>(sq) * sk);
    MaskView(*build_mask(structure, params), {0, head, sq, sk}).materialize(out.data());
    return out;
}

TEST(MaskExpr, BuildsWhatTheStructureSays)
{
    using Bits = std::vector<uint8_t>;
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
    const auto message = [](const std::string& structure, const std::vector<int64_t>& params) -> std::string {
        try {
            build_mask(structure, params);
        } catch (const std::invalid_argument& e) {
            return e.what();
        }
        return "";
    };
    const std::pair<std::string, std::string> cases[] = {
        {message("ful", {}), "no such mask definition at position 0"},
        {message("", {}), "no such mask definition at position 0"},
        {message("full)", {}), "unexpected text at position 4"},
        {message("and(full", {}), "expected ',' at position 8"},
        {message("and(full,full", {}), "expected ')' at position 13"},
        {message("not(full,full)", {}), "expected ')' at position 8"},
        {message("full", {1}), "takes 0 parameters, got 1"},
        {message("diagonal", {1, 2, 0}), "parameter num_sinks is missing"},
        {message("diagonal", {-2, 0, 0, 0}), "left must be in [-1, 2147483647], got -2"},
        {message("diagonal", {0, 0, 2, 0}), "alignment must be in [0, 1], got 2"},
        {message("prefix_lm", {-1, 0}), "prefix must be in [0, 2147483647], got -1"},
        {message("longformer", {3, 0, 1}), "window must be even, got 3"},
        {message("longformer", {4, 0, 0}), "dilation must be in [1, 2147483647], got 0"},
        {message("big_bird", {0, 3, 1, 3, 0}), "block_size must be in [1, 2147483647], got 0"},
        {message("big_bird", {64, 2, 1, 3, 0}), "num_window_blocks must be odd, got 2"},
    };
    for (const auto& [text, part] : cases)
        EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
    std::string deep;
    for (int n = 0; n < 100000; ++n)
        deep += "not(";
    EXPECT_NE(message(deep, {}).find("nested deeper than 200"), std::string::npos);
}

} // namespace
} // namespace ck_fmha
