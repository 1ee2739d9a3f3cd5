#pragma once

#include "ck_tile_masks/tile_counts.hpp"

namespace ck_tile_masks {

// Up to three runs of tiles (global blocks, a window, global blocks), and how many tiles they and further ones are
// together.
class RegularTiles {
public:
    static constexpr int kRuns = 3;

    // Adds the tiles first .. last, none if last < first.
    // @pre called at most kRuns times, with ascending `first`
    CK_TILE_MASKS_HD constexpr void add(index_t first, index_t last)
    {
        first_[size_] = first;
        last_[size_++] = last;
        runs_.add(first, last);
    }
    // Adds the tiles of blocks [begin, end), if there are any.
    CK_TILE_MASKS_HD constexpr void add_blocks(const BlockTiling& tiling, index_t begin, index_t end)
    {
        if (begin < end) add(tiling.first_tile(begin), tiling.last_tile(end - 1));
    }
    CK_TILE_MASKS_HD constexpr bool contains(index_t tile) const
    {
        bool inside = false;
        for (int n = 0; n < kRuns; ++n)
            inside |= (first_[n] <= tile) & (tile <= last_[n]);
        return inside;
    }
    // Run number 0 .. kRuns - 1; one that was not added has last < first.
    CK_TILE_MASKS_HD constexpr index_t first(int run) const { return first_[run]; }
    CK_TILE_MASKS_HD constexpr index_t last(int run) const { return last_[run]; }
    CK_TILE_MASKS_HD constexpr index_t count() const { return runs_.count(); }
    // @pre the runs added are those of whole blocks
    // @post the number of tiles added, and of those of further blocks that were not; repetitions count once
    CK_TILE_MASKS_HD constexpr index_t count_with(const BlockTiling& tiling, const index_t* blocks,
                                                  index_t num_blocks) const
    {
        index_t count = runs_.count();
        for (index_t n = 0; n < num_blocks; ++n) {
            const index_t first = tiling.first_tile(blocks[n]), last = tiling.last_tile(blocks[n]);
            bool known_first = contains(first), known_last = contains(last), known = contains(first + 1);
            for (index_t m = 0; m < n; ++m) {
                const index_t first_m = tiling.first_tile(blocks[m]), last_m = tiling.last_tile(blocks[m]);
                known_first |= (first_m == first) | (last_m == first);
                known_last |= (first_m == last) | (last_m == last);
                known |= blocks[m] == blocks[n];
            }
            // Tiles between the first and the last belong to this block alone.
            count += !known_first + (last > first && !known_last) + (known ? 0 : max(last - first - 1, 0));
        }
        return count;
    }

private:
    int size_ = 0;
    TileUnion runs_;
    index_t first_[kRuns] = {}, last_[kRuns] = {-1, -1, -1};
};

// How many tiles some lines of tiles touch, each with its regular runs of blocks and with single blocks: as
// RegularTiles::count_with, but side by side for many lines, so that compilers make vectors of them.
class BandCounts {
public:
    static constexpr index_t kBands = 64;
    static constexpr index_t kMostTiles = 64; // of single blocks, for a line

    // Lines of tiles from number `first` on, as many as there are and as there is room for. A line of tiles is a band
    // of lines of blocks, [begin(n), end(n)); `across` has the size of their blocks. regular(begin, end) is a
    // RegularTiles.
    template <class Regular>
    CK_TILE_MASKS_HD BandCounts(const TileLines& lines, index_t first, const Tiling& across, Regular regular)
        : size_(min(lines.end - first, kBands))
    {
        for (index_t n = 0; n < size_; ++n) {
            const index_t e0 = (first + n) * lines.tile_across,
                          e1 = min(sat_add(e0, lines.tile_across), lines.num_across);
            begin_[n] = across.tile_of(e0);
            end_[n] = across.tile_of(e1 - 1) + 1;
            const RegularTiles tiles = regular(begin_[n], end_[n]);
            for (int run = 0; run < RegularTiles::kRuns; ++run) {
                first_[run][n] = tiles.first(run);
                last_[run][n] = tiles.last(run);
            }
            counts_[n] = tiles.count();
        }
    }
    CK_TILE_MASKS_HD index_t size() const { return size_; }
    CK_TILE_MASKS_HD index_t begin(index_t n) const { return begin_[n]; }
    CK_TILE_MASKS_HD index_t end(index_t n) const { return end_[n]; }

    // The most tiles that a block touches, where 3 stands for more as well.
    CK_TILE_MASKS_HD static constexpr index_t tiles_of_block(index_t block, index_t tile)
    {
        return tile % block == 0 ? 1 : min(block % tile == 0 ? block / tile : (block - 2) / tile + 2, 3);
    }
    // A single block for each line: block_of(n) for line n, -1 for none.
    template <class BlockOf>
    CK_TILE_MASKS_HD void add_blocks(const BlockTiling& tiling, BlockOf block_of)
    {
        index_t blocks[kBands], positions[kBands], weight[kBands];
        for (index_t n = 0; n < size_; ++n)
            blocks[n] = block_of(n);
        for (index_t n = 0; n < size_; ++n) {
            positions[n] = blocks[n] < 0 ? -1 : blocks[n] * tiling.block();
            weight[n] = 1;
        }
        index_t first[kBands];
        tiling.tiling().tiles_of(positions, size_, first);
        add(first, weight);
        const index_t most = tiles_of_block(tiling.block(), tiling.tiling().size());
        if (most == 1) return;

        index_t last[kBands];
        for (index_t n = 0; n < size_; ++n)
            positions[n] =
                blocks[n] < 0 ? -1 : positions[n] + min(tiling.block() - 1, tiling.seqlen() - 1 - positions[n]);
        tiling.tiling().tiles_of(positions, size_, last);
        if (most > 2) {
            // Tiles between the first and the last belong to this block alone: one of them stands for all.
            index_t inner[kBands];
            for (index_t n = 0; n < size_; ++n) {
                weight[n] = last[n] - first[n] - 1;
                inner[n] = weight[n] > 0 ? first[n] + 1 : -1;
            }
            add(inner, weight);
        }
        for (index_t n = 0; n < size_; ++n) {
            weight[n] = 1;
            last[n] = last[n] > first[n] ? last[n] : -1;
        }
        add(last, weight);
    }
    CK_TILE_MASKS_HD void write(index_t* counts) const
    {
        for (index_t n = 0; n < size_; ++n)
            counts[n] = counts_[n];
    }

private:
    // Adds weight[n] to the count of line n if its tile is new there; -1 is none.
    CK_TILE_MASKS_HD void add(const index_t* new_tiles, const index_t* weight)
    {
        index_t known[kBands];
        index_t* const tiles = tiles_[num_added_];
        for (index_t n = 0; n < size_; ++n) {
            tiles[n] = new_tiles[n];
            known[n] = tiles[n] < 0;
        }
        for (int run = 0; run < RegularTiles::kRuns; ++run)
            for (index_t n = 0; n < size_; ++n)
                known[n] |= (first_[run][n] <= tiles[n]) & (tiles[n] <= last_[run][n]);
        for (int m = 0; m < num_added_; ++m)
            for (index_t n = 0; n < size_; ++n)
                known[n] |= tiles_[m][n] == tiles[n];
        for (index_t n = 0; n < size_; ++n)
            counts_[n] += known[n] ? 0 : weight[n];
        ++num_added_;
    }

    index_t size_;
    int num_added_ = 0;
    index_t begin_[kBands], end_[kBands];
    index_t counts_[kBands];
    index_t first_[RegularTiles::kRuns][kBands], last_[RegularTiles::kRuns][kBands];
    index_t tiles_[kMostTiles][kBands];
};

} // namespace ck_tile_masks
