// expect: ck_tile_masks: bind must be callable as `bind(const MaskCall&) const` and return the mask definition that
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
    constexpr Mine bind() const { return *this; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
