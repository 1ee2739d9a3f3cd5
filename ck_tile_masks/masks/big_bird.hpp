#pragma once

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/permutation.hpp"
#include "ck_tile_masks/tile_counts.hpp"
#include "ck_tile_masks/tile_schedule.hpp"

// Big Bird: global, window and random blocks. Blocks of b x b elements, nq = ceil(Sq / b), nk = ceil(Sk / b):
//
//     block (I, J) attended iff  I < g or J < g or I >= nq - g or J >= nk - g         (global)
//                            or  |I - J| <= (window - 1) / 2                          (window)
//                            or  J in { p_0(I), ..., p_(r-1)(I) }                     (random)
//
//      g 1, window 3, r 1:    # # # # # # # #
//                             # # # . . R . #
//                             # # # # . . . #
//                             # R # # # . . #
//                             # . . # # # . #
//                             # . . . # # # #
//                             # . R . . # # #
//                             # # # # # # # #
//
// Source: Zaheer et al., "Big Bird: Transformers for Longer Sequences", 2020, section 2 and appendix D. There a row
// draws its blocks on its own; here p_t are invertible permutations of the blocks keyed by (seed, head, t), so that the
// column walk uses their inverses, and each column is drawn exactly r times. With nq != nk the larger count is permuted
// and what falls outside is dropped.

namespace ck_tile_masks {

struct BoundBigBird : MaskDefABC<BoundBigBird> {
    static constexpr bool IsTileMask = true;

    index_t block_size;
    index_t window_reach; // blocks on each side of the diagonal
    index_t num_global;
    index_t num_random;
    index_t num_blocks_q;
    index_t num_blocks_k;
    hash_t key;
    KeyedPermutation permutation;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "big_bird"; }
    CK_TILE_MASKS_HD constexpr index_t block_y() const { return block_size; }
    CK_TILE_MASKS_HD constexpr index_t block_x() const { return block_size; }

    CK_TILE_MASKS_HD constexpr bool tile_mask_func(index_t i, index_t j) const
    {
        const index_t distance = i < j ? j - i : i - j;
        return is_global(i, num_blocks_q) || is_global(j, num_blocks_k) || distance <= window_reach ||
               drawn<Axis::rows>(i, j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_block_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_live<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_block_col(index_t i0, index_t i1, index_t from_j) const
    {
        return next_not_full<Axis::rows>(i0, i1, from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_block_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_live<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_block_row(index_t j0, index_t j1, index_t from_i) const
    {
        return next_not_full<Axis::cols>(j0, j1, from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_block_col(index_t i0, index_t i1, index_t j) const
    {
        return live_run_end<Axis::rows>(i0, i1, j);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_block_row(index_t j0, index_t j1, index_t i) const
    {
        return live_run_end<Axis::cols>(j0, j1, i);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_block_col_tiles(index_t i0, index_t i1, index_t tile,
                                                                  index_t num_cols) const
    {
        return count_live_tiles<Axis::rows>(i0, i1, tile, num_cols);
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_block_row_tiles(index_t j0, index_t j1, index_t tile,
                                                                  index_t num_rows) const
    {
        return count_live_tiles<Axis::cols>(j0, j1, tile, num_rows);
    }

private:
    // A line is a row of blocks (Axis::rows) or a column of them; positions run along it.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t lines() const
    {
        return kAxis == Axis::rows ? num_blocks_q : num_blocks_k;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t positions() const
    {
        return kAxis == Axis::rows ? num_blocks_k : num_blocks_q;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t random_position(index_t line, index_t t) const
    {
        const hash_t stream = combine(key, static_cast<hash_t>(t));
        return kAxis == Axis::rows ? permutation.forward(line, stream) : permutation.inverse(line, stream);
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool drawn(index_t line, index_t position) const
    {
        for (index_t t = 0; t < num_random; ++t)
            if (random_position<kAxis>(line, t) == position) return true;
        return false;
    }
    CK_TILE_MASKS_HD constexpr bool is_global(index_t block, index_t num_blocks) const
    {
        return block < num_global || block >= num_blocks - num_global;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        const index_t end = positions<kAxis>();
        if (from >= end) return kNone;
        if (is_global(b0, lines<kAxis>()) || is_global(b1 - 1, lines<kAxis>()) || is_global(from, end)) return from;
        index_t first = num_global > 0 ? end - num_global : kNone;
        // The windows of neighbouring lines join to one interval.
        const index_t window_begin = sat_sub(b0, window_reach), window_end = sat_add(b1, window_reach);
        if (from < window_end) first = min(first, max(from, window_begin));
        for (index_t line = b0; line < b1 && first > from; ++line)
            for (index_t t = 0; t < num_random; ++t) {
                const index_t position = random_position<kAxis>(line, t);
                if (position >= from && position < first && position < end) first = position;
            }
        return first < end ? first : kNone;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_not_full(index_t b0, index_t b1, index_t from) const
    {
        index_t first = kNone;
        for (index_t line = b0; line < b1 && first > from; ++line)
            if (!is_global(line, lines<kAxis>())) first = min(first, end_of_run<kAxis>(line, from));
        return first;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t live_run_end(index_t b0, index_t b1, index_t position) const
    {
        const index_t end = positions<kAxis>(), window_end = sat_add(b1, window_reach);
        if (is_global(b0, lines<kAxis>()) || is_global(b1 - 1, lines<kAxis>()) || position >= end - num_global)
            return end;
        if (position < num_global) return num_global;
        return position >= sat_sub(b0, window_reach) && position < window_end ? window_end : position + 1;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_live_tiles(index_t b0, index_t b1, index_t tile, index_t end) const
    {
        const Tiling tiling(tile);
        if (is_global(b0, lines<kAxis>()) || is_global(b1 - 1, lines<kAxis>())) return tiling.touched(0, end);
        // All draws before the first comparison, so that they need not wait for each other.
        constexpr index_t kRoom = 24;
        if (static_cast<long_index_t>(b1 - b0) * num_random > kRoom) return kUnknownCount;
        index_t drawn[kRoom] = {};
        int num_drawn = 0;
        for (index_t line = b0; line < b1; ++line)
            for (index_t t = 0; t < num_random; ++t) {
                const index_t position = random_position<kAxis>(line, t);
                drawn[num_drawn] = tiling.tile_of(position);
                num_drawn += position < end;
            }
        TouchedTiles<3> regular;
        const auto add = [&](index_t first, index_t last_end) {
            if (first < last_end) regular.add(tiling.tile_of(first), tiling.tile_of(last_end - 1));
        };
        // A window that begins among the last global blocks adds nothing to them.
        const index_t global_begin = max(end - num_global, 0);
        add(0, min(num_global, end));
        add(max(b0 - window_reach, 0), min(sat_add(b1, window_reach), global_begin));
        add(global_begin, end);
        return regular.count_with(drawn, num_drawn);
    }

    // First position >= from that this (not global) line does not attend.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t end_of_run(index_t line, index_t from) const
    {
        const index_t end = positions<kAxis>();
        for (index_t position = from; position < end;) {
            if (position < num_global)
                position = num_global;
            else if (position >= end - num_global)
                break;
            else if (position >= sat_sub(line, window_reach) && position <= sat_add(line, window_reach))
                position = sat_add(sat_add(line, window_reach), 1);
            else if (drawn<kAxis>(line, position))
                ++position;
            else
                return position;
        }
        return kNone;
    }
};

struct BigBird : MaskDefABC<BigBird> {
    index_t block_size;
    index_t num_window_blocks;
    index_t num_global_blocks;
    index_t num_random_blocks;
    long_index_t seed;

    CK_TILE_MASKS_HD constexpr explicit BigBird(index_t block_size_ = 64, index_t num_window_blocks_ = 3,
                                                index_t num_global_blocks_ = 1, index_t num_random_blocks_ = 3,
                                                long_index_t seed_ = 0)
        : block_size(block_size_),
          num_window_blocks(num_window_blocks_),
          num_global_blocks(num_global_blocks_),
          num_random_blocks(num_random_blocks_),
          seed(seed_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "big_bird"; }
    CK_TILE_MASKS_HD constexpr BoundBigBird bind(const MaskCall& call) const
    {
        BoundBigBird bound{};
        bound.block_size = block_size;
        bound.window_reach = (num_window_blocks - 1) / 2;
        bound.num_global = num_global_blocks;
        bound.num_random = num_random_blocks;
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.key = combine(combine(static_cast<hash_t>(seed), static_cast<hash_t>(seed >> 32)),
                            static_cast<hash_t>(call.head));
        bound.permutation = KeyedPermutation(max(bound.num_blocks_q, bound.num_blocks_k));
        return bound;
    }
};

} // namespace ck_tile_masks
