#pragma once

#include "gpu/pipeline/fwd_traits.hpp"
#include "gpu/pipeline/mask_reading.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/wave_mfma.hpp"
#else
#include "gpu/tile/wave_wgmma.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes the forward with.
#if defined(__AMDGCN__) || defined(__HIP__)

template <class Traits>
struct FwdPolicy {
    using KeyValueTiles = gpu::KeyValueTiles<Traits::kTileK, Traits::kHeadDim, Traits::kThreads>;
    static_assert(KeyValueTiles::kBytes == fwd_tile_bytes(kWaveSize, Traits::kHeadDim, Traits::kWaves),
                  "ck_fmha: shared memory of K and V");
    using Wave = MfmaWave<typename Traits::T, Traits::kTileK, Traits::kHeadDim>;
    static constexpr index_t kThreadsOfBand = kWaveSize;
    static constexpr unsigned kBandsTogether = 0;
    static constexpr index_t kSharedBytes = KeyValueTiles::kBytes;
    // Waves that a SIMD is to hold, which bounds the registers: two, where the shared memory of a compute unit (64 KiB,
    // four SIMDs) has room for their work-groups.
    static constexpr index_t kWavesPerSimd =
        Traits::kHeadDim > 128 || 65536 / kSharedBytes* Traits::kWaves / 4 < 2 ? 1 : 2;
};

#else

// Warps, each with rows of its own.
template <class Traits, bool kByWarpgroup>
struct FwdProducts {
    using KeyValueTiles = gpu::KeyValueTiles<Traits::kTileK, Traits::kHeadDim, Traits::kThreads>;
    using Wave = MmaWave<typename Traits::T, Traits::kTileK, Traits::kHeadDim>;
    static constexpr index_t kThreadsOfBand = Wave::kWarps * kWaveSize;
    static constexpr unsigned kBandsTogether = 0;
    // Warps that a quarter of a multiprocessor is to hold: with two, each has the 255 registers that it can name.
    static constexpr index_t kWavesPerSimd = 2;
};
template <class Traits>
struct FwdProducts<Traits, true> {
    using KeyValueTiles = KeyValuePanels<Traits::kTileK, Traits::kHeadDim>;
    using Wave = WgmmaWave<typename Traits::T, Traits::kTileK, Traits::kHeadDim, Traits::kTileQ>;
    static_assert(KeyValueTiles::kBytes + Wave::Query::kBytes <=
                      fwd_shared_bytes_of_tiles(kProductLanes, Traits::kWaves, Traits::kHeadDim),
                  "ck_fmha: shared memory of K, V and Q");
    static constexpr index_t kThreadsOfBand = Wave::kThreadsOfBand;
    static constexpr unsigned kBandsTogether = Wave::kBandsTogether;
    static constexpr index_t kWavesPerSimd = Traits::kWaves == 2 && Traits::kExtras == 0 ? 3 : 2;
};

template <class Traits>
struct FwdPolicy : FwdProducts<Traits, fwd_by_warpgroup(kProductLanes, Traits::kHeadDim) &&
                                           // beside extras, 32 rows of a warp take too many registers
                                           (Traits::kExtras == 0 || Traits::kWaves == 2)> {
    static constexpr index_t kSharedBytes = fwd_shared_bytes_of_tiles(kProductLanes, Traits::kWaves, Traits::kHeadDim);
};

#endif

} // namespace ck_fmha::gpu
