#pragma once

#include "ck_tile_masks/index.hpp"

namespace ck_tile_masks {

// Ascending numbers that somebody else owns: positions of global tokens, ends of windows. Trivially copyable, so that a
// definition can carry its data to a kernel.
struct IndexSpan {
    const index_t* data = nullptr;
    index_t size = 0;

    template <class Visit>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        visit(data, size);
    }

    CK_TILE_MASKS_HD constexpr bool empty() const { return size <= 0; }
    CK_TILE_MASKS_HD constexpr index_t operator[](index_t n) const { return data[n]; }

    // @post the number of entries < value
    CK_TILE_MASKS_HD constexpr index_t lower_bound(index_t value) const
    {
        index_t low = 0, high = size;
        while (low < high) {
            const index_t middle = low + (high - low) / 2;
            if (data[middle] < value)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
    // @post the number of entries <= value
    CK_TILE_MASKS_HD constexpr index_t upper_bound(index_t value) const
    {
        return value == kIndexMax ? size : lower_bound(value + 1);
    }
    CK_TILE_MASKS_HD constexpr bool contains(index_t value) const { return next(value) == value; }
    // @post the smallest entry >= from, or kNone
    CK_TILE_MASKS_HD constexpr index_t next(index_t from) const
    {
        const index_t n = lower_bound(from);
        return n < size ? data[n] : kNone;
    }
    // The smallest number >= from that is no entry; entries are unique, hence entry n + k is at least entry n plus k.
    // @post !contains(next_missing(from))
    CK_TILE_MASKS_HD constexpr index_t next_missing(index_t from) const
    {
        const index_t first = lower_bound(from);
        index_t low = first, high = size; // entries [first, low) are from, from + 1, ...
        while (low < high) {
            const index_t middle = low + (high - low) / 2;
            if (data[middle] - from == middle - first)
                low = middle + 1;
            else
                high = middle;
        }
        return sat_add(from, low - first);
    }
    // The largest number < before that is no entry; -1 if that would be negative.
    // @post !contains(previous_missing(before))
    CK_TILE_MASKS_HD constexpr index_t previous_missing(index_t before) const
    {
        const index_t end = lower_bound(before);
        index_t low = 0, high = end; // entries [high, end) are ..., before - 2, before - 1
        while (low < high) {
            const index_t middle = low + (high - low) / 2;
            if (before - data[middle] == end - middle)
                high = middle;
            else
                low = middle + 1;
        }
        return before - (end - high) - 1;
    }
};

} // namespace ck_tile_masks
