// expect: ck_tile_masks: a block mask with partial blocks must have both edge_tile_func (which blocks are partial) and
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "mine"; }
    constexpr index_t block_y() const { return 16; }
    constexpr index_t block_x() const { return 16; }
    constexpr bool tile_mask_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile <= i_y_tile; }
    constexpr bool edge_tile_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile == i_y_tile; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
