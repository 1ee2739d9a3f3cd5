#pragma once

#include "ck_tile_masks/masks/big_bird_table.hpp"
#include "ck_tile_masks/permuted_blocks.hpp"

// DeepSpeed's Big Bird: global blocks at the begin only, and a unidirectional form. Blocks of b x b elements:
//
//     block (I, J) attended iff  I < g or J < g                                       (global)
//                            or  |I - J| <= floor(window / 2)                         (window)
//                            or  J in { p_0(I), ..., p_(r-1)(I) }                     (random)
//     unidirectional:       and  J <= I
//
//      g 1, window 3, r 1:    # # # # # # #          unidirectional:    # . . . . . .
//                             # # # . R . .                             # # . . . . .
//                             # # # # . . .                             # # # . . . .
//                             # . # # # . .                             # . # # . . .
//                             # R . # # # .                             # R . # # . .
//                             # . . . # # #                             # . . . # # .
//                             # . . . . # #                             # . . . . # #
//
// Source: DeepSpeed, Microsoft, deepspeed/ops/sparse_attention/sparsity_config.py, BigBirdSparsityConfig, after Zaheer
// et al., "Big Bird: Transformers for Longer Sequences", 2020. There a row draws its blocks on its own, unidirectional
// ones from [0, I]; here p_t are permutations keyed by (seed, head, t) as in masks/big_bird.hpp, of which
// unidirectional attention keeps the past. A layout that was drawn elsewhere is given as a table.

namespace ck_tile_masks {

struct DeepSpeedBigBird : MaskDefABC<DeepSpeedBigBird> {
    index_t block_size;
    index_t num_window_blocks;
    index_t num_global_blocks;
    index_t num_random_blocks;
    long_index_t seed;
    bool unidirectional;

    CK_TILE_MASKS_HD constexpr DeepSpeedBigBird(index_t block_size_, index_t num_window_blocks_,
                                                index_t num_global_blocks_, index_t num_random_blocks_,
                                                long_index_t seed_, bool unidirectional_ = false)
        : block_size(block_size_),
          num_window_blocks(num_window_blocks_),
          num_global_blocks(num_global_blocks_),
          num_random_blocks(num_random_blocks_),
          seed(seed_),
          unidirectional(unidirectional_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "deepspeed_big_bird"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        BoundRandomBlocks<DeepSpeedBigBird, PermutedBlocks> bound{};
        bound.block_size = block_size;
        bound.window_reach = num_window_blocks / 2;
        bound.num_global_begin = num_global_blocks;
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.unidirectional = unidirectional;
        bound.random = PermutedBlocks(num_random_blocks, seed, call.head, max(bound.num_blocks_q, bound.num_blocks_k));
        return bound;
    }
};

struct DeepSpeedBigBirdTable : MaskDefABC<DeepSpeedBigBirdTable> {
    index_t block_size;
    index_t num_window_blocks;
    index_t num_global_blocks;
    BlockTable random;
    bool unidirectional;

    CK_TILE_MASKS_HD constexpr DeepSpeedBigBirdTable(index_t block_size_, index_t num_window_blocks_,
                                                     index_t num_global_blocks_, const BlockTable& random_,
                                                     bool unidirectional_ = false)
        : block_size(block_size_),
          num_window_blocks(num_window_blocks_),
          num_global_blocks(num_global_blocks_),
          random(random_),
          unidirectional(unidirectional_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "deepspeed_big_bird_table"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        BoundRandomBlocks<DeepSpeedBigBirdTable, ListedBlocks> bound{};
        bound.block_size = block_size;
        bound.window_reach = num_window_blocks / 2;
        bound.num_global_begin = num_global_blocks;
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.unidirectional = unidirectional;
        bound.random.table = random.of_head(call.head);
        return bound;
    }
};

} // namespace ck_tile_masks
