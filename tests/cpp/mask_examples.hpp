#pragma once

// Every definition, and every way to combine them, as run-time expressions of small sizes.

#include <memory>
#include <string>
#include <vector>

#include "fmha/mask_expr.hpp"

namespace ck_fmha {

struct MaskExample {
    std::string structure;
    std::vector<int64_t> params;
    std::vector<std::vector<index_t>> data = {};
    index_t seqlen_q = 150;
    index_t seqlen_k = 170;

    std::shared_ptr<const MaskExpr> build() const
    {
        std::vector<IndexArray> arrays;
        for (const std::vector<index_t>& numbers : data)
            arrays.push_back(std::make_shared<const std::vector<index_t>>(numbers));
        return build_mask(structure, params, arrays);
    }
};

// The data of tables: 2 heads, 10 rows of blocks of 16, 2 blocks each.
inline std::vector<index_t> example_random_blocks()
{
    std::vector<index_t> blocks;
    for (index_t head = 0; head < 2; ++head)
        for (index_t row = 0; row < 10; ++row)
            for (const index_t block : {(row * 7 + head * 3 + 5) % 11, (row * 3 + head + 1) % 11})
                blocks.push_back(block);
    return blocks;
}

// 3 rows and 3 columns of blocks of 64 x 70; the second and the last block are partial, of one bitmap each.
inline MaskExample example_block_list()
{
    std::vector<index_t> bitmaps;
    for (index_t word = 0; word < 2 * 64 * 4; ++word)
        bitmaps.push_back((word * 40503 + 77) ^ word << 20);
    return {"block_list", {64, 70, 3, 3, -1, -1}, {{0, 2, 3, 5}, {0, 1, 1, 0, 2}, {-1, 0, -1, -1, 1}, bitmaps}};
}

inline std::vector<MaskExample> mask_examples()
{
    const std::vector<index_t> random = example_random_blocks();
    return {
        {"full", {}},
        {"diagonal", {20, 7, 1, 3}},
        {"prefix_lm", {50, 0}},
        {"longformer", {32, 5, 2}},
        {"longformer_tokens", {16, 1}, {{3, 40, 41, 149, 160}}},
        {"big_bird", {16, 3, 1, 2, 42}},
        {"big_bird_table", {16, 3, 1, 2, 10, 2}, {random}},
        {"strided", {9, 13}},
        {"fixed", {24, 3}},
        {"documents", {2}, {{0, 60, 61, 140}, {0, 100, 120, 170}}},
        {"lengths", {1, 1, 1}, {{100, 149}, {170, 33}}},
        {"neighborhood", {2, 0, 10, 5, 1, 0, 15, 7, 2, 1}, {}, 150, 150},
        example_block_list(),
        {"deepspeed_fixed", {16, 4, 1, 2, 0, 1}},
        {"deepspeed_variable", {16, 0, 1}, {{2, 3}, {0, 4}, {1, 6}}},
        {"deepspeed_longformer", {16, 3, 0}, {{1, 5}, {2, 7}}},
        {"deepspeed_big_bird", {16, 3, 1, 1, 7, 1}},
        {"deepspeed_big_bird_table", {16, 3, 1, 2, 10, 2, 0}, {random}},
        {"and(big_bird,diagonal)", {16, 3, 1, 2, 42, -1, 0, 1, 0}},
        {"or(lengths,documents)", {0, 1, 0, 0}, {{90, 20}, {0, 60, 140}, {0, 100, 170}}},
        {"not(strided)", {9, 13}},
        {"transpose(deepspeed_variable)", {16, 1, 0}, {{2, 3}, {0, 4}, {1, 6}}},
        {"shift(prefix_lm)", {-20, 30, 11, 1}},
        {"and(or(not(diagonal),longformer_tokens),transpose(shift(strided)))",
         {5, 9, 0, 0, 16, 1, -8, 4, 9, 13},
         {{3, 40, 41, 149}}},
        {"per_head(diagonal,and(diagonal,longformer))", {-1, 0, 0, 0, 60, 0, 0, 0, 32, 5, 1}},
        {"per_sample(full,big_bird_table)", {16, 3, 0, 2, 10, 2}, {random}},
    };
}

} // namespace ck_fmha
