// expect: ck_tile_masks: a mask with IsTileMask = true must say its block shape: add `index_t block_y() const` and
#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool tile_mask_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile <= i_y_tile; }
};

bool use(const MaskCall& call)
{
    const Mine parts[2] = {};
    const auto composed = shift(transpose(PerHead<Mine>(parts, 2)), 16, 0);
    return GenericAttentionMask<decltype(composed)>(composed, call).TileMask(0, 0);
}
