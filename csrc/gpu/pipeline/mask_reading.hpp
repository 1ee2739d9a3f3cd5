#pragma once

#include "gpu/kernel/mask_image.hpp"
#include "gpu/tile/platform.hpp"

// How kernels read masks: at every question, for the numbers of a mask, of which there may be dozens, would take
// registers from the pipeline's loop, and they are asked once a window and once an edge tile. Scalar registers are the
// scarcest ones: the numbers of definitions that are asked about one element's row lie there if they are few.

namespace ck_fmha::gpu {

// To find tiles.
struct ReadForTiles {
    template <class Plain>
    CK_FMHA_DEVICE static Plain of(const char* at, index_t offset)
    {
        return load_uniform<Plain>(read_anew_by_lane(at) + offset);
    }
};

// To find the elements of an edge tile, which is more frequent.
struct ReadForElements {
    static constexpr index_t kMostBytes = 64;
    template <class Plain>
    CK_FMHA_DEVICE static Plain of(const char* at, index_t offset)
    {
        return load_uniform<Plain>((sizeof(Plain) > kMostBytes ? read_anew_by_lane(at) : read_anew(at)) + offset);
    }
};

} // namespace ck_fmha::gpu
