#pragma once

#include "ck_tile_masks/index.hpp"

namespace ck_tile_masks {

// Transposes a 64 x 64 bit matrix in place by exchanging ever smaller blocks (Warren, "Hacker's Delight", section 7-3).
// @post bit c of a[r] is what bit r of a[c] was
CK_TILE_MASKS_HD constexpr void transpose_bits(bits_t (&a)[64])
{
    bits_t mask = 0x00000000ffffffffull;
    for (int j = 32; j != 0; j >>= 1, mask ^= mask << j)
        for (int k = 0; k < 64; k = (k + j + 1) & ~j) {
            const bits_t t = ((a[k] >> j) ^ a[k + j]) & mask;
            a[k] ^= t << j;
            a[k + j] ^= t;
        }
}

} // namespace ck_tile_masks
