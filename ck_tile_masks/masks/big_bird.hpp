#pragma once

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/permuted_blocks.hpp"
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
    index_t num_blocks_q;
    index_t num_blocks_k;
    PermutedBlocks random;

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
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        return count_live_tiles<Axis::rows>(i0, i1, BlockTiling(block_size, tile, seqlen_k));
    }
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return count_live_tiles<Axis::cols>(j0, j1, BlockTiling(block_size, tile, seqlen_q));
    }
    CK_TILE_MASKS_HD bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        return count_live_tiles<Axis::rows>(rows, counts);
    }
    CK_TILE_MASKS_HD bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        return count_live_tiles<Axis::cols>(cols, counts);
    }

    // Elements [j0, j0 + count) of row i, block by block: none of them has to be found.
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        const index_t line = i / block_size;
        if (is_global(line, num_blocks_q)) return low_bits(count);
        const Interval piece{j0, j0 + count};
        bits_t bits = bits_of_blocks(0, num_global, piece) |
                      bits_of_blocks(sat_sub(line, window_reach), sat_add(sat_add(line, window_reach), 1), piece) |
                      bits_of_blocks(num_blocks_k - num_global, num_blocks_k, piece);
        for (index_t t = 0; t < random.num_random; ++t) {
            const index_t block = random.draw<Axis::rows>(line, t);
            bits |= bits_of_blocks(block, block + 1, piece);
        }
        return bits;
    }

private:
    CK_TILE_MASKS_HD constexpr bits_t bits_of_blocks(index_t begin, index_t end, Interval piece) const
    {
        const index_t first = max(sat_mul(begin, block_size), piece.begin);
        const index_t last = min(sat_mul(end, block_size), piece.end);
        return first < last ? low_bits(last - first) << (first - piece.begin) : 0;
    }

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
    CK_TILE_MASKS_HD constexpr bool drawn(index_t line, index_t position) const
    {
        for (index_t t = 0; t < random.num_random; ++t)
            if (random.draw<kAxis>(line, t) == position) return true;
        return false;
    }
    CK_TILE_MASKS_HD constexpr bool is_global(index_t block, index_t num_blocks) const
    {
        return block < num_global || block >= num_blocks - num_global;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool is_global_band(index_t b0, index_t b1) const
    {
        return is_global(b0, lines<kAxis>()) || is_global(b1 - 1, lines<kAxis>());
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t next_live(index_t b0, index_t b1, index_t from) const
    {
        const index_t end = positions<kAxis>();
        if (from >= end) return kNone;
        if (is_global_band<kAxis>(b0, b1) || is_global(from, end)) return from;
        index_t first = num_global > 0 ? end - num_global : kNone;
        // The windows of neighbouring lines join to one interval.
        const index_t window_begin = sat_sub(b0, window_reach), window_end = sat_add(b1, window_reach);
        if (from < window_end) first = min(first, max(from, window_begin));
        for (index_t line = b0; line < b1 && first > from; ++line)
            for (index_t t = 0; t < random.num_random; ++t) {
                const index_t position = random.draw<kAxis>(line, t);
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
        if (is_global_band<kAxis>(b0, b1) || position >= end - num_global) return end;
        if (position < num_global) return num_global;
        return position >= sat_sub(b0, window_reach) && position < window_end ? window_end : position + 1;
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_live_tiles(index_t e0, index_t e1, const BlockTiling& tiling) const
    {
        const index_t b0 = e0 / block_size, b1 = (e1 - 1) / block_size + 1;
        if (is_global_band<kAxis>(b0, b1)) return tiling.touched(0, tiling.num_blocks());
        // All draws before the first comparison, so that they need not wait for each other.
        if (static_cast<long_index_t>(b1 - b0) * random.num_random > PermutedBlocks::kMostOfBand) return kUnknownCount;
        index_t drawn[PermutedBlocks::kMostOfBand] = {};
        index_t num_drawn = 0;
        for (index_t line = b0; line < b1; ++line)
            for (index_t t = 0; t < random.num_random; ++t) {
                drawn[num_drawn] = random.draw<kAxis>(line, t);
                num_drawn += drawn[num_drawn] < tiling.num_blocks();
            }
        return regular_tiles<kAxis>(b0, b1, tiling).count_with(tiling, drawn, num_drawn);
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD bool count_live_tiles(const TileLines& bands, index_t* counts) const
    {
        const BlockTiling tiling(block_size, bands.tile_along, bands.num_along);
        return random.count_bands<kAxis>(
            bands, tiling, counts, [&](index_t, index_t position) { return position < tiling.num_blocks(); },
            [&](index_t b0, index_t b1) { return regular_tiles<kAxis>(b0, b1, tiling); });
    }
    // The tiles of a band's global and window blocks.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr RegularTiles regular_tiles(index_t b0, index_t b1, const BlockTiling& tiling) const
    {
        RegularTiles tiles;
        const index_t end = tiling.num_blocks();
        if (is_global_band<kAxis>(b0, b1)) {
            tiles.add_blocks(tiling, 0, end);
            return tiles;
        }
        // A window that begins among the last global blocks adds nothing to them.
        const index_t global_begin = max(end - num_global, 0);
        tiles.add_blocks(tiling, 0, min(num_global, end));
        tiles.add_blocks(tiling, max(b0 - window_reach, 0), min(sat_add(b1, window_reach), global_begin));
        tiles.add_blocks(tiling, global_begin, end);
        return tiles;
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
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.random = PermutedBlocks(num_random_blocks, seed, call.head, max(bound.num_blocks_q, bound.num_blocks_k));
        return bound;
    }
};

} // namespace ck_tile_masks
