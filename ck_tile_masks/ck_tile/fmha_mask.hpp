#pragma once

// Any mask definition as the FmhaMask of the attention pipelines of ROCm's CK Tile ("CK Tile" below).
//
// Those pipelines know one contiguous range of tiles for a row or column of tiles, and walk all of it:
//
//     const auto [start, end] = mask.GetTileRangeAlongX(i_y, number<kM0>{}, number<kN0>{});       // forward
//     const auto [start, end] = mask.GetTileRangeAlongY(i_x, number<kM0>{}, number<kN0>{});       // backward
//     for each tile of [start, end):
//         if (mask.IsEdgeTile(i_y, i_x, number<kM0>{}, number<kN0>{}))
//             for each element of it: S = -inf if mask.IsOutOfBound(row, column)
//
//              0   Tx  2Tx 3Tx 4Tx
//            +---+---+---+---+--+          The range of this row of tiles is [Tx, 4Tx). The tile in the middle is
//       i_y  |   |###| . |## |  |          empty: an "edge tile" all elements of which are out of bound.
//            +---+---+---+---+--+
//
// All of i_y, i_x, start and end are positions of elements, not numbers of tiles. So every mask computes the right
// thing there; what lies between the first and the last live tile of a line is computed in vain, which the walks of
// GenericAttentionMask avoid.

#include "ck_tile_masks/ck_tile/newer_calls.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/walks.hpp"

namespace ck_tile_masks {

// How answers are given: ranges as tuples of CK Tile's type, and, where waves are, as numbers that the compiler knows
// to be the same for all lanes. Data of a mask comes from memory, and what depends on it looks as if lanes could
// differ; pipelines keep loop bounds, and what they derive from them, in scalar registers.
//
//     struct CkTileInterface {
//         template <class... T>
//         CK_TILE_HOST_DEVICE static constexpr auto make(T... t) { return ck_tile::make_tuple(t...); }
//         CK_TILE_DEVICE static index_t uniform(index_t x) { return __builtin_amdgcn_readfirstlane(x); }
//     };
struct PlainInterface {
    struct Pair {
        index_t start, end;
    };
    struct Triple {
        index_t sink_end, start, end;
    };
    CK_TILE_MASKS_HD static constexpr Pair make(index_t start, index_t end) { return {start, end}; }
    CK_TILE_MASKS_HD static constexpr Triple make(index_t sink_end, index_t start, index_t end)
    {
        return {sink_end, start, end};
    }
    CK_TILE_MASKS_HD static constexpr index_t uniform(index_t x) { return x; }
};

// Attends a bound mask everything, so that pipelines need no mask at all?
template <class Bound>
inline constexpr bool attends_everything = false;
template <>
inline constexpr bool attends_everything<bound_mask_t<Full>> = true;

// Holds the bound mask by value. Positions may be any; lengths of tiles are types with a member `value`.
// @post every attended element of the rows [i_y, i_y + YTile) has its column in [start, end) of GetTileRangeAlongX;
//       start and end are multiples of XTile, and the range is empty if and only if no tile of the row is live
// @post the first and the last tile of a range are live; the duals for GetTileRangeAlongY
// @post IsEdgeTile is false only if all elements of the whole tile are attended: one that sticks out is an edge tile
// @post IsOutOfBound is true for what is not attended, and outside [0, seqlen_q) x [0, seqlen_k)
template <class BoundMask, class Interface = PlainInterface>
class FmhaMask : public NewerCalls<FmhaMask<BoundMask, Interface>, Interface> {
    using Newer = NewerCalls<FmhaMask, Interface>;

public:
    using Bound = BoundMask;

    // Without masking, kernels skip all calls but those for tiles that stick out.
    static constexpr bool IsMasking = !attends_everything<Bound>;
    static constexpr bool IsLocal = true; // both corners may be masked
    static constexpr const char* name = Bound::get_name();

    CK_TILE_MASKS_HD constexpr FmhaMask(const Bound& bound, index_t seqlen_q, index_t seqlen_k)
        : bound_(bound), seqlen_q_(seqlen_q), seqlen_k_(seqlen_k)
    {
    }

    CK_TILE_MASKS_HD constexpr const Bound& bound() const { return bound_; }
    CK_TILE_MASKS_HD constexpr index_t seqlen_q() const { return seqlen_q_; }
    CK_TILE_MASKS_HD constexpr index_t seqlen_k() const { return seqlen_k_; }

    // Costs a step of a walk, and log2(seqlen / tile) further ones to find the last live tile.
    using Newer::GetTileRangeAlongX;
    template <class YTile, class XTile>
    CK_TILE_MASKS_HD constexpr auto GetTileRangeAlongX(index_t i_y, YTile, XTile) const
    {
        const Interval range = range_along_x(i_y, YTile::value, XTile::value);
        return Interface::make(range.begin, range.end);
    }
    template <class YTile, class XTile>
    CK_TILE_MASKS_HD constexpr auto GetTileRangeAlongY(index_t i_x, YTile, XTile) const
    {
        const Interval range = range_along_y(i_x, YTile::value, XTile::value);
        return Interface::make(range.begin, range.end);
    }

    CK_TILE_MASKS_HD constexpr bool IsOutOfBound(index_t i_y, index_t i_x) const
    {
        return i_y < 0 || i_x < 0 || i_y >= seqlen_q_ || i_x >= seqlen_k_ || !bound_.mask_func(i_y, i_x);
    }

    template <class YTile, class XTile>
    CK_TILE_MASKS_HD constexpr bool IsEdgeTile(index_t i_y, index_t i_x, YTile, XTile) const
    {
        const Interval r = clipped(i_y, YTile::value, seqlen_q_), c = clipped(i_x, XTile::value, seqlen_k_);
        if (r.size() < YTile::value || c.size() < XTile::value) return true;
        const bool edge = bound_.next_not_full_col(r.begin, r.end, c.begin) < c.end &&
                          (bound_.exact() || bound_.next_not_full_row(c.begin, c.end, r.begin) < r.end);
        return Interface::uniform(edge) != 0;
    }

    // The ranges as intervals.
    CK_TILE_MASKS_HD constexpr Interval range_along_x(index_t i_y, index_t y_tile, index_t x_tile) const
    {
        return range(LineOfTiles<true>{this, clipped(i_y, y_tile, seqlen_q_), x_tile}, x_tile, seqlen_k_);
    }
    CK_TILE_MASKS_HD constexpr Interval range_along_y(index_t i_x, index_t y_tile, index_t x_tile) const
    {
        return range(LineOfTiles<false>{this, clipped(i_x, x_tile, seqlen_k_), y_tile}, y_tile, seqlen_q_);
    }

private:
    CK_TILE_MASKS_HD static constexpr Interval clipped(index_t begin, index_t size, index_t seqlen)
    {
        return {min(max(begin, 0), seqlen), min(max(sat_add(begin, size), 0), seqlen)};
    }

    // A row of tiles, or a column.
    template <bool kIsRow>
    struct LineOfTiles {
        const FmhaMask* mask;
        Interval lines; // of elements
        index_t tile;   // elements along them

        // The first live tile from tile `from` on, or num_tiles. A walk that may be early is checked from the other
        // direction.
        CK_TILE_MASKS_HD constexpr index_t next(index_t from, index_t num_tiles) const
        {
            const index_t seqlen = kIsRow ? mask->seqlen_k_ : mask->seqlen_q_;
            for (index_t t = from; !lines.empty() && t < num_tiles; ++t) {
                const index_t first = next_live<kIsRow>(lines, t * tile);
                if (first >= seqlen) break;
                t = first / tile;
                const Interval across = tile_interval(t, tile, seqlen);
                if (mask->bound_.exact() || next_live<!kIsRow>(across, lines.begin) < lines.end) return t;
            }
            return num_tiles;
        }

    private:
        template <bool kAlongRows>
        CK_TILE_MASKS_HD constexpr index_t next_live(Interval lines, index_t from) const
        {
            const Bound& bound = mask->bound_;
            return kAlongRows ? bound.next_live_col(lines.begin, lines.end, from)
                              : bound.next_live_row(lines.begin, lines.end, from);
        }
    };

    // There is no walk backwards: "is something live from here on?" is asked of ever smaller halves. The last tile is
    // asked first: it often is live.
    template <class Line>
    CK_TILE_MASKS_HD static constexpr Interval range(const Line& line, index_t tile, index_t seqlen)
    {
        const index_t num_tiles = div_up(seqlen, tile);
        index_t live = line.next(0, num_tiles); // something is live from here on ...
        if (live >= num_tiles) return {0, 0};
        const index_t first = live;
        index_t dead = num_tiles; // ... and nothing from here on
        for (index_t probe = dead - 1; live + 1 < dead; probe = live + (dead - live) / 2) {
            const index_t found = line.next(probe, num_tiles);
            if (found < num_tiles)
                live = found;
            else
                dead = probe;
        }
        return {Interface::uniform(first * tile), Interface::uniform(sat_mul(dead, tile))};
    }

    Bound bound_;
    index_t seqlen_q_;
    index_t seqlen_k_;
};

// A definition, bound to a call.
template <class Interface = PlainInterface, class MaskDef>
CK_TILE_MASKS_HD constexpr auto make_fmha_mask(const MaskDef& def, const MaskCall& call)
{
    return FmhaMask<bound_mask_t<MaskDef>, Interface>(bind_mask(def, call), call.seqlen_q, call.seqlen_k);
}

} // namespace ck_tile_masks
