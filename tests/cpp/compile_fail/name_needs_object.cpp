// expect: ck_tile_masks: a mask definition must have a name: add `static constexpr const char* get_name() { return
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    const char* get_name() const { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
