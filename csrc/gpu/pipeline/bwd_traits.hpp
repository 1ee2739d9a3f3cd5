#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/pipeline/fwd_traits.hpp"

namespace ck_fmha::gpu {

// What is fixed when an instance of the backward is compiled.
template <class Mask_, class T_, index_t kHeadDim_, index_t kWaves, bool kAddsDq_, index_t kExtras_ = 0>
struct BwdTraits {
    using Mask = Mask_;                            // bound
    using T = T_;                                  // of the tensors
    static constexpr index_t kHeadDim = kHeadDim_; // padded: 32, 64, 128 or 256
    static constexpr bool kAddsDq = kAddsDq_;      // or leaves it to others
    static constexpr index_t kExtras = kExtras_;   // of the scores: bits of Extra
    static constexpr index_t kThreads = bwd_threads(kWaveSize, kWaves);
    static constexpr index_t kTileQ = bwd_tile_q(kWaveSize);
    static constexpr index_t kBands = bwd_bands(kHeadDim, kThreads); // of 32 keys

    static_assert(kHeadDim == 32 || kHeadDim == 64 || kHeadDim == 128 || kHeadDim == 256,
                  "ck_fmha: instances exist for head_dim 32, 64, 128 and 256; others are padded to the next");
};

// dQ by rows: the forward's, computed by waves.
template <class Mask, class T, index_t kHeadDim, index_t kWaves, index_t kExtras = 0>
struct BwdDqTraits : FwdTraits<Mask, T, kHeadDim, kWaves, kExtras> {
    static constexpr index_t kThreadsPerWave = fwd_threads_per_wave(kWaveSize, kHeadDim);
    static constexpr index_t kThreads = bwd_dq_threads(kProductLanes, kWaves, kHeadDim);
};

} // namespace ck_fmha::gpu
