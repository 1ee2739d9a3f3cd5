#pragma once

#include "gpu/kernel/bwd_args.hpp"
#include "gpu/pipeline/fwd_traits.hpp"
#include "gpu/pipeline/mask_reading.hpp"

namespace ck_fmha::gpu {

// What is fixed when an instance of the backward is compiled.
template <class Mask_, class T_, index_t kHeadDim_, bool kAsks_, bool kAddsDq_, index_t kExtras_ = 0>
struct BwdTraits {
    using Mask = Mask_;                            // bound
    using T = T_;                                  // of the tensors
    static constexpr index_t kHeadDim = kHeadDim_; // padded: 32, 64, 128 or 256
    static constexpr bool kAsks = kAsks_;          // the mask for tiles, past the stored windows
    static constexpr bool kAddsDq = kAddsDq_;      // or leaves it to others
    static constexpr index_t kExtras = kExtras_;   // of the scores: bits of Extra
    static constexpr index_t kWaves = kBwdWaves;
    static constexpr index_t kThreads = kWaves * kWaveSize;
    static constexpr index_t kTileQ = kBwdTileQ;
    static constexpr index_t kBands = kWaves / bwd_waves_per_key(kHeadDim); // of 32 keys
    // Which bounds the registers; a large mask that is asked for tiles amid the loop takes many.
    static constexpr index_t kWavesPerSimd = kHeadDim > 64 || (kAsks && sizeof(Mask) > ReadForElements::kMostBytes) ? 1
                                                                                                                    : 2;
    // Shared memory does not hold Q and dO both as rows and transposed: first come the rows, then the others.
    static constexpr bool kInTurns = kHeadDim > 128;

    static_assert(kHeadDim == 32 || kHeadDim == 64 || kHeadDim == 128 || kHeadDim == 256,
                  "ck_fmha: instances exist for head_dim 32, 64, 128 and 256; others are padded to the next");
};

// The same for dQ by rows: the forward's, but dO and dP take registers, too.
template <class Mask, class T, index_t kHeadDim, index_t kWaves, bool kAsks, index_t kExtras = 0>
struct BwdDqTraits : FwdTraits<Mask, T, kHeadDim, kWaves, kAsks, kExtras> {
    static constexpr index_t kWavesPerSimd = kHeadDim > 64 ? 1 : 2;
};

} // namespace ck_fmha::gpu
