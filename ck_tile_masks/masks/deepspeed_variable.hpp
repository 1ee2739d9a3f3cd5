#pragma once

#include "ck_tile_masks/masks/deepspeed_fixed.hpp"

// DeepSpeed's variable layout: local windows of listed sizes, one after the other, the last size repeated, and listed
// global blocks. Blocks of b x b elements:
//
//     block (I, J) attended iff  I and J in the same window       unidirectional: and J <= I
//                            or  J in a global interval           unidirectional: and I >= the interval's begin
//                            or  I in a global interval           only if wished, not unidirectional
//
//      windows 1, 3, 2, 2, ..., global { 2 }:    # . # . . . .      unidirectional:    # . . . . . .
//                                                . # # # . . .                         . # . . . . .
//                                                . # # # . . .                         . # # . . . .
//                                                . # # # . . .                         . # # # . . .
//                                                . . # . # # .                         . . # . # . .
//                                                . . # . # # .                         . . # . # # .
//                                                . . # . . . #                         . . # . . . #
//
// Source: DeepSpeed, Microsoft, deepspeed/ops/sparse_attention/sparsity_config.py, VariableSparsityConfig without its
// random blocks, after Child et al., "Generating Long Sequences with Sparse Transformers", 2019. With unidirectional
// attention an interval is not the same as its parts: its first row sees all of it.

namespace ck_tile_masks {

struct VariableLayout {
    IndexSpan window_ends;
    BlockIntervals global;

    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        window_ends.for_each_array(visit);
        global.for_each_array(visit);
    }

    CK_TILE_MASKS_HD constexpr Interval window_of(index_t block) const
    {
        const index_t n = window_ends.upper_bound(block);
        const index_t begin = n > 0 ? window_ends[n - 1] : 0;
        if (n < window_ends.size) return {begin, window_ends[n]};
        if (n == 0) return {}; // no windows at all
        const index_t repeated = begin - (n > 1 ? window_ends[n - 2] : 0);
        const index_t last_begin = block - (block - begin) % repeated;
        return {last_begin, sat_add(last_begin, repeated)};
    }

    // What of an interval lies past the last block is outside the sequence: the count of blocks does not matter.
    CK_TILE_MASKS_HD constexpr Interval next_global(index_t from, index_t /*count*/, index_t last) const
    {
        const Interval run = global.next(from);
        return run.begin <= last ? run : no_run();
    }
    CK_TILE_MASKS_HD constexpr index_t count_global_tiles(index_t lo, index_t hi, index_t last,
                                                          const BlockTiling& tiling) const
    {
        return global.count_tiles(lo, hi, last, tiling);
    }
};

// window_ends: running sums of the sizes of the windows, ascending and unique. Global intervals: see BlockIntervals.
struct DeepSpeedVariable : MaskDefABC<DeepSpeedVariable> {
    index_t block_size;
    VariableLayout layout;
    bool unidirectional;
    bool horizontal_global;

    CK_TILE_MASKS_HD constexpr DeepSpeedVariable(index_t block_size_, IndexSpan window_ends, IndexSpan global_begin,
                                                 IndexSpan global_end, bool unidirectional_ = false,
                                                 bool horizontal_global_ = false)
        : block_size(block_size_),
          layout{window_ends, {global_begin, global_end}},
          unidirectional(unidirectional_),
          horizontal_global(horizontal_global_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "deepspeed_variable"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        BoundLocalGlobal<DeepSpeedVariable, VariableLayout> bound{};
        bound.block_size = block_size;
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.unidirectional = unidirectional;
        bound.horizontal_global = horizontal_global && !unidirectional;
        bound.layout = layout;
        return bound;
    }
};

} // namespace ck_tile_masks
