// expect: ck_tile_masks: the ends of live runs come in pairs: give both live_run_end_col and live_run_end_row (both
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool exact() const { return true; }
    constexpr bool mask_func(index_t, index_t) const { return true; }
    constexpr index_t next_live_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_col(index_t, index_t, index_t) const { return kNone; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_row(index_t, index_t, index_t) const { return kNone; }
    constexpr index_t live_run_end_col(index_t, index_t, index_t) const { return kIndexMax; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
