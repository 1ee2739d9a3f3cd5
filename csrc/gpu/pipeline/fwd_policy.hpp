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
    static constexpr index_t kSharedBytes = Wave::Keys::kBytes + Wave::Values::kBytes;
};

} // namespace ck_fmha::gpu
