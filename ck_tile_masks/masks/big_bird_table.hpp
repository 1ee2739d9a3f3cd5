#pragma once

#include "ck_tile_masks/band_counts.hpp"
#include "ck_tile_masks/block_lines.hpp"
#include "ck_tile_masks/block_table.hpp"

// Big Bird with its random blocks given as a table, the form in which trained models carry them. Blocks of b x b
// elements, nq = ceil(Sq / b), nk = ceil(Sk / b):
//
//     block (I, J) attended iff  I < g or J < g or I >= nq - g or J >= nk - g         (global)
//                            or  |I - J| <= (window - 1) / 2                          (window)
//                            or  J listed for row I of this head                      (random)
//
//      g 1, window 3; block 1 is listed for row 4, block 4 for row 2:    # # # # # # #
//                                                                        # # # . . . #
//                                                                        # # # # R . #
//                                                                        # . # # # . #
//                                                                        # R . # # # #
//                                                                        # . . . # # #
//                                                                        # # # # # # #
//
// Source: Zaheer et al., "Big Bird: Transformers for Longer Sequences", 2020, section 2 and appendix D. A set: a block
// listed twice, or listed and in the window, counts once. Rows past the table have no random blocks.

namespace ck_tile_masks {

// Big Bird's blocks, whatever the random ones come from, and those of its relatives: global blocks at the begin and the
// end, counted apart, and unidirectional attention, where no block J > I is attended.
//
// `Random` has `template <Axis kAxis> Interval next_run(index_t line, index_t from) const`, see BlockLines, and
//
//     template <Axis kAxis> index_t list(index_t line, Interval part, index_t* blocks, index_t room) const;
//         writes the line's blocks inside `part` and returns their number; if it is above `room`, writes none
//
// and count_bands as PermutedBlocks.
template <class Definition, class Random>
struct BoundRandomBlocks : BlockLines<BoundRandomBlocks<Definition, Random>> {
    using Base = BlockLines<BoundRandomBlocks>;

    index_t block_size;
    index_t window_reach; // blocks on each side of the diagonal
    index_t num_global_begin;
    index_t num_global_end;
    index_t num_blocks_q;
    index_t num_blocks_k;
    bool unidirectional;
    Random random;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return Definition::get_name(); }
    template <class Visit, class R = Random, class = contract::for_each_array_t<R>>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        random.for_each_array(visit);
    }
    CK_TILE_MASKS_HD constexpr index_t block_y() const { return block_size; }
    CK_TILE_MASKS_HD constexpr index_t block_x() const { return block_size; }

    // Random blocks are the dear part: they are not asked where others answer at once.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_run(index_t line, index_t from) const
    {
        const Interval regular = next_regular_run<kAxis>(line, from), ahead = part_ahead<kAxis>(line, from);
        if (regular.begin == ahead.begin) return regular;
        return first_of(regular, overlap(random.template next_run<kAxis>(line, ahead.begin), ahead));
    }

    // Global blocks and the window.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_regular_run(index_t line, index_t from) const
    {
        const index_t lines = kAxis == Axis::rows ? num_blocks_q : num_blocks_k;
        const index_t positions = kAxis == Axis::rows ? num_blocks_k : num_blocks_q;
        const Interval ahead = part_ahead<kAxis>(line, from);
        if (line < num_global_begin || line >= lines - num_global_end) return ahead;
        const Interval begin = overlap({0, num_global_begin}, ahead);
        const Interval window = overlap(window_part(line, window_reach), ahead);
        const Interval end = overlap({positions - num_global_end, positions}, ahead);
        return first_of(begin, first_of(window, end));
    }

    // The windows of the band join to one interval.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t count_tiles(index_t b0, index_t b1, const BlockTiling& tiling) const
    {
        const index_t end = tiling.num_blocks();
        if (unidirectional && num_global_end > 0) return kUnknownCount; // nobody has both
        if (attends_all_of_part<kAxis>(b0, b1)) return regular_tiles<kAxis>(b0, b1, tiling).count();

        // All random blocks before the first comparison, so that they need not wait for each other.
        constexpr index_t kRoom = 24;
        index_t blocks[kRoom] = {};
        index_t num_blocks = 0;
        for (index_t line = b0; line < b1; ++line) {
            const Interval part_of_line = unidirectional ? unidirectional_part<kAxis>(line) : Interval{0, end};
            const index_t count = random.template list<kAxis>(line, overlap(part_of_line, {0, end}),
                                                              blocks + num_blocks, kRoom - num_blocks);
            if (count > kRoom - num_blocks) return kUnknownCount;
            num_blocks += count;
        }
        return regular_tiles<kAxis>(b0, b1, tiling).count_with(tiling, blocks, num_blocks);
    }
    CK_TILE_MASKS_HD bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        return count_bands<Axis::rows>(rows, counts) || Base::count_live_tiles_of_rows(rows, counts);
    }
    CK_TILE_MASKS_HD bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        return count_bands<Axis::cols>(cols, counts) || Base::count_live_tiles_of_cols(cols, counts);
    }

private:
    template <Axis kAxis>
    CK_TILE_MASKS_HD bool count_bands(const TileLines& bands, index_t* counts) const
    {
        if (unidirectional && num_global_end > 0) return false;
        const BlockTiling tiling(block_size, bands.tile_along, bands.num_along);
        const index_t end = tiling.num_blocks();
        return random.template count_bands<kAxis>(
            bands, tiling, counts,
            [=](index_t line, index_t position) {
                return (position < end) &
                       (!unidirectional | (kAxis == Axis::rows ? position <= line : position >= line));
            },
            [&](index_t b0, index_t b1) { return regular_tiles<kAxis>(b0, b1, tiling); });
    }

    // Does some line of the band attend all that it may? What a global row attends if it is unidirectional are the
    // global columns.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool attends_all_of_part(index_t b0, index_t b1) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        const index_t lines = rows ? num_blocks_q : num_blocks_k;
        return (b0 < num_global_begin || b1 > lines - num_global_end) && !(unidirectional && rows);
    }
    // The tiles of a band's global and window blocks.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr RegularTiles regular_tiles(index_t b0, index_t b1, const BlockTiling& tiling) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        const index_t end = tiling.num_blocks();
        const Interval part{unidirectional && !rows ? min(b0, end) : 0, unidirectional && rows ? min(b1, end) : end};
        RegularTiles tiles;
        const auto add = [&](index_t first, index_t last_end) {
            const index_t begin = max(first, part.begin), stop = min(last_end, part.end);
            if (begin < stop) tiles.add(tiling.first_tile(begin), tiling.last_tile(stop - 1));
        };
        if (attends_all_of_part<kAxis>(b0, b1)) {
            add(0, end);
            return tiles;
        }
        // A window that begins among the last global blocks adds nothing to them.
        const index_t last_global = max(end - num_global_end, 0);
        add(0, num_global_begin);
        add(sat_sub(b0, window_reach), min(sat_add(b1, window_reach), last_global));
        add(last_global, end);
        return tiles;
    }

    // Where the line may attend, from `from` on.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval part_ahead(index_t line, index_t from) const
    {
        return overlap(unidirectional ? unidirectional_part<kAxis>(line) : onward(0), onward(from));
    }
};

struct ListedBlocks {
    BlockTable table; // of one head

    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        table.for_each_array(visit);
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_run(index_t line, index_t from) const
    {
        const IndexSpan blocks = blocks_of<kAxis>(line);
        const index_t first = blocks.next(from);
        return first == kNone ? no_run() : Interval{first, blocks.next_missing(first)};
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t list(index_t line, Interval part, index_t* blocks, index_t room) const
    {
        const IndexSpan all = blocks_of<kAxis>(line);
        if (all.size <= room) { // short lists need no search
            index_t count = 0;
            for (index_t n = 0; n < all.size; ++n) {
                blocks[count] = all[n];
                count += part.contains(all[n]);
            }
            return count;
        }
        const index_t first = all.lower_bound(part.begin), count = all.lower_bound(part.end) - first;
        for (index_t n = 0; n < count && count <= room; ++n)
            blocks[n] = all[first + n];
        return count;
    }

    // As PermutedBlocks. Lines with long lists are not counted.
    template <Axis kAxis, class Keep, class Regular>
    CK_TILE_MASKS_HD bool count_bands(const TileLines& lines, const BlockTiling& tiling, index_t* counts, Keep keep,
                                      Regular regular) const
    {
        const index_t room = BandCounts::kMostTiles / BandCounts::tiles_of_block(tiling.block(), lines.tile_along);
        const Tiling across(tiling.block());
        for (index_t first = lines.begin; first < lines.end; first = sat_add(first, BandCounts::kBands)) {
            BandCounts bands(lines, first, across, regular);
            index_t blocks[BandCounts::kBands][BandCounts::kMostTiles], num_blocks[BandCounts::kBands], most = 0;
            for (index_t n = 0; n < bands.size(); ++n) {
                index_t count = 0;
                for (index_t line = bands.begin(n); line < bands.end(n) && count <= room; ++line) {
                    const IndexSpan listed = blocks_of<kAxis>(line);
                    for (index_t m = 0; m < listed.size && count <= room; ++m) {
                        if (count < room) blocks[n][count] = listed[m];
                        count += keep(line, listed[m]);
                    }
                }
                num_blocks[n] = count;
                if (count <= room) most = max(most, count);
            }
            for (index_t m = 0; m < most; ++m)
                bands.add_blocks(tiling, [&](index_t n) { return m < num_blocks[n] ? blocks[n][m] : -1; });
            bands.write(counts + (first - lines.begin));
            for (index_t n = 0; n < bands.size(); ++n)
                if (num_blocks[n] > room) counts[first - lines.begin + n] = kUnknownCount;
        }
        return true;
    }

private:
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr IndexSpan blocks_of(index_t line) const
    {
        return kAxis == Axis::rows ? table.cols_of(line) : table.rows_of(line);
    }
};

struct BigBirdTable : MaskDefABC<BigBirdTable> {
    index_t block_size;
    index_t num_window_blocks;
    index_t num_global_blocks;
    BlockTable random;

    CK_TILE_MASKS_HD constexpr BigBirdTable(index_t block_size_, index_t num_window_blocks_, index_t num_global_blocks_,
                                            const BlockTable& random_)
        : block_size(block_size_),
          num_window_blocks(num_window_blocks_),
          num_global_blocks(num_global_blocks_),
          random(random_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "big_bird_table"; }
    CK_TILE_MASKS_HD constexpr auto bind(const MaskCall& call) const
    {
        BoundRandomBlocks<BigBirdTable, ListedBlocks> bound{};
        bound.block_size = block_size;
        bound.window_reach = (num_window_blocks - 1) / 2;
        bound.num_global_begin = num_global_blocks;
        bound.num_global_end = num_global_blocks;
        bound.num_blocks_q = div_up(call.seqlen_q, block_size);
        bound.num_blocks_k = div_up(call.seqlen_k, block_size);
        bound.random.table = random.of_head(call.head);
        return bound;
    }
};

} // namespace ck_tile_masks
