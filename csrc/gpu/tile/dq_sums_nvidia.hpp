#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/tile/mma_m16n8k16.hpp"

namespace ck_fmha::gpu {

// Sums of dQ in global memory, tile by tile of kBwdRowsPerGroup rows. 8 rows x 16 dimensions lie together, 512 bytes,
// in the order in which the lanes of a warp hold results of the atom: of row lane / 4 dimensions 2 t + {0, 1} and those
// + 8, t = lane mod 4. So a warp adds to 512 bytes in a row.
template <index_t kHeadDim>
struct DqSums {
    static constexpr bool kSumsInOrder = false;
    static constexpr index_t kTileSize = kBwdRowsPerGroup * kHeadDim;

    // In a tile: where this lane's four sums are of rows `row` .. + 7 and dimensions `dim` .. + 15.
    CK_FMHA_DEVICE static index_t place(index_t row, index_t dim)
    {
        return (row / 8 * (kHeadDim / 16) + dim / 16) * 128 + lane_index() * 4;
    }
    // Whose they are, the first of them: the others are dim + 1, + 8 and + 9.
    struct FourSums {
        index_t row, dim;
        CK_FMHA_DEVICE explicit FourSums(index_t place)
            : row(place / 128 / (kHeadDim / 16) * 8 + place % 128 / 16),
              dim(place / 128 % (kHeadDim / 16) * 16 + place % 16 / 2)
        {
        }
    };
};

} // namespace ck_fmha::gpu
