// expect: ck_tile_masks: a tile must have at least one row and one column.
#include "ck_tile_masks/generic_attention_mask.hpp"
#include "ck_tile_masks/masks/full.hpp"

using namespace ck_tile_masks;

bool use(const MaskCall& call) { return GenericAttentionMask<Full, FixedTile<0, 64>>({}, call).TileMask(0, 0); }
