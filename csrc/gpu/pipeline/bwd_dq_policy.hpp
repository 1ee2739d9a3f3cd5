#pragma once

#include "gpu/pipeline/bwd_traits.hpp"
#include "gpu/pipeline/fwd_policy.hpp"

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/bwd_key_tiles_amd.hpp"
#else
#include "gpu/tile/bwd_key_tiles_nvidia.hpp"
#endif

namespace ck_fmha::gpu {

// Which tiles and copies an architecture computes dQ by rows with.
template <class Traits>
struct BwdDqPolicy {
    using KeyTiles = BwdKeyTiles<Traits::kTileK, Traits::kHeadDim, Traits::kThreads>;
    static constexpr index_t kTileQ = fwd_tile_q(Traits::kWaves);
#if defined(__AMDGCN__) || defined(__HIP__)
    using Wave = MfmaWave<typename Traits::T, KeyTiles::kPartKeys, Traits::kHeadDim>;
    // Besides Q, dO takes registers, and so do a cap and its slopes beside other extras.
    static constexpr bool kHasSlopes = (Traits::kExtras & kSoftcap) != 0 && Traits::kExtras != kSoftcap;
    static constexpr index_t kWavesPerSimd = Traits::kHeadDim > 64 || kHasSlopes ? 1 : 2;
    static constexpr index_t kQueryBytes = 0;
#else
    static constexpr bool kQueryInShared = bwd_dq_query_in_shared(Traits::kHeadDim);
    using Wave = MmaWave<typename Traits::T, KeyTiles::kPartKeys, Traits::kHeadDim, kQueryInShared>;
    static constexpr index_t kWavesPerSimd = 2;
    static constexpr index_t kQueryBytes = kQueryInShared ? 2 * kTileQ * Traits::kHeadDim : 0; // of Q, and of dO
#endif
};

} // namespace ck_fmha::gpu
