#pragma once

#include "gpu/pipeline/fwd_traits.hpp"
#include "gpu/pipeline/mask_reading.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/wave_mfma.hpp"
#else
#include "gpu/tile/wave_mma.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes the forward with.
template <class Traits>
struct FwdPolicy {
    using KeyValueTiles = gpu::KeyValueTiles<Traits::kTileK, Traits::kHeadDim, Traits::kThreads>;
    static_assert(kWaveSize != 64 || KeyValueTiles::kBytes == fwd_tile_bytes(Traits::kHeadDim, Traits::kWaves),
                  "ck_fmha: shared memory of K and V");
#if defined(__AMDGCN__) || defined(__HIP__)
    using Wave = MfmaWave<typename Traits::T, Traits::kTileK, Traits::kHeadDim>;
    static constexpr index_t kSharedBytes = KeyValueTiles::kBytes;
    // Waves that a SIMD is to hold, which bounds the registers: two, where the shared memory of a compute unit (64 KiB,
    // four SIMDs) has room for their work-groups.
    static constexpr index_t kWavesPerSimd =
        Traits::kHeadDim > 128 || 65536 / kSharedBytes* Traits::kWaves / 4 < 2 ? 1 : 2;
#else
    using Wave = MmaWave<typename Traits::T, Traits::kTileK, Traits::kHeadDim>;
    static constexpr index_t kSharedBytes = fwd_shared_bytes_of_tiles(Traits::kWaves, Traits::kHeadDim);
    // Warps that a quarter of a multiprocessor is to hold: with two, each has the 255 registers that it can name.
    static constexpr index_t kWavesPerSimd = 2;
#endif
};

} // namespace ck_fmha::gpu
