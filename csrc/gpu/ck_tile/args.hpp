#pragma once

// What the entries around CK Tile's kernels receive, by value, from the host, and the sizes of their work-groups: the
// same on both sides, no standard library. Of CK Tile nothing is needed here.

#include "gpu/kernel/fwd_args.hpp"

namespace ck_fmha::gpu {

// Strides are less than 2^31 elements: CK Tile has 32 bits for them.
struct CkTileArgs {
    Tensor q, k, v, o, d_o, dq;
    Tensor dk, dv; // of every *query* head: CK Tile sums no heads
    float* lse;    // (batch, num_heads, seqlen_q), dense
    float* d;      // alike: rowsum(dO O) - dLSE
    float* dq_acc; // (batch, num_heads, seqlen_q, head_dim), dense: dQ summed in float32 from zeros
    const char* images;
    const index_t* image_of;    // of each mask that differs, where its image begins; -1 if it is another instance's
    index_t image_stride_batch; // in image_of, 0 where masks do not differ
    index_t image_stride_head;
    index_t num_heads;
    index_t heads_per_kv;
    index_t seqlen_q;
    index_t seqlen_k;
    index_t head_dim;
    index_t head_dim_v;
    float scale;
};

// One kernel: how many rows (columns, for dq_dk_dv) a work-group takes, and its threads. The grid is
// (work-groups, num_heads, batch).
struct CkTileGroup {
    index_t tile;
    index_t threads;
};
constexpr CkTileGroup ck_tile_fwd_group(index_t head_dim) { return {128, head_dim == 32 ? 128 : 256}; }
constexpr index_t ck_tile_fwd_tile_k(index_t head_dim) { return head_dim > 64 ? 128 : 64; }
constexpr index_t ck_tile_bwd_tile_q(index_t head_dim) { return head_dim > 64 ? 16 : 32; }
constexpr CkTileGroup ck_tile_dot_do_o_group() { return {64, 64}; }
constexpr CkTileGroup ck_tile_dq_dk_dv_group(index_t head_dim) { return {head_dim > 128 ? 64 : 128, 256}; }
constexpr CkTileGroup ck_tile_convert_dq_group(index_t head_dim) { return {ck_tile_bwd_tile_q(head_dim), 256}; }

} // namespace ck_fmha::gpu
