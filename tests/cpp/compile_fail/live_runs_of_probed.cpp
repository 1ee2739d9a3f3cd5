// expect: ck_tile_masks: live_run_end_col needs the four walks next_live_col, ..., and live_run_end_block_col the four
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t, index_t) const { return true; }
    constexpr index_t live_run_end_col(index_t, index_t, index_t) const { return kIndexMax; }
    constexpr index_t live_run_end_row(index_t, index_t, index_t) const { return kIndexMax; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
