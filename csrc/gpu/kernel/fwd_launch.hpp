#pragma once

// What a launch of the forward kernels needs besides their arguments: host and device compute it here. `lanes` is the
// size of the device's waves (warps), as its driver tells: 64 on AMD, 32 on NVIDIA.

#include "gpu/kernel/fwd_args.hpp"

namespace ck_fmha::gpu {

// Threads that share the kFwdRowsPerWave rows of Q of a "wave". One warp holds them on NVIDIA, with head_dim 256 two,
// 16 rows each: a row's output takes half a warp's registers.
constexpr index_t fwd_threads_per_wave(index_t lanes, index_t head_dim)
{
    return lanes == 64 || head_dim > 128 ? 64 : 32;
}

// Of ck_fmha_fwd and ck_fmha_fwd_plan; ck_fmha_fwd_combine has 256 everywhere.
constexpr index_t fwd_threads(index_t lanes, index_t num_waves, index_t head_dim)
{
    return num_waves * fwd_threads_per_wave(lanes, head_dim);
}

// K and V of one tile.
constexpr index_t fwd_tile_bytes(index_t head_dim, index_t num_waves)
{
    return 2 * 2 * fwd_tile_k(head_dim, num_waves) * head_dim;
}

// NVIDIA: tiles in shared memory at once, of which one is computed while the next is on its way.
constexpr index_t kFwdStages = 2;

// NVIDIA: Q lies in shared memory where it does not fit into registers beside 32 rows of output.
constexpr bool fwd_query_in_shared(index_t head_dim) { return head_dim == 128; }

// NVIDIA: shared memory before the tiles, in which each of at most eight warps keeps four small structures.
constexpr index_t kMostWarps = 8;
constexpr index_t kSeldomBytes = 32;
constexpr index_t kSharedBytesBeforeTiles = 4 * kSeldomBytes * kMostWarps;

// NVIDIA: the tiles in shared memory.
constexpr index_t fwd_shared_bytes_of_tiles(index_t num_waves, index_t head_dim)
{
    return kFwdStages * fwd_tile_bytes(head_dim, num_waves) +
           (fwd_query_in_shared(head_dim) ? 2 * fwd_tile_q(num_waves) * head_dim : 0);
}

// Shared memory that the launch of ck_fmha_fwd asks for, more than 48 KiB of it after raising the
// function's limit. On AMD the code object has it.
constexpr index_t fwd_launch_shared_bytes(index_t lanes, index_t num_waves, index_t head_dim)
{
    return lanes == 64 ? 0 : kSharedBytesBeforeTiles + fwd_shared_bytes_of_tiles(num_waves, head_dim);
}
constexpr index_t fwd_plan_launch_shared_bytes(index_t lanes) { return lanes == 64 ? 0 : kSharedBytesBeforeTiles; }

} // namespace ck_fmha::gpu
