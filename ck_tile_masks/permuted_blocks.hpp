#pragma once

#include "ck_tile_masks/band_counts.hpp"
#include "ck_tile_masks/block_lines.hpp"
#include "ck_tile_masks/permutation.hpp"

namespace ck_tile_masks {

// Random blocks that can be walked in both directions: in line I the positions p_0(I), ..., p_(r-1)(I), with
// permutations p_t keyed by (seed, head, t). Rows of blocks (Axis::rows) use p_t, columns its inverse.
struct PermutedBlocks {
    index_t num_random;
    hash_t key;
    KeyedPermutation permutation; // of the larger number of blocks: what falls outside the smaller one is dropped

    CK_TILE_MASKS_HD constexpr PermutedBlocks() : num_random(0), key(0) {}
    CK_TILE_MASKS_HD constexpr PermutedBlocks(index_t num_random_, long_index_t seed, index_t head, index_t num_blocks)
        : num_random(num_random_),
          key(combine(combine(static_cast<hash_t>(seed), static_cast<hash_t>(seed >> 32)), static_cast<hash_t>(head))),
          permutation(num_blocks)
    {
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t draw(index_t line, index_t t) const
    {
        return kAxis == Axis::rows ? permutation.forward(line, stream(t)) : permutation.inverse(line, stream(t));
    }

    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval next_run(index_t line, index_t from) const
    {
        Interval run = no_run();
        for (index_t t = 0; t < num_random && run.begin > from; ++t) {
            const index_t position = draw<kAxis>(line, t);
            if (position >= from) run = first_of(run, {position, position + 1});
        }
        return run;
    }
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr index_t list(index_t line, Interval part, index_t* blocks, index_t room) const
    {
        if (num_random > room) return num_random;
        index_t count = 0;
        for (index_t t = 0; t < num_random; ++t) {
            blocks[count] = draw<kAxis>(line, t);
            count += part.contains(blocks[count]);
        }
        return count;
    }

    // Counts the tiles of many lines of tiles, all of whose blocks are drawn in one go. Blocks are square;
    //
    //     keep(line, position)   says which of a line's blocks are to be counted, all of them blocks of the tiling,
    //     regular(b0, b1)        is a RegularTiles: the tiles of the lines [b0, b1) that are not random.
    //
    // @post counts[n] belongs to line of tiles lines.begin + n; or false, if there are too many blocks in one of them
    static constexpr index_t kMostOfBand = BandCounts::kMostTiles;
    template <Axis kAxis, class Keep, class Regular>
    CK_TILE_MASKS_HD bool count_bands(const TileLines& lines, const BlockTiling& tiling, index_t* counts, Keep keep,
                                      Regular regular) const
    {
        const index_t block = tiling.block(), band = lines.tile_across;
        if (block > band && block % band == 0) { // Lines of tiles that are parts of a line of blocks are counted once.
            const index_t parts = block / band;
            const TileLines whole{
                lines.begin / parts, (lines.end - 1) / parts + 1, block, lines.num_across, lines.tile_along,
                lines.num_along};
            if (!count_bands<kAxis>(whole, tiling, counts, keep, regular)) return false;
            for (index_t line = lines.end; line-- > lines.begin;) // backwards: no count is overwritten before its use
                counts[line - lines.begin] = counts[line / parts - whole.begin];
            return true;
        }
        const index_t most_lines = num_random == 0 ? 0 : band % block == 0 ? band / block : (band - 2) / block + 2;
        const long_index_t most_blocks = static_cast<long_index_t>(most_lines) * num_random;
        if (most_blocks * BandCounts::tiles_of_block(block, lines.tile_along) > kMostOfBand) return false;

        constexpr index_t kRoom = 12288; // draws at a time: 48 KiB
        const Tiling across(block);
        const index_t most = max(saturate((kRoom / max(num_random, 1) - 2LL) * block / band), 1);
        index_t draws[kRoom];
        for (index_t first = lines.begin, next = first; first < lines.end; first = next) {
            next = min(sat_add(first, most), lines.end);
            const index_t begin = across.tile_of(first * band);
            const index_t size = across.tile_of(min(sat_mul(next, band), lines.num_across) - 1) + 1 - begin;
            for (index_t t = 0; t < num_random; ++t)
                draw_lines<kAxis>(begin, size, t, draws + t * size);
            TileLines drawn_lines = lines;
            drawn_lines.end = next;
            for (index_t done = first; done < next; done = sat_add(done, BandCounts::kBands)) {
                BandCounts bands(drawn_lines, done, across, regular);
                for (index_t k = 0; k < most_lines; ++k)
                    for (index_t t = 0; t < num_random; ++t) {
                        const index_t* const drawn = draws + t * size;
                        bands.add_blocks(tiling, [&](index_t n) {
                            // Without branches: draws cannot be predicted. A line past the band may lie past 2^31.
                            const index_t inside = k < bands.end(n) - bands.begin(n);
                            const index_t line = bands.begin(n) + (k & -inside);
                            const index_t position = drawn[line - begin], kept = keep(line, position);
                            return position | ((inside & kept) - 1);
                        });
                    }
                bands.write(counts + (done - lines.begin));
            }
        }
        return true;
    }

private:
    CK_TILE_MASKS_HD constexpr hash_t stream(index_t t) const { return combine(key, static_cast<hash_t>(t)); }
    template <Axis kAxis>
    CK_TILE_MASKS_HD void draw_lines(index_t begin, index_t count, index_t t, index_t* positions) const
    {
        if constexpr (kAxis == Axis::rows)
            permutation.forward(begin, count, stream(t), positions);
        else
            permutation.inverse(begin, count, stream(t), positions);
    }
};

} // namespace ck_tile_masks
