#pragma once

#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/tile_schedule.hpp"

// One axis of a neighbourhood: n positions, window K, dilation m. Position x belongs to residue class x mod m and is
// member p = x / m of it; the class has L members. Query x attends the members of its own class
//
//     [s, s + K) with s = clamp(p - K / 2, 0, max(L - K, 0))     Border::shift: K members wherever there are K
//     [p - K / 2, p + K / 2]                                     Border::clip
//     [p - K + 1, p]                                             causal, whatever the border
//
// of which those that exist count. Without naming p and L, with r = (K / 2) * m and m dividing y - x throughout:
//
//     clip    |y - x| <= r                         a band along the diagonal
//     causal  -(K - 1) * m <= y - x <= 0           the same, on one side
//     shift   as clip,  or x < r and y < K * m,  or x >= n - r and y >= n - K * m
//
//                                x < r: # # # . . . . .
//                                       # # # . . . . .
//                                       . # # # . . . .
//                                       . . # # # . . .
//                                       . . . # # # . .
//                                       . . . . # # # .
//                                       . . . . . # # #
//                                       . . . . . # # # :x >= n - r
//
// so that the positions attended by some position of a band are at most three strips, found without a loop over
// residue classes, and the same holds with queries and keys exchanged.

namespace ck_tile_masks {

enum class Border : signed char { shift, clip };

struct NeighborhoodAxis {
    index_t size = 1;
    index_t window = 1; // odd
    index_t dilation = 1;
    bool causal = false;
};

// The positions y of [begin, end) whose class is one of `width` neighbouring ones: (y - origin) mod dilation < width.
struct ResidueStrip {
    index_t begin = 0;
    index_t end = 0;
    index_t origin = 0;
    index_t width = 1;
    index_t dilation = 1;

    // @post the smallest member >= from, or kNone
    CK_TILE_MASKS_HD constexpr index_t next_member(index_t from) const
    {
        const index_t y = max(from, begin);
        if (y >= end) return kNone;
        if (width == dilation) return y;
        const index_t residue = floor_mod(y - origin, dilation);
        const index_t member = residue < width ? y : sat_add(y, dilation - residue);
        return member < end ? member : kNone;
    }
    // @post all of [from, run_end(from)) are members; run_end(from) is none
    CK_TILE_MASKS_HD constexpr index_t run_end(index_t from) const
    {
        if (from < begin || from >= end) return from;
        if (width == dilation) return end;
        const index_t residue = floor_mod(from - origin, dilation);
        return residue < width ? min(end, sat_add(from, width - residue)) : from;
    }
    // @post the largest member, or -1
    CK_TILE_MASKS_HD constexpr index_t last_member() const
    {
        const index_t y = end - 1;
        if (y < begin) return -1;
        if (width == dilation) return y;
        const index_t member = y - max(floor_mod(y - origin, dilation) - (width - 1), 0);
        return member >= begin ? member : -1;
    }
};

// The union of three strips.
struct AxisSet {
    ResidueStrip middle; // along the diagonal
    ResidueStrip low;    // what borders shift inwards
    ResidueStrip high;

    // @post the smallest member >= from, or kNone
    CK_TILE_MASKS_HD constexpr index_t next_member(index_t from) const
    {
        return min(middle.next_member(from), min(low.next_member(from), high.next_member(from)));
    }
    // @post the largest member, or -1
    CK_TILE_MASKS_HD constexpr index_t last_member() const
    {
        return max(middle.last_member(), max(low.last_member(), high.last_member()));
    }
    // Either every strip has all classes, or no run of members is longer than those of the strip with the most classes:
    // a few rounds.
    // @post the smallest position >= from that is no member
    CK_TILE_MASKS_HD constexpr index_t next_missing(index_t from) const
    {
        for (;;) {
            const index_t y = high.run_end(low.run_end(middle.run_end(from)));
            if (y == from) return y;
            from = y;
        }
    }
};

class NeighborhoodAxisWalks {
public:
    constexpr NeighborhoodAxisWalks() = default;
    CK_TILE_MASKS_HD constexpr NeighborhoodAxisWalks(const NeighborhoodAxis& axis, Border border)
        : size_(axis.size), dilation_(axis.dilation)
    {
        // Reaches are cut to the last multiple of the dilation that fits the axis.
        const index_t most = (axis.size - 1) / axis.dilation, half = axis.window / 2;
        first_offset_ = -min(axis.causal ? axis.window - 1 : half, most) * axis.dilation;
        last_offset_ = axis.causal ? 0 : -first_offset_;
        if (border == Border::shift && !axis.causal) {
            query_zone_ = min(sat_mul(half, axis.dilation), axis.size);
            key_zone_ = min(sat_mul(axis.window, axis.dilation), axis.size);
        }
    }

    CK_TILE_MASKS_HD constexpr index_t size() const { return size_; }
    CK_TILE_MASKS_HD constexpr index_t dilation() const { return dilation_; }
    // Positions that have this many others on both sides have windows of one shape, in both directions.
    CK_TILE_MASKS_HD constexpr index_t margin() const
    {
        return max(max(query_zone_, key_zone_), max(-first_offset_, last_offset_));
    }

    CK_TILE_MASKS_HD constexpr bool attends(index_t x, index_t y) const
    {
        const index_t offset = y - x;
        return offset % dilation_ == 0 &&
               ((offset >= first_offset_ && offset <= last_offset_) || (x < query_zone_ && y < key_zone_) ||
                (x >= size_ - query_zone_ && y >= size_ - key_zone_));
    }

    // Keys attended by some query of the band (Axis::rows), queries that attend some key of it (Axis::cols).
    // @pre the band is not empty and lies inside the axis
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr AxisSet attended_by_some(Interval band) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        const index_t zone = rows ? query_zone_ : key_zone_, opposite = rows ? key_zone_ : query_zone_;
        const index_t before = rows ? -first_offset_ : last_offset_, after = rows ? last_offset_ : -first_offset_;
        const ResidueStrip middle = strip(band, {band.begin - before, sat_add(band.end, after)});
        if (band.begin >= zone && band.end <= size_ - zone) return {middle, {}, {}};
        return {middle, strip({band.begin, min(band.end, zone)}, {0, opposite}),
                strip({max(band.begin, size_ - zone), band.end}, {size_ - opposite, size_})};
    }

    // From the first to the last position that some position of the band attends.
    // @pre the band is not empty and lies inside the axis
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr Interval hull(Interval band) const
    {
        constexpr bool rows = kAxis == Axis::rows;
        const index_t zone = rows ? query_zone_ : key_zone_, opposite = rows ? key_zone_ : query_zone_;
        const index_t before = rows ? -first_offset_ : last_offset_, after = rows ? last_offset_ : -first_offset_;
        if (band.begin >= max(zone, before) && band.end <= size_ - max(zone, after)) // away from the borders
            return {band.begin - before, band.end + after};
        if (dilation_ == 1) {
            const bool low = band.begin<zone, high = band.end> size_ - zone;
            const index_t begin = max(band.begin - before, 0), end = min(sat_add(band.end, after), size_);
            return {low    ? 0
                    : high ? min(begin, size_ - opposite)
                           : begin,
                    high  ? size_
                    : low ? max(end, opposite)
                          : end};
        }
        const AxisSet set = attended_by_some<kAxis>(band);
        return {set.next_member(0), set.last_member() + 1};
    }

    // Are the windows of some of the band's positions shifted and those of others not? Otherwise its set is all of its
    // classes between the first member and the last.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool crosses_zone(Interval band) const
    {
        return is_cut<kAxis>(band, kIndexMax);
    }
    // Is the band's set an interval? It is if all classes are in the band, on both sides of a zone's border.
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool attends_interval(Interval band) const
    {
        return dilation_ == 1 || band.size() == size_ || (band.size() >= dilation_ && !is_cut<kAxis>(band, dilation_));
    }

    // Keys attended by every query of the band, queries that attend every key of it.
    // @pre the band is not empty and lies inside the axis
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr AxisSet attended_by_all(Interval band) const
    {
        if (band.size() == 1) return attended_by_some<kAxis>(band);
        // Neighbouring positions of a dilated axis have nothing in common.
        if (dilation_ > 1) return {};
        // Windows are intervals whose begins and ends move monotonically: from the last one's begin to the first's end.
        const AxisSet first = attended_by_some<kAxis>({band.begin, band.begin + 1});
        const AxisSet last = attended_by_some<kAxis>({band.end - 1, band.end});
        return {strip({0, 1}, {last.next_member(0), first.next_missing(first.next_member(0))}), {}, {}};
    }

private:
    // Does a zone cut off a part of the band, so that a part of less than `least` positions is left?
    template <Axis kAxis>
    CK_TILE_MASKS_HD constexpr bool is_cut(Interval band, index_t least) const
    {
        const index_t zone = kAxis == Axis::rows ? query_zone_ : key_zone_;
        const auto cut_at = [=](index_t border) {
            const index_t before = border - band.begin, after = band.end - border;
            return before > 0 && after > 0 && min(before, after) < least;
        };
        return cut_at(zone) || cut_at(size_ - zone);
    }

    // The positions of `range` inside the axis that share a class with some line.
    CK_TILE_MASKS_HD constexpr ResidueStrip strip(Interval lines, Interval range) const
    {
        if (lines.empty()) return {};
        return {max(range.begin, 0), min(range.end, size_), lines.begin, min(lines.size(), dilation_), dilation_};
    }

    index_t size_ = 1;
    index_t dilation_ = 1;
    index_t first_offset_ = 0; // y - x along the diagonal, multiples of the dilation
    index_t last_offset_ = 0;
    index_t query_zone_ = 0; // the first (last) query_zone queries attend the first (last) key_zone keys of their class
    index_t key_zone_ = 0;
};

} // namespace ck_tile_masks
