#pragma once

#include "ck_tile_masks/block_lines.hpp"

// DeepSpeed's fixed layout: local windows of l blocks, g blocks of each of which are global. Blocks of b x b elements,
// nq = ceil(Sq / b), nk = ceil(Sk / b), f = l - (1 + head mod patterns) * g:
//
//     block (I, J) attended iff  I / l == J / l                    unidirectional: and J <= I                (local)
//                            or  J in a global run                 unidirectional: and I >= the run's begin  (vertical)
//                            or  I in a global run of the rows     only if wished, not unidirectional (horizontal)
//
//     global runs of n blocks: [s + f, s + f + g) for each whole window, s = 0, l, 2l, ...; for a shorter last window
//     at e, as far as it goes: [t, t + g) with t = min(e + f, n - g)
//
//      l 3, g 1, head 0:    # # # . . # . #       head 1:    # # # . # . . #      unidirectional:    # . . . . . . .
//                           # # # . . # . #                  # # # . # . . #      head 0             # # . . . . . .
//                           # # # . . # . #                  # # # . # . . #                         # # # . . . . .
//                           . . # # # # . #                  . # . # # # . #                         . . # # . . . .
//                           . . # # # # . #                  . # . # # # . #                         . . # # # . . .
//                           . . # # # # . #                  . # . # # # . #                         . . # # # # . .
//                           . . # . . # # #                  . # . . # . # #                         . . # . . # # .
//                           . . # . . # # #                  . # . . # . # #                         . . # . . # # #
//
// Source: DeepSpeed, Microsoft, deepspeed/ops/sparse_attention/sparsity_config.py, FixedSparsityConfig, after Child et
// al., "Generating Long Sequences with Sparse Transformers", 2019, section 4. It is square there.

namespace ck_tile_masks {

// Local windows of blocks plus global runs of blocks, wherever these lie. `Layout` has
//
//     Interval window_of(index_t block) const;
//         the window that contains the block
//     Interval next_global(index_t from, index_t count, index_t last) const;
//         of the global runs of `count` blocks that begin at `last` or before, the first that ends after `from`, alone
//         or joined by those that follow without a gap; or no_run(). Runs ascend, and may touch or overlap.
//     index_t count_global_tiles(index_t lo, index_t hi, index_t last, const BlockTiling& tiling) const;
//         the number of tiles in which these runs, of the tiling's count of blocks, have positions of [lo, hi); lo and
//         hi are borders of tiles or the ends
template <class Definition, class Layout>
struct BoundLocalGlobal : BlockLines<BoundLocalGlobal<Definition, Layout>> {
    index_t block_size;
    index_t num_blocks_q;
    index_t num_blocks_k;
    bool unidirectional;
    bool horizontal_global;
    Layout layout;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return Definition::get_name(); }
    template <class Visit, class L = Layout, class = contract::for_each_array_t<L>>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        layout.for_each_array(visit);
    }
    CK_TILE_MASKS_HD constexpr index_t block_y() const { return block_size; }
    CK_TILE_MASKS_HD constexpr index_t block_x() const { return block_size; }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_run(index_t line, index_t from) const
    {
        const Interval part = unidirectional ? unidirectional_part<kAxis>(line) : onward(0);
        const Interval local = overlap(overlap(layout.window_of(line), part), onward(from));
        return first_of(local, kAxis == Axis::rows ? next_in_row(line, from) : next_in_col(line, from));
    }

    // The windows of the band join to one interval, beside which global runs lie.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_tiles(index_t b0, index_t b1, const BlockTiling& tiling) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        const index_t end = tiling.num_blocks();
        const Interval first_window = layout.window_of(b0);
        Interval own{};
        if (!first_window.empty())
            own = {unidirectional && !rows ? b0 : first_window.begin,
                   min(unidirectional && rows ? b1 : layout.window_of(b1 - 1).end, end)};
        // A global line attends everything: from the first row of its run on, if unidirectional.
        const Interval run =
            rows && !horizontal_global ? no_run() : layout.next_global(b0, rows ? num_blocks_q : num_blocks_k, b1 - 1);
        if (run.begin < b1) own = {unidirectional ? (own.empty() ? run.begin : min(own.begin, run.begin)) : 0, end};
        return tiles_beside(own, tiling, [&](index_t lo, index_t hi) {
            if (lo >= hi || (!rows && !horizontal_global)) return 0;
            return layout.count_global_tiles(lo, hi, rows && unidirectional ? b1 - 1 : kIndexMax, tiling);
        });
    }

private:
    // Global blocks of row i.
    CK_TILE_MASKS_HD constexpr Interval next_in_row(index_t i, index_t from) const
    {
        if (horizontal_global && layout.next_global(i, num_blocks_q, i).contains(i)) return onward(from);
        return overlap(layout.next_global(from, num_blocks_k, unidirectional ? i : kIndexMax), onward(from));
    }
    // Global blocks of column j.
    CK_TILE_MASKS_HD constexpr Interval next_in_col(index_t j, index_t from) const
    {
        const Interval run = layout.next_global(j, num_blocks_k, j);
        if (run.contains(j)) return onward(unidirectional ? max(from, run.begin) : from);
        return horizontal_global ? overlap(layout.next_global(from, num_blocks_q, kIndexMax), onward(from)) : no_run();
    }
};

struct FixedLayout {
    index_t num_local;
    index_t num_global;
    index_t offset; // of the global run in its window

    CK_TILE_MASKS_HD constexpr Interval window_of(index_t block) const
    {
        const index_t begin = block / num_local * num_local;
        return {begin, sat_add(begin, num_local)};
    }

    CK_TILE_MASKS_HD constexpr Interval next_global(index_t from, index_t count, index_t last) const
    {
        Interval run = next_run_of(from, count);
        if (run.begin > last) return no_run();
        // Windows that are global from end to end: without this, a walk would take a step for each of them.
        if (num_global == num_local) run.end = max(run.end, last >= count - num_local ? count : window_of(last).end);
        return run;
    }
    // Runs of whole windows, at equal distances, up to the tile in which that of the shorter window begins.
    CK_TILE_MASKS_HD constexpr index_t count_global_tiles(index_t lo, index_t hi, index_t last,
                                                          const BlockTiling& tiling) const
    {
        const index_t count = tiling.num_blocks(), block = tiling.block();
        const index_t end_of_whole = count - count % num_local;
        const Interval rest = run_of_rest(count);
        const bool with_rest = rest.begin <= min(last, count - 1);
        index_t whole_end = min(hi, tiling.begin_of(end_of_whole)), rest_tiles = 0;
        if (with_rest) {
            const index_t rest_begin = tiling.begin_of(rest.begin), rest_end = tiling.begin_of(rest.end);
            whole_end = min(whole_end, tiling.first_tile(rest.begin) * tiling.tiling().size());
            rest_tiles = tiling.tiling().touched(max(rest_begin, lo), min(rest_end, hi));
        }
        if (last < end_of_whole)
            whole_end = last < offset ? 0 : min(whole_end, tiling.begin_of(window_of(last - offset).end));
        const SpacedRuns whole(sat_mul(offset, block), sat_mul(num_local, block), sat_mul(num_global, block), lo,
                               whole_end);
        return whole.tiles(tiling.tiling()) + rest_tiles;
    }

private:
    CK_TILE_MASKS_HD constexpr Interval next_run_of(index_t from, index_t count) const
    {
        index_t window = window_of(from).begin;
        if (from - window >= offset + num_global) window = sat_add(window, num_local);
        if (window < count - count % num_local) return {window + offset, window + offset + num_global};
        const Interval rest = run_of_rest(count);
        return from < rest.end ? rest : no_run();
    }
    // The run of the shorter last window, or no_run().
    CK_TILE_MASKS_HD constexpr Interval run_of_rest(index_t count) const
    {
        const index_t end_of_whole = count - count % num_local;
        if (end_of_whole == count) return no_run();
        const index_t begin = min(sat_add(end_of_whole, offset), count - num_global);
        const index_t end = min(sat_add(end_of_whole, offset + num_global), count);
        // Fewer blocks than global ones: the source slices [begin, end) with a negative begin, which Python counts from
        // the end.
        return {begin < 0 ? max(begin + count, 0) : begin, end};
    }
};

// @pre 1 <= num_global_patterns and num_global_patterns * num_global_blocks <= num_local_blocks
struct DeepSpeedFixed : MaskDefABC<DeepSpeedFixed> {
    index_t block_size;
    index_t num_local_blocks;
    index_t num_global_blocks;
    index_t num_global_patterns;
    bool unidirectional;
    bool horizontal_global;

    CK_TILE_MASKS_HD constexpr explicit DeepSpeedFixed(index_t block_size_ = 16, index_t num_local_blocks_ = 4,
                                                       index_t num_global_blocks_ = 1, index_t num_global_patterns_ = 1,
                                                       bool unidirectional_ = false, bool horizontal_global_ = false)
        : block_size(block_size_),
          num_local_blocks(num_local_blocks_),
          num_global_blocks(num_global_blocks_),
          num_global_patterns(num_global_patterns_),
          unidirectional(unidirectional_),
          horizontal_global(horizontal_global_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "deepspeed_fixed"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        const index_t pattern = call.head % num_global_patterns;
        BoundLocalGlobal<DeepSpeedFixed, FixedLayout> bound{};
        bound.block_size = block_size;
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.unidirectional = unidirectional;
        bound.horizontal_global = horizontal_global && !unidirectional;
        bound.layout = {num_local_blocks, num_global_blocks, num_local_blocks - (1 + pattern) * num_global_blocks};
        return bound;
    }
};

} // namespace ck_tile_masks
