#pragma once

#include "ck_tile_masks/index_iterator.hpp"
#include "ck_tile_masks/walks.hpp"

namespace ck_tile_masks {

enum class TileStatus : signed char { empty = 0, edge = 1, full = 2 };

// A tile shape known when the kernel is compiled ...
template <index_t kTileY, index_t kTileX>
struct FixedTile {
    static_assert(kTileY >= 1 && kTileX >= 1, "ck_tile_masks: a tile must have at least one row and one column.");
    CK_TILE_MASKS_HD static constexpr index_t y() { return kTileY; }
    CK_TILE_MASKS_HD static constexpr index_t x() { return kTileX; }
};

// ... or chosen at run time.
struct DynamicTile {
    index_t tile_y = 64;
    index_t tile_x = 64;
    CK_TILE_MASKS_HD constexpr index_t y() const { return tile_y; }
    CK_TILE_MASKS_HD constexpr index_t x() const { return tile_x; }
};

// A mask bound to one (batch, head, seqlen_q, seqlen_k) and cut into tiles: what a pipeline sees.
//
//                       x (keys, seqlen_k)
//              J = 0    1    2    3
//            +----+----+----+--+
//     I = 0  |full|edge|    |  |      Tile (I, J): rows [I*Ty, (I+1)*Ty) x columns [J*Tx, (J+1)*Tx), clipped to
//            +----+----+----+--+      the bounds. Its status speaks of the clipped rectangle: empty, full, or
//     y = 1  |full|full|edge|  |      edge (some elements attended, some not).
//            +----+----+----+--+
//       2    |edge|    |edge|ed|
//            +----+----+----+--+
//
// A walk that may be early (a composition) is checked from the other direction, so that rows and columns of tiles
// agree on one set of live tiles:
// @post TileMask(I, J) iff J is visited by GetTileIndexIteratorAlongX(I) iff I is visited by ...AlongY(J)
// @post an attended element lies in a live tile; every element of a full tile is attended
template <class MaskDef, class Tile = DynamicTile>
class GenericAttentionMask {
public:
    using Bound = bound_mask_t<MaskDef>;

    CK_TILE_MASKS_HD constexpr GenericAttentionMask(const MaskDef& def, const MaskCall& call, Tile tile = {})
        : bound_(bind_mask(def, call)), seqlen_q_(call.seqlen_q), seqlen_k_(call.seqlen_k), tile_(tile)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return MaskDef::get_name(); }
    CK_TILE_MASKS_HD constexpr const Bound& bound() const { return bound_; }
    CK_TILE_MASKS_HD constexpr index_t seqlen_q() const { return seqlen_q_; }
    CK_TILE_MASKS_HD constexpr index_t seqlen_k() const { return seqlen_k_; }
    CK_TILE_MASKS_HD constexpr index_t tile_y() const { return tile_.y(); }
    CK_TILE_MASKS_HD constexpr index_t tile_x() const { return tile_.x(); }
    CK_TILE_MASKS_HD constexpr index_t num_tiles_y() const { return div_up(seqlen_q_, tile_.y()); }
    CK_TILE_MASKS_HD constexpr index_t num_tiles_x() const { return div_up(seqlen_k_, tile_.x()); }
    CK_TILE_MASKS_HD constexpr Interval rows(index_t i_y_tile) const
    {
        return tile_interval(i_y_tile, tile_.y(), seqlen_q_);
    }
    CK_TILE_MASKS_HD constexpr Interval cols(index_t i_x_tile) const
    {
        return tile_interval(i_x_tile, tile_.x(), seqlen_k_);
    }

    // Is the element attended? False outside the bounds.
    CK_TILE_MASKS_HD constexpr bool ElementwiseMask(index_t i_y, index_t i_x) const
    {
        return i_y >= 0 && i_x >= 0 && i_y < seqlen_q_ && i_x < seqlen_k_ && bound_.mask_func(i_y, i_x);
    }

    // Is the tile live (possibly attended)?
    CK_TILE_MASKS_HD constexpr bool TileMask(index_t i_y_tile, index_t i_x_tile) const
    {
        return GetTileStatus(i_y_tile, i_x_tile) != TileStatus::empty;
    }

    // Does a kernel that computes whole Ty x Tx tiles need the element check here? True for a partial tile and for a
    // live tile that sticks out of the bounds.
    CK_TILE_MASKS_HD constexpr bool IsEdgeTile(index_t i_y_tile, index_t i_x_tile) const
    {
        switch (GetTileStatus(i_y_tile, i_x_tile)) {
        case TileStatus::empty:
            return false;
        case TileStatus::edge:
            return true;
        default:
            return rows(i_y_tile).size() < tile_.y() || cols(i_x_tile).size() < tile_.x();
        }
    }

    CK_TILE_MASKS_HD constexpr TileStatus GetTileStatus(index_t i_y_tile, index_t i_x_tile) const
    {
        const Interval r = rows(i_y_tile), c = cols(i_x_tile);
        if (r.empty() || c.empty()) return TileStatus::empty;
        const bool live = bound_.next_live_col(r.begin, r.end, c.begin) < c.end &&
                          (bound_.exact() || bound_.next_live_row(c.begin, c.end, r.begin) < r.end);
        return live ? StatusOfLiveTile(i_y_tile, i_x_tile) : TileStatus::empty;
    }

    // The status of a tile that a walk stands on: `full` or `edge`.
    CK_TILE_MASKS_HD constexpr TileStatus StatusOfLiveTile(index_t i_y_tile, index_t i_x_tile) const
    {
        const Interval r = rows(i_y_tile), c = cols(i_x_tile);
        const bool full = bound_.next_not_full_col(r.begin, r.end, c.begin) >= c.end ||
                          (!bound_.exact() && bound_.next_not_full_row(c.begin, c.end, r.begin) >= r.end);
        return full ? TileStatus::full : TileStatus::edge;
    }

    // Elements [j0, j0 + count) of row i as bits, all inside the bounds; count <= 64.
    CK_TILE_MASKS_HD constexpr bits_t RowBits(index_t i, index_t j0, index_t count) const
    {
        return row_bits(bound_, i, j0, count);
    }
    // The elements of a tile, at most 64 columns wide: bit x of bits[y] is element (y, x) of the tile.
    CK_TILE_MASKS_HD constexpr void TileBits(index_t i_y_tile, index_t i_x_tile, bits_t* bits) const
    {
        const Interval r = rows(i_y_tile), c = cols(i_x_tile);
        tile_bits(bound_, r.begin, r.end, c.begin, c.size(), bits);
    }

    // First live tile of a row (column) of tiles in [from, end), or `end`.
    CK_TILE_MASKS_HD constexpr index_t NextLiveTileAlongX(index_t i_y_tile, index_t from, index_t end) const
    {
        const Interval r = rows(i_y_tile);
        if (r.empty()) return end;
        for (index_t t = from; t < end; ++t) {
            const index_t j = bound_.next_live_col(r.begin, r.end, t * tile_.x());
            if (j >= seqlen_k_) return end;
            t = j / tile_.x();
            if (t >= end) return end;
            const Interval c = cols(t);
            if (bound_.exact() || bound_.next_live_row(c.begin, c.end, r.begin) < r.end) return t;
        }
        return end;
    }
    CK_TILE_MASKS_HD constexpr index_t NextLiveTileAlongY(index_t i_x_tile, index_t from, index_t end) const
    {
        const Interval c = cols(i_x_tile);
        if (c.empty()) return end;
        for (index_t t = from; t < end; ++t) {
            const index_t i = bound_.next_live_row(c.begin, c.end, t * tile_.y());
            if (i >= seqlen_q_) return end;
            t = i / tile_.y();
            if (t >= end) return end;
            const Interval r = rows(t);
            if (bound_.exact() || bound_.next_live_col(r.begin, r.end, c.begin) < c.end) return t;
        }
        return end;
    }

    // Forward: the live tiles of a row of tiles. Backward: those of a column. [start, end) cuts long lines.
    CK_TILE_MASKS_HD constexpr auto GetTileIndexIteratorAlongX(index_t i_y_tile, index_t start, index_t end) const
    {
        return IndexIterator(AlongX{this, i_y_tile}, max(start, 0), min(end, num_tiles_x()));
    }
    CK_TILE_MASKS_HD constexpr auto GetTileIndexIteratorAlongX(index_t i_y_tile) const
    {
        return GetTileIndexIteratorAlongX(i_y_tile, 0, num_tiles_x());
    }
    CK_TILE_MASKS_HD constexpr auto GetTileIndexIteratorAlongY(index_t i_x_tile, index_t start, index_t end) const
    {
        return IndexIterator(AlongY{this, i_x_tile}, max(start, 0), min(end, num_tiles_y()));
    }
    CK_TILE_MASKS_HD constexpr auto GetTileIndexIteratorAlongY(index_t i_x_tile) const
    {
        return GetTileIndexIteratorAlongY(i_x_tile, 0, num_tiles_y());
    }

    // @post the lengths of the walks
    // Not by walking where the definition counts itself, or says where its live runs end.
    CK_TILE_MASKS_HD constexpr index_t num_live_tiles_in_row(index_t i_y_tile) const
    {
        const Interval r = rows(i_y_tile);
        if (r.empty()) return 0;
        if constexpr (meta::detected<contract::count_live_col_tiles_t, Bound>) {
            const index_t count = bound_.count_live_col_tiles(r.begin, r.end, tile_.x(), seqlen_k_);
            if (count != kUnknownCount) return count;
        }
        if constexpr (contract::has_live_runs<Bound>)
            if (bound_.exact()) return count_runs_along_x(r);
        return length(GetTileIndexIteratorAlongX(i_y_tile));
    }
    CK_TILE_MASKS_HD constexpr index_t num_live_tiles_in_col(index_t i_x_tile) const
    {
        const Interval c = cols(i_x_tile);
        if (c.empty()) return 0;
        if constexpr (meta::detected<contract::count_live_row_tiles_t, Bound>) {
            const index_t count = bound_.count_live_row_tiles(c.begin, c.end, tile_.y(), seqlen_q_);
            if (count != kUnknownCount) return count;
        }
        if constexpr (contract::has_live_runs<Bound>)
            if (bound_.exact()) return count_runs_along_y(c);
        return length(GetTileIndexIteratorAlongY(i_x_tile));
    }
    // The counts of the rows (columns) of tiles [begin, end): cheaper than one by one where neighbours share work.
    CK_TILE_MASKS_HD void num_live_tiles_in_rows(index_t begin, index_t end, index_t* counts) const
    {
        for (index_t i = begin; i < end; ++i)
            counts[i - begin] = kUnknownCount;
        if constexpr (meta::detected<contract::count_live_tiles_of_rows_t, Bound>)
            if (begin < min(end, num_tiles_y()))
                bound_.count_live_tiles_of_rows(
                    {begin, min(end, num_tiles_y()), tile_.y(), seqlen_q_, tile_.x(), seqlen_k_}, counts);
        for (index_t i = begin; i < end; ++i)
            if (counts[i - begin] == kUnknownCount) counts[i - begin] = num_live_tiles_in_row(i);
    }
    CK_TILE_MASKS_HD void num_live_tiles_in_cols(index_t begin, index_t end, index_t* counts) const
    {
        for (index_t j = begin; j < end; ++j)
            counts[j - begin] = kUnknownCount;
        if constexpr (meta::detected<contract::count_live_tiles_of_cols_t, Bound>)
            if (begin < min(end, num_tiles_x()))
                bound_.count_live_tiles_of_cols(
                    {begin, min(end, num_tiles_x()), tile_.x(), seqlen_k_, tile_.y(), seqlen_q_}, counts);
        for (index_t j = begin; j < end; ++j)
            if (counts[j - begin] == kUnknownCount) counts[j - begin] = num_live_tiles_in_col(j);
    }
    CK_TILE_MASKS_HD constexpr long_index_t num_live_tiles() const
    {
        long_index_t total = 0;
        for (index_t i = 0; i < num_tiles_y(); ++i)
            total += num_live_tiles_in_row(i);
        return total;
    }

private:
    struct AlongX {
        const GenericAttentionMask* mask;
        index_t line;
        CK_TILE_MASKS_HD constexpr index_t operator()(index_t from, index_t end) const
        {
            return mask->NextLiveTileAlongX(line, from, end);
        }
    };
    struct AlongY {
        const GenericAttentionMask* mask;
        index_t line;
        CK_TILE_MASKS_HD constexpr index_t operator()(index_t from, index_t end) const
        {
            return mask->NextLiveTileAlongY(line, from, end);
        }
    };
    CK_TILE_MASKS_HD constexpr index_t count_runs_along_x(Interval r) const
    {
        index_t count = 0;
        for (index_t from = 0; from < seqlen_k_;) {
            const index_t j = bound_.next_live_col(r.begin, r.end, from);
            if (j >= seqlen_k_) break;
            const index_t last = (min(bound_.live_run_end_col(r.begin, r.end, j), seqlen_k_) - 1) / tile_.x();
            count += last - j / tile_.x() + 1;
            from = sat_mul(last + 1, tile_.x());
        }
        return count;
    }
    CK_TILE_MASKS_HD constexpr index_t count_runs_along_y(Interval c) const
    {
        index_t count = 0;
        for (index_t from = 0; from < seqlen_q_;) {
            const index_t i = bound_.next_live_row(c.begin, c.end, from);
            if (i >= seqlen_q_) break;
            const index_t last = (min(bound_.live_run_end_row(c.begin, c.end, i), seqlen_q_) - 1) / tile_.y();
            count += last - i / tile_.y() + 1;
            from = sat_mul(last + 1, tile_.y());
        }
        return count;
    }
    template <class Iterator>
    CK_TILE_MASKS_HD static constexpr index_t length(Iterator it)
    {
        index_t count = 0;
        for (; !it.at_end(); it.advance())
            ++count;
        return count;
    }

    Bound bound_;
    index_t seqlen_q_;
    index_t seqlen_k_;
    Tile tile_;
};

} // namespace ck_tile_masks
