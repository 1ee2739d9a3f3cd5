#pragma once

#include "ck_tile_masks/mask_def.hpp"

namespace ck_tile_masks {

// Every element attended: dense attention.
struct Full : MaskDefABC<Full> {
    CK_TILE_MASKS_HD static constexpr const char* get_name() { return "full"; }
    CK_TILE_MASKS_HD constexpr bool exact() const { return true; }
    CK_TILE_MASKS_HD constexpr bool mask_func(index_t, index_t) const { return true; }

    CK_TILE_MASKS_HD constexpr index_t next_live_col(index_t, index_t, index_t from_j) const { return from_j; }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_col(index_t, index_t, index_t) const { return kNone; }
    CK_TILE_MASKS_HD constexpr index_t next_live_row(index_t, index_t, index_t from_i) const { return from_i; }
    CK_TILE_MASKS_HD constexpr index_t next_not_full_row(index_t, index_t, index_t) const { return kNone; }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_col(index_t, index_t, index_t) const { return kIndexMax; }
    CK_TILE_MASKS_HD constexpr index_t live_run_end_row(index_t, index_t, index_t) const { return kIndexMax; }
};

} // namespace ck_tile_masks
