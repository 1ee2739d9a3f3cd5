// expect: ck_tile_masks: a mask definition must derive from MaskDefABC of itself: write `struct MyMask :
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Other : MaskDefABC<Other> {
    static constexpr const char* get_name() { return "other"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
};

struct Mine : MaskDefABC<Other> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
