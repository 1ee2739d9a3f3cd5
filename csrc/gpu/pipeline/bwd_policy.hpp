#pragma once

#include "gpu/pipeline/bwd_traits.hpp"
#include "gpu/pipeline/mask_reading.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/bwd_query_tiles_amd.hpp"
#include "gpu/tile/bwd_wave_mfma.hpp"
#else
#include "gpu/tile/bwd_query_tiles_nvidia.hpp"
#include "gpu/tile/bwd_wave_mma.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes the backward with.
template <class Traits>
struct BwdPolicy {
#if defined(__AMDGCN__) || defined(__HIP__)
    // The gradient of a bias, beside what else changes scores, leaves few scalar registers.
    static constexpr bool kIsScarce =
        (Traits::kExtras & (kBiasGradient | kBiasGradientSum | kBiasGradientOfKeys)) != 0 &&
        (Traits::kExtras & (kSoftcap | kAlibi | kDropout | kAttended)) != 0;
    using Wave =
        MfmaBwdWave<typename Traits::T, Traits::kHeadDim, Traits::kThreads / kWaveSize, Traits::kBands, kIsScarce>;
    // Waves that a SIMD is to hold, which bounds the registers; a cap and its slopes beside other extras take many.
    static constexpr bool kHasSlopes = (Traits::kExtras & kSoftcap) != 0 && Traits::kExtras != kSoftcap;
    static constexpr index_t kWavesPerSimd = Traits::kHeadDim > 64 || kHasSlopes ? 1 : 2;
#else
    using Wave = MmaBwdWave<typename Traits::T, Traits::kHeadDim, Traits::kThreads>;
    // Warps that a quarter of a multiprocessor is to hold: with two, each has the 255 registers that it can name.
    static constexpr index_t kWavesPerSimd = 2;
#endif
    using QueryTiles = BwdQueryTiles<Wave, Traits::kHeadDim>;
    static_assert(Wave::kTileQ == Traits::kTileQ && Wave::kTileK == bwd_tile_k(Traits::kHeadDim, Traits::kThreads),
                  "ck_fmha: the host cuts Q and K into the tiles of bwd_launch.hpp");
};

} // namespace ck_fmha::gpu
