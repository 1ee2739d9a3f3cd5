// expect: ck_tile_masks: an element mask must have `bool mask_func(index_t i_y, index_t i_x) const`, true where query
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr const char* get_name() { return "mine"; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
