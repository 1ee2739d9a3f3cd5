#pragma once

#include <ck_tile/core.hpp>

namespace ck_tile {

// (row of tiles, tile of dimensions of V, head, sample) of a work-group.
template <class Shape>
struct FmhaFwdTilePartitioner {
    CK_TILE_DEVICE auto operator()(index_t, index_t hdim_v) const
    {
        const index_t tiles_v = integer_divide_ceil(hdim_v, Shape::kN1);
        return make_tuple(block_x() / tiles_v, block_x() % tiles_v, block_y(), block_z());
    }
};

} // namespace ck_tile
