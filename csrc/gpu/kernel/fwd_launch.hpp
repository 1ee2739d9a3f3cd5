#pragma once

// What a launch of the forward kernels needs besides their arguments: host and device compute it here. `lanes` is how
// many threads of the device multiply matrices together, as its driver tells: a wave of 64 on AMD, a warp of 32 on
// NVIDIA, and a warpgroup of 128 on sm_90a.

#include "gpu/kernel/fwd_args.hpp"

namespace ck_fmha::gpu {

constexpr index_t kWarpgroupSize = 128;
// Of a wave (warp).
constexpr index_t wave_lanes(index_t lanes) { return lanes == kWarpgroupSize ? 32 : lanes; }
// Does one warpgroup compute all rows of a work-group? Of the output of head_dim 256 it holds too few.
constexpr bool fwd_by_warpgroup(index_t lanes, index_t head_dim) { return lanes == kWarpgroupSize && head_dim <= 128; }

// Columns of K of a tile. Of two waves that are warps, four work-groups are to find room in the shared memory of a
// multiprocessor.
constexpr index_t fwd_tile_k(index_t lanes, index_t head_dim, index_t num_waves)
{
    const bool small = head_dim > 64 && num_waves == 2 && !fwd_by_warpgroup(lanes, head_dim);
    return head_dim > 128 || small ? 32 : 64;
}

// Threads that share the kFwdRowsPerWave rows of Q of a "wave", unless a warpgroup has all of them. One warp holds them
// on NVIDIA, with head_dim 256 two, 16 rows each: a row's output takes half a warp's registers.
constexpr index_t fwd_threads_per_wave(index_t lanes, index_t head_dim)
{
    return lanes == 64 || head_dim > 128 ? 64 : 32;
}

// Of ck_fmha_fwd and ck_fmha_fwd_plan; ck_fmha_fwd_combine has 256 everywhere.
constexpr index_t fwd_threads(index_t lanes, index_t num_waves, index_t head_dim)
{
    return fwd_by_warpgroup(lanes, head_dim) ? kWarpgroupSize : num_waves * fwd_threads_per_wave(lanes, head_dim);
}

// K and V of one tile.
constexpr index_t fwd_tile_bytes(index_t lanes, index_t head_dim, index_t num_waves)
{
    return 2 * 2 * fwd_tile_k(lanes, head_dim, num_waves) * head_dim;
}

// NVIDIA: tiles in shared memory at once, of which one is computed while the next is on its way.
constexpr index_t kFwdStages = 2;

// NVIDIA: Q lies in shared memory where it does not fit into registers beside 32 rows of output.
constexpr bool fwd_query_in_shared(index_t head_dim) { return head_dim == 128; }
constexpr index_t fwd_query_bytes(index_t lanes, index_t num_waves, index_t head_dim)
{
    // A warpgroup has 16 rows of a warp in registers or 32 in shared memory.
    const bool in_shared = fwd_by_warpgroup(lanes, head_dim) ? num_waves > 2 : fwd_query_in_shared(head_dim);
    return in_shared ? 2 * fwd_tile_q(num_waves) * head_dim : 0;
}

// NVIDIA: shared memory before the tiles, in which each of at most eight warps keeps four small structures.
constexpr index_t kMostWarps = 8;
constexpr index_t kSeldomBytes = 32;
constexpr index_t kSharedBytesBeforeTiles = 4 * kSeldomBytes * kMostWarps;

// NVIDIA: the tiles in shared memory.
constexpr index_t fwd_shared_bytes_of_tiles(index_t lanes, index_t num_waves, index_t head_dim)
{
    return kFwdStages * fwd_tile_bytes(lanes, head_dim, num_waves) + fwd_query_bytes(lanes, num_waves, head_dim);
}

// Shared memory that the launch of ck_fmha_fwd asks for, more than 48 KiB of it after raising the
// function's limit. On AMD the code object has it.
constexpr index_t fwd_launch_shared_bytes(index_t lanes, index_t num_waves, index_t head_dim)
{
    return lanes == 64 ? 0 : kSharedBytesBeforeTiles + fwd_shared_bytes_of_tiles(lanes, num_waves, head_dim);
}
constexpr index_t fwd_plan_launch_shared_bytes(index_t lanes) { return lanes == 64 ? 0 : kSharedBytesBeforeTiles; }

} // namespace ck_fmha::gpu
