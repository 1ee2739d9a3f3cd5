#pragma once

// The tiles of the backward's work-groups, and what a launch of its kernels needs besides their arguments: host and
// device compute it here. `lanes` is that of fwd_launch.hpp.

#include "gpu/kernel/bwd_args.hpp"
#include "gpu/kernel/fwd_launch.hpp"

namespace ck_fmha::gpu {

constexpr index_t kBwdThreads = 256; // of a work-group of ck_fmha_bwd_..., but for those of dQ by rows; as a rule ...
constexpr index_t bwd_threads(index_t lanes, index_t num_waves) // ... of the products
{
    return wave_lanes(lanes) * num_waves;
}
constexpr index_t kBwdRowsPerGroup = 64; // rows of Q of a work-group that only prepares or converts them

// Rows of the sums of dQ of one (batch, head): NVIDIA adds whole tiles of them.
CK_TILE_MASKS_HD constexpr long_index_t bwd_sum_rows(index_t lanes, long_index_t seqlen_q)
{
    return lanes == 64 ? seqlen_q : (seqlen_q + kBwdRowsPerGroup - 1) / kBwdRowsPerGroup * kBwdRowsPerGroup;
}

// The tile of a work-group: rows of Q and columns of K. Waves that share a band of 32 columns divide the dimensions of
// their gradients; registers hold the gradients of 128 columns, or of 64 that are 256 long, and those of half a
// work-group (NVIDIA) of 64.
constexpr index_t kBwdKeysPerBand = 32;
constexpr index_t bwd_bands(index_t head_dim, index_t threads)
{
    return head_dim > 128 || threads < kBwdThreads ? 2 : 4;
}
// Do warpgroups of 64 keys each compute the products? Of head_dim 256 they have too few registers for two gradients,
// and one of 32 is less than two of them can share.
constexpr bool bwd_by_warpgroup(index_t lanes, index_t head_dim)
{
    return lanes == kWarpgroupSize && (head_dim == 64 || head_dim == 128);
}
constexpr index_t bwd_tile_q(index_t lanes) { return lanes == 64 ? 32 : 64; }
constexpr index_t bwd_tile_k(index_t head_dim, index_t threads)
{
    return bwd_bands(head_dim, threads) * kBwdKeysPerBand;
}

// NVIDIA: tiles of Q and dO in shared memory at once, of which one is computed while the next is on its way.
constexpr index_t kBwdStages = 2;

// NVIDIA: K and V of the column, tiles of Q and dO, P and dS.
constexpr index_t bwd_shared_bytes_of_tiles(index_t head_dim, index_t threads)
{
    return 2 * 2 * bwd_tile_k(head_dim, threads) * head_dim + kBwdStages * 2 * 2 * bwd_tile_q(32) * head_dim +
           2 * 2 * bwd_tile_k(head_dim, threads) * bwd_tile_q(32);
}

// Shared memory that the launch of ck_fmha_bwd_dq_dk_dv asks for, more than 48 KiB of it after raising the function's
// limit (97 KiB at head_dim 64, 161 KiB at 128, 209 KiB at 256; of half a work-group 65 and 113 KiB, so that two of
// them find room at 128). On AMD the code object has it.
constexpr index_t bwd_launch_shared_bytes(index_t lanes, index_t num_waves, index_t head_dim)
{
    return lanes == 64 ? 0
                       : kSharedBytesBeforeTiles + bwd_shared_bytes_of_tiles(head_dim, bwd_threads(lanes, num_waves));
}
constexpr index_t bwd_plan_launch_shared_bytes(index_t lanes) { return fwd_plan_launch_shared_bytes(lanes); }

// dQ by rows has the forward's tiles, computed by waves. NVIDIA: Q and dO lie in shared memory where they do not fit
// into registers beside 32 rows of dQ.
constexpr index_t bwd_dq_threads(index_t lanes, index_t num_waves, index_t head_dim)
{
    return num_waves * fwd_threads_per_wave(lanes, head_dim);
}
constexpr bool bwd_dq_query_in_shared(index_t head_dim) { return head_dim > 64; }
constexpr index_t bwd_dq_launch_shared_bytes(index_t lanes, index_t num_waves, index_t head_dim)
{
    return lanes == 64 ? 0
                       : kSharedBytesBeforeTiles + kFwdStages * fwd_tile_bytes(lanes, head_dim, num_waves) +
                             (bwd_dq_query_in_shared(head_dim) ? 2 * 2 * fwd_tile_q(num_waves) * head_dim : 0);
}

} // namespace ck_fmha::gpu
