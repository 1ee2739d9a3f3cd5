#pragma once

#include "gpu/pipeline/fwd_traits.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/wave_mfma.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes the forward with.
template <class Traits>
struct FwdPolicy {
    using Wave = MfmaWave<typename Traits::T, Traits::kTileK, Traits::kHeadDim>;
    using KeyCopy = gpu::KeyCopy<Traits::kTileK, Traits::kHeadDim, Traits::kThreads>;
    using ValueCopy = gpu::ValueCopy<Traits::kTileK, Traits::kHeadDim, Traits::kThreads>;
    static_assert(Wave::Keys::kBytes + Wave::Values::kBytes == Traits::kSharedBytes, "ck_fmha: the tiles of K and V");
};

} // namespace ck_fmha::gpu
