#pragma once

#include "ck_tile_masks/masks/diagonal.hpp"

// Prefix language model: every query sees the whole prefix, and the past.
//
//     attended iff  j < prefix  or  j <= i + d
//     d = 0 (top-left) or seqlen_k - seqlen_q (bottom-right)
//
//      prefix 3        # # # . .
//                      # # # . .
//                      # # # . .
//                      # # # # .
//                      # # # # #
//
// Source: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2020,
// section 3.2.1 ("causal with prefix").

namespace ck_tile_masks {

// Bound: attended iff j < prefix or j - i <= hi. A row attends the columns up to its end, max(prefix, i + hi + 1).
struct BoundPrefixLM : MaskDefABC<BoundPrefixLM> {
    index_t prefix;
    index_t hi;

    CK_TILE_MASKS_HD constexpr BoundPrefixLM(index_t prefix_, index_t hi_) : prefix(prefix_), hi(hi_) {}

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "prefix_lm"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t i, index_t j) const { return j < prefix || j - i <= hi; }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t, index_t i1, index_t from_j) const
    {
        return from_j < prefix || from_j <= sat_add(i1 - 1, hi) ? from_j : kNone;
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t i0, index_t, index_t from_j) const
    {
        return max(from_j, max(prefix, sat_add(sat_add(i0, hi), 1)));
    }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t j0, index_t, index_t from_i) const
    {
        return j0 < prefix ? from_i : max(from_i, sat_sub(j0, hi));
    }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t, index_t j1, index_t from_i) const
    {
        return j1 > prefix && from_i < sat_sub(j1 - 1, hi) ? from_i : kNone;
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t, index_t i1, index_t) const
    {
        return max(prefix, sat_add(sat_add(i1 - 1, hi), 1));
    }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t, index_t, index_t) const { return kIndexMax; }
};

struct PrefixLM : MaskDefABC<PrefixLM> {
    index_t prefix;
    Alignment alignment;

    CK_TILE_MASKS_HD constexpr explicit PrefixLM(index_t prefix_, Alignment alignment_ = Alignment::top_left)
        : prefix(prefix_), alignment(alignment_)
    {
    }

    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "prefix_lm"; }
    CK_TILE_MASKS_HD constexpr BoundPrefixLM bind(const MaskCall& call) const
    {
        return {prefix, alignment == Alignment::bottom_right ? call.seqlen_k - call.seqlen_q : 0};
    }
};

} // namespace ck_tile_masks
