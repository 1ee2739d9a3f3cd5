#pragma once

#include "ck_tile_masks/masks/neighborhood_axis.hpp"

namespace ck_tile_masks {

// A product of one set for each axis of a grid, walked in row-major order.
struct GridSet {
    AxisSet axes[3];
    index_t sizes[3];

    struct Point {
        index_t at[3];
    };

    CK_TILE_MASKS_HD constexpr Point point(index_t position) const
    {
        const index_t line = position / sizes[2];
        return {{line / sizes[1], line % sizes[1], position % sizes[2]}};
    }
    // kNone past the largest index; a coordinate at[n] == sizes[n] means the next line (plane).
    CK_TILE_MASKS_HD constexpr index_t position(const Point& p) const
    {
        const index_t line = saturate(static_cast<long_index_t>(p.at[0]) * sizes[1] + p.at[1]);
        return saturate(static_cast<long_index_t>(line) * sizes[2] + p.at[2]);
    }

    // @pre no axis' set is empty; from lies on the grid
    // @post the smallest member >= from, or kNone
    CK_TILE_MASKS_HD constexpr index_t next_member(index_t from) const
    {
        Point p = point(from);
        int axis = 0; // the slowest one whose coordinate is no member
        index_t next = kNone;
        for (; axis < 3; ++axis) {
            next = axes[axis].next_member(p.at[axis]);
            if (next != p.at[axis]) break;
        }
        if (axis == 3) return from;
        for (; next == kNone; next = axes[axis].next_member(p.at[axis] + 1))
            if (axis-- == 0) return kNone;
        p.at[axis] = next;
        for (++axis; axis < 3; ++axis)
            p.at[axis] = axes[axis].next_member(0);
        return position(p);
    }

    // @post the smallest position >= from that is no member
    CK_TILE_MASKS_HD constexpr index_t next_missing(index_t from) const
    {
        // Up to three rounds: the rest of a line, the rest of a plane, planes.
        for (;;) {
            Point p = point(from);
            for (int axis = 0; axis < 3; ++axis)
                if (axes[axis].next_missing(p.at[axis]) == p.at[axis]) return from;
            for (int axis = 2;; --axis) {
                const index_t begin = p.at[axis], end = axes[axis].next_missing(begin);
                if (end == sizes[axis] && begin == 0 && axis > 0) continue; // all of it, here as in the lines beyond
                p.at[axis] = end;
                from = position(p);
                if (end < sizes[axis] || axis == 0 || from == kNone) return from;
                break;
            }
        }
    }
};

} // namespace ck_tile_masks
