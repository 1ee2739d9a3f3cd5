// expect: ck_tile_masks: a mask with IsTileMask = true walks in blocks: give next_live_block_col and its three
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Mine : MaskDefABC<Mine> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "mine"; }
    constexpr index_t block_y() const { return 16; }
    constexpr index_t block_x() const { return 16; }
    constexpr bool tile_mask_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile <= i_y_tile; }
    constexpr index_t next_live_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_row(index_t, index_t, index_t from) const { return from; }
};

bool use(const MaskCall& call) { return GenericAttentionMask<Mine>(Mine{}, call).TileMask(0, 0); }
