#pragma once

// What the backward kernels receive, by value, from the host: the same layout on both sides, no standard library.

#include "gpu/kernel/fwd_args.hpp"

namespace ck_fmha::gpu {

// Work items, their tiles and masks are those of FwdArgs with columns of tiles in the place of rows: FwdWork::row is a
// column, its tiles [begin, end) are rows of tiles, and bands are those of keys. A merge serves the heads of
// K and V and the samples that share it: number s of num_shared / merge_heads sums, slot by slot, the partial results
// slot * num_shared + s * merge_heads + g, g in [0, merge_heads).
struct BwdArgs {
    Tensor q, k, v, o, d_o, dq, dk, dv;
    const float* lse;   // (batch, num_heads, seqlen_q), dense
    const float* d_lse; // alike, or null
    float* statistics;  // (batch, num_heads, seqlen_q, 2): see BwdDotDoOKernel
    float* dq_sum; // (batch, num_heads, bwd_sum_rows, head_dim of the instance): dQ summed in float32, not yet scaled
    const FwdWork* work;
    TileCode* tiles;
    const FwdMerge* merges; // of columns: see merge_heads
    const char* images;
    float* partial_dk; // (slots * num_shared, tile_k, head_dim) and ...
    float* partial_dv; // ... head_dim_v: of cut columns, and of query heads that share a head of K and V
    index_t num_shared;
    index_t shared_heads;
    index_t merge_heads; // query heads that work items share and that share a head of K and V: 1, or all of these
    index_t num_heads;
    index_t heads_per_kv;
    index_t seqlen_q;
    index_t seqlen_k;
    index_t head_dim;
    index_t head_dim_v;
    index_t num_stored;
    float scale;
    float scale_log2; // scale * log2(e), of any sign
    ExtrasArgs extras;
    index_t heads_in_turn; // not 0: see WorkIndex
};

} // namespace ck_fmha::gpu
