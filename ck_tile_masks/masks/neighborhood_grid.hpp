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

    // Coordinates are named one by one and not indexed by a loop: device code would keep them in memory.

    // @pre no axis' set is empty; from lies on the grid
    // @post the smallest member >= from, or kNone
    CK_TILE_MASKS_HD constexpr index_t next_member(index_t from) const
    {
        // Up to three rounds: the rest of a line has no member, nor that of its plane.
        for (Point p = point(from);;) {
            const index_t z = axes[0].next_member(p.at[0]);
            if (z == kNone) return kNone;
            if (z != p.at[0]) p = {{z, 0, 0}};
            const index_t y = axes[1].next_member(p.at[1]);
            if (y == kNone) {
                p = {{z + 1, 0, 0}};
                continue;
            }
            if (y != p.at[1]) p = {{z, y, 0}};
            const index_t x = axes[2].next_member(p.at[2]);
            if (x != kNone) return position({{z, y, x}});
            p = {{z, y + 1, 0}};
        }
    }

    // @post the smallest position >= from that is no member
    CK_TILE_MASKS_HD constexpr index_t next_missing(index_t from) const
    {
        // Up to three rounds: the rest of a line, the rest of a plane, planes.
        for (;;) {
            const Point p = point(from);
            const index_t z = axes[0].next_missing(p.at[0]), y = axes[1].next_missing(p.at[1]);
            const index_t x = axes[2].next_missing(p.at[2]);
            if (z == p.at[0] || y == p.at[1] || x == p.at[2]) return from;
            const bool whole_line = p.at[2] == 0 && x == sizes[2]; // then those beyond are whole as well
            const bool whole_plane = whole_line && p.at[1] == 0 && y == sizes[1];
            from = position(whole_plane  ? Point{{z, 0, 0}}
                            : whole_line ? Point{{p.at[0], y, 0}}
                                         : Point{{p.at[0], p.at[1], x}});
            const bool goes_on = whole_plane ? false : whole_line ? y == sizes[1] : x == sizes[2];
            if (!goes_on || from == kNone) return from;
        }
    }
};

} // namespace ck_tile_masks
