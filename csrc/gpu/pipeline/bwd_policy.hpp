#pragma once

#include "gpu/pipeline/bwd_traits.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/bwd_wave_mfma.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes the backward with.
template <class Traits>
struct BwdPolicy {
    using Wave = MfmaBwdWave<typename Traits::T, Traits::kHeadDim, Traits::kWaves, Traits::kBands>;
    using QueryCopy = TransposingCopy<Traits::kTileQ, Traits::kHeadDim, Traits::kThreads>;
    using StatisticsCopy = PairCopy<Traits::kTileQ>;
};

} // namespace ck_fmha::gpu
