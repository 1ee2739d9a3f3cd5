#pragma once

#include "ck_tile_masks/block_lines.hpp"

// DeepSpeed's block Longformer: a sliding window of blocks, and global blocks that attend and are attended everywhere.
// Blocks of b x b elements, G the union of the listed intervals of blocks:
//
//     block (I, J) attended iff  |I - J| <= floor(window / 2)  or  I in G  or  J in G
//     unidirectional:       and  J <= I
//
//      window 3, G { 0, 4 }:    # # # # # # #          unidirectional:    # . . . . . .
//                               # # # . # . .                             # # . . . . .
//                               # # # # # . .                             # # # . . . .
//                               # . # # # . .                             # . # # . . .
//                               # # # # # # #                             # # # # # . .
//                               # . . . # # #                             # . . . # # .
//                               # . . . # # #                             # . . . # # #
//
// Source: DeepSpeed, Microsoft, deepspeed/ops/sparse_attention/sparsity_config.py, BSLongformerSparsityConfig, after
// Beltagy, Peters, Cohan, "Longformer: The Long-Document Transformer", 2020. Blocks of rows and columns are compared as
// they are when seqlen_q != seqlen_k.

namespace ck_tile_masks {

struct DeepSpeedLongformer : BlockLines<DeepSpeedLongformer> {
    index_t block_size;
    index_t window_reach; // blocks on each side of the diagonal
    BlockIntervals global;
    bool unidirectional;

    CK_TILE_MASKS_HD constexpr DeepSpeedLongformer(index_t block_size_, index_t num_window_blocks,
                                                   IndexSpan global_begin, IndexSpan global_end,
                                                   bool unidirectional_ = false)
        : block_size(block_size_),
          window_reach(num_window_blocks / 2),
          global{global_begin, global_end},
          unidirectional(unidirectional_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "deepspeed_longformer"; }
    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        global.for_each_array(visit);
    }
    CK_TILE_MASKS_HD constexpr index_t block_y() const { return block_size; }
    CK_TILE_MASKS_HD constexpr index_t block_x() const { return block_size; }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_run(index_t line, index_t from) const
    {
        const Interval part = unidirectional ? unidirectional_part<kAxis>(line) : onward(0);
        const Interval ahead = overlap(part, onward(from));
        if (global.next(line).contains(line)) return ahead;
        return first_of(overlap(window_part(line, window_reach), ahead), overlap(global.next(ahead.begin), ahead));
    }

    // The windows of the band join to one interval. Its lines attend global blocks elsewhere only in one direction if
    // they are unidirectional, and a global line all that any line of the band attends.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_tiles(index_t b0, index_t b1, const BlockTiling& tiling) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        const index_t end = tiling.num_blocks();
        const Interval part{unidirectional && !rows ? b0 : 0, unidirectional && rows ? min(b1, end) : end};
        if (global.next(b0).begin < b1) return tiling.touched(part.begin, part.end);
        const Interval windows{max(b0 - window_reach, part.begin), min(sat_add(b1, window_reach), part.end)};
        return tiles_beside(windows, tiling, [&](index_t lo, index_t hi) {
            const index_t begin = max(lo, tiling.begin_of(part.begin)),
                          end_of_part = min(hi, tiling.begin_of(part.end));
            return begin < end_of_part ? global.count_tiles(begin, end_of_part, kIndexMax, tiling) : 0;
        });
    }
};

} // namespace ck_tile_masks
