#pragma once

#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// Gives every definition the element-level walks, whatever its level of knowledge: closed forms pass through,
// block definitions are lifted from blocks to elements, element definitions are probed.

namespace ck_tile_masks {

// Elements [j0, j0 + count) of row i, asked one by one.
template <class Def>
CK_TILE_MASKS_HD constexpr bits_t element_bits(const Def& def, index_t i, index_t j0, index_t count)
{
    bits_t bits = 0;
    for (index_t n = 0; n < count; ++n)
        bits |= static_cast<bits_t>(def.mask_func(i, j0 + n)) << n;
    return bits;
}

// An element definition, probed: the answers are exact and cost O(elements looked at).
template <class Def>
struct ProbedElements : MaskDefABC<ProbedElements<Def>> {
    Def def;
    index_t seqlen_q = 0;
    index_t seqlen_k = 0;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return Def::get_name(); }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const { return def.mask_func(i, j); }
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return element_bits(def, i, j0, count);
    }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        return first_col(i0, i1, from_j, true);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        return first_col(i0, i1, from_j, false);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        return first_row(j0, j1, from_i, true);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        return first_row(j0, j1, from_i, false);
    }

private:
    CK_TILE_MASKS_HD constexpr index_t first_col(index_t i0, index_t i1, index_t from_j, bool attended) const
    {
        for (index_t j = from_j; j < seqlen_k; ++j)
            for (index_t i = i0; i < i1; ++i)
                if (def.mask_func(i, j) == attended) return j;
        return kNone;
    }
    CK_TILE_MASKS_HD constexpr index_t first_row(index_t j0, index_t j1, index_t from_i, bool attended) const
    {
        for (index_t i = from_i; i < seqlen_q; ++i)
            for (index_t j = j0; j < j1; ++j)
                if (def.mask_func(i, j) == attended) return i;
        return kNone;
    }
};

template <class Bound>
CK_TILE_MASKS_HD constexpr bits_t row_bits(const Bound& mask, index_t i, index_t j0, index_t count);

// A block definition seen at element level. A band of rows covers the blocks [i0 / by, ceil(i1 / by)).
// Exact when blocks are all or nothing; early by at most one block where a block is partial.
template <class Def>
struct LiftedBlocks : MaskDefABC<LiftedBlocks<Def>> {
    Def def;
    index_t num_blocks_y = 0;
    index_t num_blocks_x = 0;

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return Def::get_name(); }
    CK_TILE_MASKS_HD constexpr bool exact() const { return !contract::has_edge_blocks<Def>; }
    template <class Visit, class D = Def, class = contract::for_each_array_t<D>>
    CK_TILE_MASKS_HD constexpr void for_each_array(Visit&& visit)
    {
        def.for_each_array(visit);
    }

    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        if constexpr (contract::has_edge_blocks<Def>)
            return def.mask_func(i, j);
        else
            return def.tile_mask_func(i / def.block_y(), j / def.block_x());
    }

    // Is a live rectangle full because it lies in one block, which is attended whole?
    CK_TILE_MASKS_HD constexpr bool is_in_one_block(Interval rows, Interval cols) const
    {
        return exact() && blocks(rows.begin, rows.end, def.block_y()).size() == 1 &&
               blocks(cols.begin, cols.end, def.block_x()).size() == 1;
    }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        const Interval band = blocks(i0, i1, def.block_y());
        const index_t from = from_j / def.block_x();
        if constexpr (contract::num_block_walks<Def> == 4)
            return lift(def.next_live_block_col(band.begin, band.end, from), def.block_x(), from_j);
        else
            return lift(first_col(band, from, true), def.block_x(), from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        const Interval band = blocks(i0, i1, def.block_y());
        const index_t from = from_j / def.block_x();
        if constexpr (contract::num_block_walks<Def> == 4)
            return lift(def.next_not_full_block_col(band.begin, band.end, from), def.block_x(), from_j);
        else
            return lift(first_col(band, from, false), def.block_x(), from_j);
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        const Interval band = blocks(j0, j1, def.block_x());
        const index_t from = from_i / def.block_y();
        if constexpr (contract::num_block_walks<Def> == 4)
            return lift(def.next_live_block_row(band.begin, band.end, from), def.block_y(), from_i);
        else
            return lift(first_row(band, from, true), def.block_y(), from_i);
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        const Interval band = blocks(j0, j1, def.block_x());
        const index_t from = from_i / def.block_y();
        if constexpr (contract::num_block_walks<Def> == 4)
            return lift(def.next_not_full_block_row(band.begin, band.end, from), def.block_y(), from_i);
        else
            return lift(first_row(band, from, false), def.block_y(), from_i);
    }

    template <class D = Def, class = contract::row_bits_t<D>>
    CK_TILE_MASKS_HD constexpr bits_t row_bits(index_t i, index_t j0, index_t count) const
    {
        return def.row_bits(i, j0, count);
    }
    // The rows of a block of whole blocks are all alike.
    template <class D = Def, class = meta::enable_if_t<!contract::has_edge_blocks<D>>>
    CK_TILE_MASKS_HD constexpr void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        for (index_t i = i0; i < i1;) {
            const bits_t row = ck_tile_masks::row_bits(*this, i, j0, count);
            const index_t end = min(sat_mul(i / def.block_y() + 1, def.block_y()), i1);
            for (; i < end; ++i)
                bits[i - i0] = row;
        }
    }

    // Only of whole blocks: a live block with partial elements may have dead columns.
    template <class D = Def,
              class = meta::enable_if_t<contract::has_live_block_runs<D> && !contract::has_edge_blocks<D>>>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        const Interval band = blocks(i0, i1, def.block_y());
        return sat_mul(def.live_run_end_block_col(band.begin, band.end, j / def.block_x()), def.block_x());
    }
    template <class D = Def,
              class = meta::enable_if_t<contract::has_live_block_runs<D> && !contract::has_edge_blocks<D>>>
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t i) const
    {
        const Interval band = blocks(j0, j1, def.block_x());
        return sat_mul(def.live_run_end_block_row(band.begin, band.end, i / def.block_y()), def.block_y());
    }

    // Blocks are counted in elements already.
    template <class D = Def, class = contract::count_live_col_tiles_t<D>>
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        return def.count_live_col_tiles(i0, i1, tile, seqlen_k);
    }
    template <class D = Def, class = contract::count_live_row_tiles_t<D>>
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return def.count_live_row_tiles(j0, j1, tile, seqlen_q);
    }
    template <class D = Def, class = contract::count_live_tiles_of_rows_t<D>>
    CK_TILE_MASKS_HD bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const
    {
        return def.count_live_tiles_of_rows(rows, counts);
    }
    template <class D = Def, class = contract::count_live_tiles_of_cols_t<D>>
    CK_TILE_MASKS_HD bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const
    {
        return def.count_live_tiles_of_cols(cols, counts);
    }

private:
    CK_TILE_MASKS_HD static constexpr Interval blocks(index_t e0, index_t e1, index_t block)
    {
        return {e0 / block, (e1 - 1) / block + 1};
    }
    CK_TILE_MASKS_HD static constexpr index_t lift(index_t i_block, index_t block, index_t from)
    {
        return i_block == kNone ? kNone : max(from, sat_mul(i_block, block));
    }
    // live = false asks for "not full": an empty or a partial block.
    CK_TILE_MASKS_HD constexpr bool matches(index_t i_block, index_t j_block, bool live) const
    {
        if (live) return def.tile_mask_func(i_block, j_block);
        if constexpr (contract::has_edge_blocks<Def>)
            if (def.edge_tile_func(i_block, j_block)) return true;
        return !def.tile_mask_func(i_block, j_block);
    }
    CK_TILE_MASKS_HD constexpr index_t first_col(Interval band, index_t from, bool live) const
    {
        for (index_t j = from; j < num_blocks_x; ++j)
            for (index_t i = band.begin; i < band.end; ++i)
                if (matches(i, j, live)) return j;
        return kNone;
    }
    CK_TILE_MASKS_HD constexpr index_t first_row(Interval band, index_t from, bool live) const
    {
        for (index_t i = from; i < num_blocks_y; ++i)
            for (index_t j = band.begin; j < band.end; ++j)
                if (matches(i, j, live)) return i;
        return kNone;
    }
};

// Binds a definition to a call and gives the result its walks.
// @post the result has mask_func, the four walks and exact(), and reads nothing but its own fields
template <class Def>
CK_TILE_MASKS_HD constexpr auto bind_mask(const Def& def, const MaskCall& call)
{
    static_assert(contract::check_definition<Def>(), "ck_tile_masks: see the contract in mask_def.hpp.");
    auto bound = def.bind(call);
    using Bound = decltype(bound);
    static_assert(contract::check_definition<Bound>() && contract::check_bound<Bound>(),
                  "ck_tile_masks: see the contract in mask_def.hpp.");
    if constexpr (contract::num_walks<Bound> == 4)
        return bound;
    else if constexpr (Bound::IsTileMask)
        return LiftedBlocks<Bound>{
            {}, bound, div_up(call.seqlen_q, bound.block_y()), div_up(call.seqlen_k, bound.block_x())};
    else
        return ProbedElements<Bound>{{}, bound, call.seqlen_q, call.seqlen_k};
}

template <class Def>
using bound_mask_t = decltype(bind_mask(meta::declval<const Def&>(), MaskCall{}));

// Elements [j0, j0 + count) of row i, count <= 64, from a bound mask.
// @post bit n of the result is set iff n < count and mask.mask_func(i, j0 + n)
template <class Bound>
CK_TILE_MASKS_HD constexpr bits_t row_bits(const Bound& mask, index_t i, index_t j0, index_t count)
{
    if constexpr (meta::detected<contract::row_bits_t, Bound>) {
        return mask.row_bits(i, j0, count);
    } else {
        if (!mask.exact()) return element_bits(mask, i, j0, count);
        // Runs of attended elements: a handful of steps for windows, blocks and documents.
        bits_t bits = 0;
        const index_t end = j0 + count;
        for (index_t from = j0; from < end;) {
            const index_t j = mask.next_live_col(i, i + 1, from);
            if (j >= end) break;
            from = min(mask.next_not_full_col(i, i + 1, j), end);
            bits |= low_bits(from - j) << (j - j0);
        }
        return bits;
    }
}

// Elements [i0, i1) x [j0, j0 + count), count <= 64, a word for each row.
// @post bits[r] == row_bits(mask, i0 + r, j0, count) for r in [0, i1 - i0)
template <class Bound>
CK_TILE_MASKS_HD constexpr void tile_bits(const Bound& mask, index_t i0, index_t i1, index_t j0, index_t count,
                                          bits_t* bits)
{
    if constexpr (meta::detected<contract::tile_bits_t, Bound>)
        mask.tile_bits(i0, i1, j0, count, bits);
    else
        for (index_t i = i0; i < i1; ++i)
            bits[i - i0] = row_bits(mask, i, j0, count);
}

} // namespace ck_tile_masks
