#pragma once

#include "gpu/kernel/extras_args.hpp"
#include "gpu/kernel/fwd_launch.hpp"
#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// What is fixed when an instance of the forward is compiled.
template <class Mask_, class T_, index_t kHeadDim_, index_t kWaves_, index_t kExtras_ = 0>
struct FwdTraits {
    using Mask = Mask_;                            // bound
    using T = T_;                                  // of Q, K, V and O
    static constexpr index_t kHeadDim = kHeadDim_; // padded: 32, 64, 128 or 256
    static constexpr index_t kWaves = kWaves_;     // of a work-group: bands of kFwdRowsPerWave rows
    static constexpr index_t kExtras = kExtras_;   // of the scores: bits of Extra
    static constexpr index_t kTileQ = fwd_tile_q(kWaves);
    static constexpr index_t kTileK = fwd_tile_k(kProductLanes, kHeadDim, kWaves);
    static constexpr index_t kThreads = fwd_threads(kProductLanes, kWaves, kHeadDim);

    static_assert(kHeadDim == 32 || kHeadDim == 64 || kHeadDim == 128 || kHeadDim == 256,
                  "ck_fmha: instances exist for head_dim 32, 64, 128 and 256; others are padded to the next");
};

} // namespace ck_fmha::gpu
