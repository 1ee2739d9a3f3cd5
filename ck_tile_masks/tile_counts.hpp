#pragma once

#include "ck_tile_masks/index.hpp"

// How many tiles a set of positions touches, in closed form: what a schedule needs to know of a line of tiles whose
// live positions are one run, or runs at equal distances.

namespace ck_tile_masks {

// What a definition answers when it has no closed form for the count it is asked for.
inline constexpr index_t kUnknownCount = -1;

// Rows of tiles number begin .. end - 1, for a definition that counts the live tiles of many of them at once; columns
// of tiles likewise, with the roles of rows and columns exchanged.
// @pre the lines exist: end <= div_up(num_across, tile_across)
struct TileLines {
    index_t begin;
    index_t end;
    index_t tile_across; // rows of a row of tiles
    index_t num_across;  // all rows: the last row of tiles may have fewer than the others
    index_t tile_along;  // columns of a tile
    index_t num_along;   // all columns
};

// Positions 0, 1, 2, ... cut into tiles. Nearly all sizes are powers of two: a shift costs a tenth of a division.
class Tiling {
public:
    CK_TILE_MASKS_HD constexpr explicit Tiling(index_t size) : size_(static_cast<unsigned>(size))
    {
        while (1u << shift_ < size_)
            ++shift_;
        is_power_ = 1u << shift_ == size_;
    }

    CK_TILE_MASKS_HD constexpr index_t size() const { return static_cast<index_t>(size_); }
    // @pre 0 <= position
    CK_TILE_MASKS_HD constexpr index_t tile_of(index_t position) const
    {
        const auto p = static_cast<unsigned>(position);
        return static_cast<index_t>(is_power_ ? p >> shift_ : p / size_);
    }
    // The tiles of many positions; -1 stays -1.
    CK_TILE_MASKS_HD constexpr void tiles_of(const index_t* positions, index_t count, index_t* tiles) const
    {
        if (is_power_)
            for (index_t n = 0; n < count; ++n)
                tiles[n] = positions[n] >> shift_;
        else
            for (index_t n = 0; n < count; ++n)
                tiles[n] = positions[n] < 0 ? -1 : tile_of(positions[n]);
    }
    // @pre 0 <= begin
    // @post the number of tiles that [begin, end) touches
    CK_TILE_MASKS_HD constexpr index_t touched(index_t begin, index_t end) const
    {
        return end <= begin ? 0 : tile_of(end - 1) - tile_of(begin) + 1;
    }
    // @post the sum of touched(b, b + length) over the `count` places b = begin, begin + period, ...
    CK_TILE_MASKS_HD constexpr index_t touched_by_each(index_t begin, index_t length, index_t period,
                                                       index_t count) const
    {
        index_t sum = 0;
        if (is_power_) // a loop that compilers make vectors of
            for (index_t n = 0; n < count; ++n) {
                const index_t b = begin + n * period;
                sum += ((b + length - 1) >> shift_) - (b >> shift_) + 1;
            }
        else
            for (index_t n = 0; n < count; ++n)
                sum += touched(begin + n * period, begin + n * period + length);
        return sum;
    }
    // @pre 1 <= distance
    // @post the greatest common divisor of the size and the distance
    CK_TILE_MASKS_HD constexpr index_t common_divisor(long_index_t distance) const
    {
        long_index_t a = size_, b = distance;
        if (is_power_) return static_cast<index_t>((b & -b) < a ? b & -b : a);
        while (b != 0) {
            const long_index_t rest = a % b;
            a = b;
            b = rest;
        }
        return static_cast<index_t>(a);
    }

private:
    unsigned size_;
    int shift_ = 0;
    bool is_power_ = true;
};

// Blocks 0, 1, 2, ... of positions, the last one cut off at the end of the sequence, and the tiles that they touch.
// Neither size need divide the other.
class BlockTiling {
public:
    // @pre 1 <= block
    CK_TILE_MASKS_HD constexpr BlockTiling(index_t block, index_t tile, index_t seqlen)
        : tiling_(tile), block_(static_cast<unsigned>(block)), seqlen_(seqlen), num_blocks_(div_up(seqlen, block))
    {
    }

    CK_TILE_MASKS_HD constexpr const Tiling& tiling() const { return tiling_; }
    CK_TILE_MASKS_HD constexpr index_t block() const { return static_cast<index_t>(block_); }
    CK_TILE_MASKS_HD constexpr index_t seqlen() const { return seqlen_; }
    CK_TILE_MASKS_HD constexpr index_t num_blocks() const { return num_blocks_; }

    // Where block b begins, or the sequence ends.
    CK_TILE_MASKS_HD constexpr index_t begin_of(index_t b) const { return min(sat_mul(b, block()), seqlen_); }
    // @pre 0 <= b < num_blocks()
    CK_TILE_MASKS_HD constexpr index_t first_tile(index_t b) const
    {
        return tiling_.tile_of(static_cast<index_t>(static_cast<unsigned>(b) * block_));
    }
    CK_TILE_MASKS_HD constexpr index_t last_tile(index_t b) const
    {
        const unsigned end = static_cast<unsigned>(b) * block_ + block_, seqlen = static_cast<unsigned>(seqlen_);
        return tiling_.tile_of(static_cast<index_t>((end < seqlen ? end : seqlen) - 1));
    }
    // @pre 0 <= begin, end <= num_blocks()
    // @post the number of tiles that blocks [begin, end) touch
    CK_TILE_MASKS_HD constexpr index_t touched(index_t begin, index_t end) const
    {
        return end <= begin ? 0 : last_tile(end - 1) - first_tile(begin) + 1;
    }

private:
    Tiling tiling_;
    unsigned block_;
    index_t seqlen_;
    index_t num_blocks_;
};

// @pre 0 <= begin
// @post the number of tiles that [begin, end) touches
CK_TILE_MASKS_HD constexpr index_t tiles_of_interval(index_t begin, index_t end, index_t tile)
{
    return end <= begin ? 0 : (end - 1) / tile - begin / tile + 1;
}

// @post sum of floor((step * k + offset) / divisor) for k in [0, count); O(log) steps as Euclid's algorithm
CK_TILE_MASKS_HD constexpr long_index_t floor_sum(long_index_t count, long_index_t divisor, long_index_t step,
                                                  long_index_t offset)
{
    long_index_t sum = 0;
    while (count > 0) {
        sum += (count - 1) * count / 2 * (step / divisor) + count * (offset / divisor);
        step %= divisor;
        offset %= divisor;
        // Lattice points under a line, counted along the other axis.
        const long_index_t top = step * count + offset;
        count = top / divisor;
        offset = top % divisor;
        const long_index_t old_divisor = divisor;
        divisor = step;
        step = old_divisor;
    }
    return sum;
}

// Runs of `length` positions that begin at phase + k * period for all integers k, as far as they lie in [lo, hi):
// position e is a member iff lo <= e < hi and floor_mod(e - phase, period) < length.
//
//          lo                           hi
//     ..####...####...####...####...####...      a first piece, whole runs, a last piece
//         ##...####...####...####...###
class SpacedRuns {
public:
    // @pre 1 <= length <= period, 0 <= lo
    CK_TILE_MASKS_HD constexpr SpacedRuns(index_t phase, index_t period, index_t length, index_t lo, index_t hi)
        : period_(period), length_(length)
    {
        if (hi <= lo) return;
        const auto place = [=](long_index_t e) {
            const long_index_t r = (e - phase) % period;
            return r < 0 ? r + period : r;
        };
        const long_index_t lo_place = place(lo), hi_place = place(hi - 1), last_place = length - 1;
        const long_index_t first = lo_place < length ? lo : lo + (period - lo_place);
        const long_index_t last = hi - 1 - (hi_place < length ? 0 : hi_place - last_place);
        if (first > last) return;
        begin_ = static_cast<index_t>(first);
        end_ = static_cast<index_t>(last + 1);
        first_run_ = first - (lo_place < length ? lo_place : 0);
        last_run_ = static_cast<index_t>(last - (hi_place < length ? hi_place : last_place));
    }

    // From the first member to the last; begin() == end() if there is none.
    CK_TILE_MASKS_HD constexpr index_t begin() const { return begin_; }
    CK_TILE_MASKS_HD constexpr index_t end() const { return end_; }

    // Are all tiles between the first member and the last touched? A gap that is smaller than a tile leaves none out;
    // over a larger one no two runs share a tile.
    CK_TILE_MASKS_HD constexpr bool dense(const Tiling& tiling) const
    {
        return period_ - length_ < tiling.size() || first_run_ == last_run_;
    }

    // @post the number of tiles that the members touch when each is moved by `offset`
    CK_TILE_MASKS_HD constexpr index_t tiles(const Tiling& tiling, index_t offset = 0) const
    {
        if (end_ == begin_) return 0;
        if (dense(tiling)) return tiling.touched(begin_ + offset, end_ + offset);
        const index_t first_end = static_cast<index_t>(first_run_ + length_);
        return tiling.touched(begin_ + offset, first_end + offset) + tiling.touched(last_run_ + offset, end_ + offset) +
               tiles_between(static_cast<index_t>(first_run_ + period_) + offset, last_run_ + offset, tiling);
    }

private:
    // Of the whole runs that begin at `run`, run + period, ..., before `end`.
    CK_TILE_MASKS_HD constexpr index_t tiles_between(index_t run, index_t end, const Tiling& tiling) const
    {
        const index_t count = (end - run) / period_;
        if (count == 0) return 0;
        // After `cycle` runs places in the tiles repeat, and with g = common divisor these begin at all places that are
        // run mod g. Their sum of floor((e + k * period) / tile) is that of floor(e / g) and a number that cancels.
        const index_t g = tiling.common_divisor(period_), cycle = tiling.size() / g, last = run + length_ - 1;
        index_t tiles = count / cycle * (last / g - run / g + cycle);
        index_t rest = count % cycle;
        if (rest > kMostRunsOneByOne)
            return tiles + rest +
                   static_cast<index_t>(floor_sum(rest, tiling.size(), period_, last) -
                                        floor_sum(rest, tiling.size(), period_, run));
        return tiles + tiling.touched_by_each(run, length_, period_, rest);
    }
    static constexpr index_t kMostRunsOneByOne = 64; // more than that cost as much as two floor_sums

    index_t period_;
    index_t length_;
    index_t begin_ = 0;
    index_t end_ = 0;
    long_index_t first_run_ = 0; // where the run of the first member begins, perhaps before 0
    index_t last_run_ = 0;
};

// @pre as for SpacedRuns
// @post the number of tiles that the runs' positions in [lo, hi) touch
CK_TILE_MASKS_HD constexpr index_t tiles_of_runs(index_t phase, index_t period, index_t length, index_t lo, index_t hi,
                                                 index_t tile)
{
    return SpacedRuns(phase, period, length, lo, hi).tiles(Tiling(tile));
}

// The same runs `count` times, moved by offset, offset + distance, offset + 2 * distance, ...
// @pre copies do not overlap: distance >= runs.end() - runs.begin()
// @post the number of tiles touched, or kUnknownCount: copies that leave gaps share tiles
CK_TILE_MASKS_HD constexpr index_t tiles_of_copies(const SpacedRuns& runs, index_t offset, index_t distance,
                                                   index_t count, const Tiling& tiling)
{
    if (count <= 1) return count <= 0 ? 0 : runs.tiles(tiling, offset);
    const index_t begin = runs.begin() + offset, end = runs.end() + offset;
    const bool together = distance - (end - begin) < tiling.size(); // no tile lies between two copies
    if (together && runs.dense(tiling)) return tiling.touched(begin, end + (count - 1) * distance);
    if (distance % tiling.size() == 0 && tiling.tile_of(end - 1) < tiling.tile_of(begin + distance))
        return count * runs.tiles(tiling, offset);
    if (together) return kUnknownCount;
    index_t tiles = 0;
    for (index_t n = 0; n < count; ++n)
        tiles += runs.tiles(tiling, offset + n * distance);
    return tiles;
}

// The number of tiles in a union of runs of tiles.
class TileUnion {
public:
    // Adds the tiles first .. last, none if last < first.
    // @pre called with ascending `first`
    CK_TILE_MASKS_HD constexpr void add(index_t first, index_t last)
    {
        count_ += max(last + 1 - max(first, next_), 0);
        next_ = max(next_, last + 1);
    }
    CK_TILE_MASKS_HD constexpr index_t count() const { return count_; }

private:
    index_t count_ = 0;
    index_t next_ = 0; // the first tile after all that were added
};

} // namespace ck_tile_masks
