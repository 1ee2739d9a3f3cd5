#pragma once

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/tile_counts.hpp"

// Fixed attention of the Sparse Transformer: the past of the own group, and the last `summary` positions of every group
// before it.
//
//     attended iff  j <= i  and  (floor(j / local) == floor(i / local)  or  j mod local >= local - summary)
//
//      local 3, summary 1      # . . . . . .
//                              # # . . . . .
//                              # # # . . . .
//                              . . # # . . .
//                              . . # # # . .
//                              . . # # # # .
//                              . . # . . # #
//
// Source: Child, Gray, Radford, Sutskever, "Generating Long Sequences with Sparse Transformers", 2019, section 4.2 (l
// and c there). Positions of rows and columns are compared as they are when seqlen_q != seqlen_k.

namespace ck_tile_masks {

struct Fixed : MaskDefABC<Fixed> {
    index_t local;
    index_t summary; // 0 .. local

    CK_TILE_MASKS_HD constexpr Fixed(index_t local_, index_t summary_) : local(local_), summary(summary_) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "fixed"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const
    {
        return j <= i && (j / local == i / local || is_summary(j));
    }

    // Columns from the begin of row i0's group on are live up to the band's last row; before it, summaries.
    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t i0, index_t i1, index_t from_j) const
    {
        if (from_j >= i1) return kNone;
        return max(from_j, min(group_begin(i0), next_summary(from_j)));
    }
    // Column j <= i0 is attended by the whole band if it is a summary, or if the band lies in j's group.
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const
    {
        if (from_j > i0) return from_j;
        const bool one_group = group_begin(i0) == group_begin(i1 - 1);
        if (one_group && from_j >= group_begin(i0)) return i0 + 1;
        if (!is_summary(from_j)) return from_j;
        const index_t j = summary == local ? kNone : group_end(from_j);
        return j > i0 || (one_group && j == group_begin(i0)) ? i0 + 1 : j;
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t j1, index_t from_i) const
    {
        if (from_i < j0) return j0;
        return from_i < group_end(j1 - 1) || next_summary(j0) < j1 ? from_i : kNone;
    }
    // Row i >= j1 - 1 attends the whole band if all columns that are no summaries lie in i's group.
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const
    {
        if (from_i < j1 - 1) return from_i;
        const index_t first = is_summary(j0) ? (summary == local ? kNone : group_end(j0)) : j0;
        if (first >= j1) return kNone;
        const index_t last = is_summary(j1 - 1) ? group_begin(j1 - 1) + (local - summary) - 1 : j1 - 1;
        const bool one_group = group_begin(first) == group_begin(last);
        return one_group ? max(from_i, group_end(first)) : from_i;
    }

    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t i0, index_t i1, index_t j) const
    {
        return j >= group_begin(i0) || summary == local ? i1 : min(group_end(j), i1);
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t j0, index_t j1, index_t) const
    {
        return next_summary(j0) < j1 ? kIndexMax : group_end(j1 - 1);
    }

    // The tiles of the band's own groups; the summaries in the tiles before them.
    CK_TILE_MASKS_HD constexpr index_t count_live_col_tiles(index_t i0, index_t i1, index_t tile,
                                                            index_t seqlen_k) const
    {
        const index_t begin = group_begin(i0), end = min(i1, seqlen_k);
        const index_t before = begin < end ? begin / tile * tile : end;
        const index_t own = tiles_of_interval(begin, end, tile);
        return summary == 0 ? own : own + tiles_of_runs(local - summary, local, summary, 0, before, tile);
    }
    // A column with a summary is one run of rows, one without ends with its group.
    CK_TILE_MASKS_HD constexpr index_t count_live_row_tiles(index_t j0, index_t j1, index_t tile,
                                                            index_t seqlen_q) const
    {
        return tiles_of_interval(j0, min(live_run_end_row(j0, j1, j0), seqlen_q), tile);
    }

private:
    CK_TILE_MASKS_HD constexpr index_t group_begin(index_t e) const { return e - e % local; }
    CK_TILE_MASKS_HD constexpr index_t group_end(index_t e) const { return sat_add(group_begin(e), local); }
    CK_TILE_MASKS_HD constexpr bool is_summary(index_t j) const { return j % local >= local - summary; }
    // The smallest summary position >= j, or kNone.
    CK_TILE_MASKS_HD constexpr index_t next_summary(index_t j) const
    {
        if (summary == 0) return kNone;
        return max(j, sat_add(group_begin(j), local - summary));
    }
};

} // namespace ck_tile_masks
