// expect: ck_tile_masks: a mask definition must be trivially copyable, because kernels receive it as an argument: keep
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
    virtual ~Mine() = default;
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
