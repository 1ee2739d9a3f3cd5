#pragma once

#include "gpu/tile/mma_m16n8k16.hpp"

// Results of the atom on their way to memory, four columns of a row in a lane. A lane holds kRowBlocks blocks of 16
// rows, of each the rows g and g + 8: row n of the lane is in block n / 2.

namespace ck_fmha::gpu {

// Of two neighbouring blocks of 8 columns, lanes with even numbers take their neighbours' share of the first and give
// theirs of the second, so that a lane holds four columns in a row. By all lanes.
template <index_t kRowBlocks, index_t kBlocks>
CK_FMHA_DEVICE void gather_quads(MmaAcc (&blocks)[kRowBlocks][kBlocks])
{
    const bool odd = lane_index() % 2 != 0;
    unroll<kRowBlocks>([&](auto m) {
        unroll<kBlocks / 2>([&](auto pair) {
            unroll<4>([&](auto e) {
                float &first = blocks[m][2 * pair][e], &second = blocks[m][2 * pair + 1][e];
                const float got = from_neighbour<1>(odd ? first : second);
                first = odd ? got : first;
                second = odd ? second : got;
            });
        });
    });
}

// After that: store(column, four values) for columns below `end` of this lane's row kRow.
template <index_t kRow, index_t kRowBlocks, index_t kBlocks, class Store>
CK_FMHA_DEVICE void for_each_quad(const MmaAcc (&blocks)[kRowBlocks][kBlocks], index_t end, const Store& store)
{
    constexpr index_t kElement = kRow % 2 * 2;
    const index_t of_lane = lane_index() % 2 * 8 + lane_index() % 4 / 2 * 4;
    unroll<kBlocks / 2>([&](auto pair) {
        const index_t column = 16 * pair + of_lane;
        if (column >= end) return;
        const MmaAcc &first = blocks[kRow / 2][2 * pair], &second = blocks[kRow / 2][2 * pair + 1];
        store(column, Float4{first[kElement], first[kElement + 1], second[kElement], second[kElement + 1]});
    });
}

} // namespace ck_fmha::gpu
