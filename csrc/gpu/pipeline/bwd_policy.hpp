#pragma once

#include "gpu/pipeline/bwd_traits.hpp"
#include "gpu/pipeline/mask_reading.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/bwd_query_tiles_amd.hpp"
#include "gpu/tile/bwd_wave_mfma.hpp"
#else
#include "gpu/tile/bwd_query_tiles_nvidia.hpp"
#include "gpu/tile/bwd_wave_mma.hpp"
#include "gpu/tile/bwd_wave_wgmma.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes the backward with.
#if defined(__AMDGCN__) || defined(__HIP__)

template <class Traits>
struct BwdPolicy {
    // The gradient of a bias, beside what else changes scores, leaves few scalar registers.
    static constexpr bool kIsScarce =
        (Traits::kExtras & (kBiasGradient | kBiasGradientSum | kBiasGradientOfKeys)) != 0 &&
        (Traits::kExtras & (kSoftcap | kAlibi | kDropout | kAttended)) != 0;
    using Wave =
        MfmaBwdWave<typename Traits::T, Traits::kHeadDim, Traits::kThreads / kWaveSize, Traits::kBands, kIsScarce>;
    using QueryTiles = BwdQueryTiles<Wave, Traits::kHeadDim>;
    static constexpr unsigned kBandsTogether = 0;
    // Waves that a SIMD is to hold, which bounds the registers; a cap and its slopes beside other extras take many.
    static constexpr bool kHasSlopes = (Traits::kExtras & kSoftcap) != 0 && Traits::kExtras != kSoftcap;
    static constexpr index_t kWavesPerSimd = Traits::kHeadDim > 64 || kHasSlopes ? 1 : 2;
    static_assert(Wave::kTileQ == Traits::kTileQ && Wave::kTileK == bwd_tile_k(Traits::kHeadDim, Traits::kThreads),
                  "ck_fmha: the host cuts Q and K into the tiles of bwd_launch.hpp");
};

#else

// Warps, each with bands of keys and queries of its own.
template <class Traits, bool kByWarpgroup>
struct BwdProducts {
    using Wave = MmaBwdWave<typename Traits::T, Traits::kHeadDim, Traits::kThreads>;
    using QueryTiles = BwdQueryTiles<Wave, Traits::kHeadDim>;
    static constexpr unsigned kBandsTogether = 0;
};
template <class Traits>
struct BwdProducts<Traits, true> {
    using Wave = WgmmaBwdWave<typename Traits::T, Traits::kHeadDim, Traits::kThreads>;
    using QueryTiles = BwdQueryPanels<Wave, Traits::kHeadDim>;
    static constexpr unsigned kBandsTogether = 1;
};

// Extras are computed beside products of warps.
template <class Traits>
using BwdProductsOf = BwdProducts<Traits, bwd_by_warpgroup(kProductLanes, Traits::kHeadDim) && Traits::kExtras == 0>;

template <class Traits>
struct BwdPolicy : BwdProductsOf<Traits> {
    // Warps that a quarter of a multiprocessor is to hold: with two, each has the 255 registers that it can name.
    static constexpr index_t kWavesPerSimd = 2;
    using Base = BwdProductsOf<Traits>;
    static_assert(Base::Wave::kTileQ == Traits::kTileQ &&
                      Base::Wave::kTileK == bwd_tile_k(Traits::kHeadDim, Traits::kThreads),
                  "ck_fmha: the host cuts Q and K into the tiles of bwd_launch.hpp");
    static_assert(Base::QueryTiles::kBytes + Base::Wave::Exchange::kBytes + 2 * Base::Wave::kColumnBytes <=
                      bwd_shared_bytes_of_tiles(Traits::kHeadDim, Traits::kThreads),
                  "ck_fmha: the launch gives too little shared memory");
};

#endif

} // namespace ck_fmha::gpu
