#pragma once

// What the forward kernels receive, by value, from the host: plain numbers and addresses, the same layout on both
// sides. Device code is free-standing: no standard library here.

#include "gpu/kernel/extras_args.hpp"

namespace ck_fmha::gpu {

// Element (batch, head, seq, d) lies at data + batch * stride_batch + head * stride_head + seq * stride_seq + d.
struct Tensor {
    void* data;
    long_index_t stride_batch; // in elements
    long_index_t stride_head;
    long_index_t stride_seq; // * element size < 2^25, so that a tile's offsets fit a buffer descriptor
};

// One work-group: tiles [begin, end) of row of tiles `row`.
struct FwdWork {
    index_t row;
    index_t begin;
    index_t end;
    index_t slot;  // where the partial result of a piece of a cut row goes; -1: the row is whole
    index_t image; // offset of the mask's image in FwdArgs::images, in bytes
    index_t batch; // the first (batch, head) that it serves
    index_t head;
    index_t num_live;
};

// A row that was cut: the partial results of slots [first_slot, first_slot + num_slots) make it up.
struct FwdMerge {
    index_t row;
    index_t first_slot;
    index_t num_slots;
    index_t batch;
    index_t head;
    index_t unused[3];
};

// So many work-groups share the positions of a line of tiles whose partial results are merged: a few long lines are
// merged at the end of a launch, and one work-group for each would leave most of a device idle.
constexpr index_t kMergeParts = 16;

// A live tile of a work item: its number, and by bit `band` of the flags whether that band of rows (a wave's) has an
// attended element in it, by bit kMostBands + band whether the band needs the element check there.
using TileCode = unsigned;
constexpr index_t kMostBands = 4;
constexpr TileCode kLiveFlag = 1, kEdgeFlag = TileCode{1} << kMostBands;
// In a line. The next number stands for none: not the largest one, for compilers turn "at least the largest" into "is
// the largest", which is no single comparison of codes.
constexpr index_t kMostTiles = (1 << (32 - 2 * kMostBands)) - 2;
CK_TILE_MASKS_HD constexpr TileCode tile_code(index_t tile) { return static_cast<TileCode>(tile) << 2 * kMostBands; }
CK_TILE_MASKS_HD constexpr index_t tile_of(TileCode code) { return static_cast<index_t>(code >> 2 * kMostBands); }
constexpr TileCode kEndCode = tile_code(kMostTiles); // behind the last one

// The live tiles of every work item are found by ck_fmha_fwd_plan (one work-group an item), and serve all heads and
// samples; see FwdGroup::items_at_once. There is room for `num_stored` codes: those of the item that has most, and the
// one behind them.
constexpr index_t kWindowTiles = 64; // that the mask is asked about at a time

// Masks that do not differ between heads (samples) share their work items: item n serves the (batch, head) pairs
// (batch + s / shared_heads, head + s % shared_heads), s in [0, num_shared): see WorkIndex. Partial results: slot *
// num_shared + s.
struct FwdArgs {
    Tensor q, k, v, o;
    float* lse;          // (batch, num_heads, seqlen_q), dense
    const FwdWork* work; // longest first
    TileCode* tiles;     // num_stored of each work item
    const FwdMerge* merges;
    const char* images; // see mask_image.hpp
    float* partial_o;   // (slots * num_shared, tile_q, head_dim_v), normalised
    float* partial_lse; // (slots * num_shared, tile_q), in base 2 unless the instance's scores are natural
    index_t num_shared;
    index_t shared_heads;
    index_t num_heads;
    index_t heads_per_kv;
    index_t seqlen_q;
    index_t seqlen_k;
    index_t head_dim;
    index_t head_dim_v;
    index_t num_stored;
    float scale_log2; // softmax_scale * log2(e), of any sign
    ExtrasArgs extras;
    index_t heads_in_turn; // not 0: see WorkIndex
};

// A work-group's rows of Q: 32 for each "wave" of its tile. (Who computes them is fwd_launch.hpp's.)
constexpr index_t kFwdRowsPerWave = 32;
constexpr index_t fwd_tile_q(index_t num_waves) { return num_waves * kFwdRowsPerWave; }

} // namespace ck_fmha::gpu
