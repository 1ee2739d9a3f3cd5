#pragma once

#include "ck_tile_masks/index.hpp"
#include "ck_tile_masks/interval.hpp"
#include "ck_tile_masks/meta.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// The contract of a mask definition. Element (i_y, i_x): query row i_y, key column i_x, true = attended.
//
// A definition is a trivially copyable struct `struct M : MaskDefABC<M>` with
//
//     static constexpr const char* get_name();
//
// and one of three levels of knowledge; the library derives tile status, walks and counts from it:
//
//   element      bool mask_func(index_t i_y, index_t i_x) const;
//                Nothing else. Live tiles are found by probing elements, O(elements); good for trying an idea.
//
//   block        static constexpr bool IsTileMask = true;
//                index_t block_y() const;  index_t block_x() const;          // block shape, any size >= 1
//                bool tile_mask_func(index_t i_y_tile, index_t i_x_tile) const;   // block not empty?
//                Blocks are all or nothing, unless it also gives both of
//                    bool edge_tile_func(index_t i_y_tile, index_t i_x_tile) const;   // block partial?
//                    bool mask_func(index_t i_y, index_t i_x) const;
//                Probed block by block, O(blocks), unless it has the four block walks
//                    next_live_block_col, next_not_full_block_col, next_live_block_row, next_not_full_block_row.
//                The definition's block and the kernel's tile are independent.
//
//   closed form  bool mask_func(index_t i_y, index_t i_x) const;   and the four walks over a band:
//                index_t next_live_col(index_t i0, index_t i1, index_t from_j) const;
//                    smallest j >= from_j attended by some row of [i0, i1), or kNone
//                index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const;
//                    smallest j >= from_j not attended by some row of [i0, i1), or kNone
//                index_t next_live_row(index_t j0, index_t j1, index_t from_i) const;       (the duals, for
//                index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const;    a band of columns)
//                Bands are not empty and lie inside the sequence; answers past its end are ignored.
//                An answer may come early (an empty tile is visited, a full one checked), never late, and for
//                one band all answers are members of one set: next(from) is its first member >= from, hence
//                next(next(from)) == next(from). Walks that are never early say so:
//                constexpr bool exact() const { return true; }
//
// Optional for exact closed forms, in elements or in blocks, both or neither: where a run of live lines ends, so that
// live tiles are counted run by run and not one by one:
//                index_t live_run_end_col(index_t i0, index_t i1, index_t j) const;      (live_run_end_block_col)
//                    column j is live for the band; returns an e > j such that all of [j, e) is, not necessarily the
//                    largest one and possibly past the end of the sequence
//                index_t live_run_end_row(index_t j0, index_t j1, index_t i) const;      (live_run_end_block_row)
//
// Optional beside these: counts at once, for patterns with many short runs; kUnknownCount where there is no closed
// form:
//                index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile, index_t seqlen_k) const;
//                    how many of the tiles of `tile` columns have a column < seqlen_k that is live for the band
//                index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile, index_t seqlen_q) const;
// and the counts of many lines of tiles at once, where these share work; false where one by one is the way:
//                bool count_live_tiles_of_rows(const TileLines& rows, index_t* counts) const;
//                    counts[n]: the live tiles of row of tiles rows.begin + n, or kUnknownCount
//                bool count_live_tiles_of_cols(const TileLines& cols, index_t* counts) const;
// All of these in elements, also where the walks are in blocks.
//
// Binding: `auto bind(const MaskCall&) const` returns the definition that serves one call (alignment, clamps, per-head
// parameters resolved). Without it the definition serves every call itself; with it only what bind returns needs the
// predicates, so that parameters and their bound form can be two types.
// A bound form that points to arrays (offsets, lists: somebody else's, see IndexSpan) shows them, so that they can be
// copied to where kernels read them:
//                template <class Visit> void for_each_array(Visit&& visit);
//                    calls visit(array, count) with a reference to each pointer that is in use and the number of its
//                    elements; visit may change the pointer, but only after all of them were visited.
// Also optional with closed forms: `bits_t row_bits(index_t i_y, index_t j0, index_t count) const`, the elements
// [j0, j0 + count) of a row, count <= 64. Without it they come from the walks if those are exact, else from mask_func.
// And `void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const`, those of the rows [i0,
// i1) at once, where that is cheaper than row by row.

namespace ck_tile_masks {

// What a mask may depend on besides its own parameters.
struct MaskCall {
    index_t batch = 0;
    index_t head = 0;
    index_t seqlen_q = 0;
    index_t seqlen_k = 0;
};

template <class Derived>
struct MaskDefABC {
    using MaskDefTag = MaskDefABC;

    static constexpr bool IsTileMask = false;

    CK_TILE_MASKS_HD constexpr bool exact() const { return false; }
    CK_TILE_MASKS_HD constexpr Derived bind(const MaskCall&) const { return static_cast<const Derived&>(*this); }
};

namespace contract {

template <class M>
using get_name_t = decltype(M::get_name());
template <class M>
using mask_func_t = decltype(static_cast<bool>(meta::declval<const M&>().mask_func(index_t{}, index_t{})));
template <class M>
using tile_mask_func_t = decltype(static_cast<bool>(meta::declval<const M&>().tile_mask_func(index_t{}, index_t{})));
template <class M>
using edge_tile_func_t = decltype(static_cast<bool>(meta::declval<const M&>().edge_tile_func(index_t{}, index_t{})));
template <class M>
using block_y_t = decltype(static_cast<index_t>(meta::declval<const M&>().block_y()));
template <class M>
using block_x_t = decltype(static_cast<index_t>(meta::declval<const M&>().block_x()));
template <class M>
using bind_t = decltype(meta::declval<const M&>().bind(MaskCall{}));
template <class M>
using row_bits_t = decltype(meta::declval<const M&>().row_bits(index_t{}, index_t{}, index_t{}));
template <class M>
using tile_bits_t = decltype(meta::declval<const M&>().tile_bits(index_t{}, index_t{}, index_t{}, index_t{},
                                                                 static_cast<bits_t*>(nullptr)));

template <class M>
using is_in_one_block_t = decltype(meta::declval<const M&>().is_in_one_block(Interval{}, Interval{}));

struct AnyVisitor {
    template <class Array, class Count>
    CK_TILE_MASKS_HD constexpr void operator()(Array&, Count) const
    {
    }
};
template <class M>
using for_each_array_t = decltype(meta::declval<M&>().for_each_array(AnyVisitor{}));

template <class M>
using count_live_col_tiles_t =
    decltype(static_cast<index_t>(meta::declval<const M&>().count_live_col_tiles(0, 0, 0, 0)));
template <class M>
using count_live_row_tiles_t =
    decltype(static_cast<index_t>(meta::declval<const M&>().count_live_row_tiles(0, 0, 0, 0)));

template <class M>
using count_live_tiles_of_rows_t =
    decltype(static_cast<bool>(meta::declval<const M&>().count_live_tiles_of_rows(TileLines{}, nullptr)));
template <class M>
using count_live_tiles_of_cols_t =
    decltype(static_cast<bool>(meta::declval<const M&>().count_live_tiles_of_cols(TileLines{}, nullptr)));

#define CK_TILE_MASKS_WALK(name)                                                                                       \
    template <class M>                                                                                                 \
    using name##_t = decltype(static_cast<index_t>(meta::declval<const M&>().name(index_t{}, index_t{}, index_t{})));
CK_TILE_MASKS_WALK(next_live_col)
CK_TILE_MASKS_WALK(next_not_full_col)
CK_TILE_MASKS_WALK(next_live_row)
CK_TILE_MASKS_WALK(next_not_full_row)
CK_TILE_MASKS_WALK(next_live_block_col)
CK_TILE_MASKS_WALK(next_not_full_block_col)
CK_TILE_MASKS_WALK(next_live_block_row)
CK_TILE_MASKS_WALK(next_not_full_block_row)
CK_TILE_MASKS_WALK(live_run_end_col)
CK_TILE_MASKS_WALK(live_run_end_row)
CK_TILE_MASKS_WALK(live_run_end_block_col)
CK_TILE_MASKS_WALK(live_run_end_block_row)
#undef CK_TILE_MASKS_WALK

template <class M>
inline constexpr int num_walks = meta::detected<next_live_col_t, M> + meta::detected<next_not_full_col_t, M> +
                                 meta::detected<next_live_row_t, M> + meta::detected<next_not_full_row_t, M>;
template <class M>
inline constexpr int num_block_walks =
    meta::detected<next_live_block_col_t, M> + meta::detected<next_not_full_block_col_t, M> +
    meta::detected<next_live_block_row_t, M> + meta::detected<next_not_full_block_row_t, M>;
template <class M>
inline constexpr bool has_live_runs = meta::detected<live_run_end_col_t, M> && meta::detected<live_run_end_row_t, M>;
template <class M>
inline constexpr bool has_live_block_runs =
    meta::detected<live_run_end_block_col_t, M> && meta::detected<live_run_end_block_row_t, M>;
template <class M>
inline constexpr bool has_edge_blocks = meta::detected<edge_tile_func_t, M> && meta::detected<mask_func_t, M>;

template <class M>
CK_TILE_MASKS_HD constexpr bool derives_from_itself()
{
    return __is_base_of(MaskDefABC<M>, M);
}

// Each broken rule is one sentence in the compiler's output. First what a definition needs to be bound ...
template <class M>
CK_TILE_MASKS_HD constexpr bool check_definition()
{
    constexpr bool derives = derives_from_itself<M>();
    static_assert(derives, "ck_tile_masks: a mask definition must derive from MaskDefABC of itself: "
                           "write `struct MyMask : MaskDefABC<MyMask>`.");
    if constexpr (derives) {
        static_assert(meta::detected<get_name_t, M>,
                      "ck_tile_masks: a mask definition must have a name: add "
                      "`static constexpr const char* get_name() { return \"my_mask\"; }`.");
        static_assert(__is_trivially_copyable(M),
                      "ck_tile_masks: a mask definition must be trivially copyable, because kernels receive it as an "
                      "argument: keep plain numbers and pointers in it, no containers and no virtual functions.");
        static_assert(meta::detected<bind_t, M>,
                      "ck_tile_masks: bind must be callable as `bind(const MaskCall&) const` and return the mask "
                      "definition that serves that call.");
    }
    return true;
}

// ... then what the bound definition needs to be walked.
template <class M>
CK_TILE_MASKS_HD constexpr bool check_bound()
{
    constexpr bool block = M::IsTileMask;
    static_assert(block || meta::detected<mask_func_t, M>,
                  "ck_tile_masks: an element mask must have `bool mask_func(index_t i_y, index_t i_x) const`, true "
                  "where query row i_y attends key column i_x; a mask of whole blocks sets IsTileMask = true and "
                  "gives tile_mask_func instead.");
    static_assert(!block || meta::detected<tile_mask_func_t, M>,
                  "ck_tile_masks: a mask with IsTileMask = true must have `bool tile_mask_func(index_t i_y_tile, "
                  "index_t i_x_tile) const`, true where the block has an attended element.");
    static_assert(!block || (meta::detected<block_y_t, M> && meta::detected<block_x_t, M>),
                  "ck_tile_masks: a mask with IsTileMask = true must say its block shape: add `index_t block_y() "
                  "const` and `index_t block_x() const`.");
    static_assert(!block || meta::detected<edge_tile_func_t, M> == meta::detected<mask_func_t, M>,
                  "ck_tile_masks: a block mask with partial blocks must have both edge_tile_func (which blocks are "
                  "partial) and mask_func (their elements); one whose blocks are all or nothing has neither.");
    static_assert(block || num_walks<M> == 0 || num_walks<M> == 4,
                  "ck_tile_masks: a closed-form mask must have all four walks next_live_col, next_not_full_col, "
                  "next_live_row and next_not_full_row with arguments (band begin, band end, from); with none of "
                  "them it is probed.");
    static_assert(!block || num_walks<M> == 0,
                  "ck_tile_masks: a mask with IsTileMask = true walks in blocks: give next_live_block_col and its "
                  "three siblings instead of next_live_col, or drop IsTileMask.");
    static_assert(num_block_walks<M> == 0 || (block && num_block_walks<M> == 4),
                  "ck_tile_masks: block walks need IsTileMask = true and all four of next_live_block_col, "
                  "next_not_full_block_col, next_live_block_row and next_not_full_block_row.");
    static_assert(meta::detected<live_run_end_col_t, M> == meta::detected<live_run_end_row_t, M> &&
                      meta::detected<live_run_end_block_col_t, M> == meta::detected<live_run_end_block_row_t, M>,
                  "ck_tile_masks: the ends of live runs come in pairs: give both live_run_end_col and "
                  "live_run_end_row (both live_run_end_block_col and live_run_end_block_row), or neither.");
    static_assert((!meta::detected<live_run_end_col_t, M> || num_walks<M> == 4) &&
                      (!meta::detected<live_run_end_block_col_t, M> || num_block_walks<M> == 4),
                  "ck_tile_masks: live_run_end_col needs the four walks next_live_col, ..., and live_run_end_block_col "
                  "the four block walks: a probed definition finds its runs itself.");
    return true;
}

} // namespace contract

} // namespace ck_tile_masks
