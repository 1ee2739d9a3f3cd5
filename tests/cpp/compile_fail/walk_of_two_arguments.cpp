// expect: ck_tile_masks: a closed-form mask must have all four walks next_live_col, next_not_full_col, next_live_row
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
    constexpr index_t next_live_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_row(index_t, index_t from) const { return from; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
