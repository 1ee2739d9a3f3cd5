#pragma once

// What changes the scores of a call besides its mask, as kernels receive it; see ck_fmha_extras.

#include "ck_tile_masks/index.hpp"

namespace ck_fmha::gpu {

using ck_tile_masks::index_t;
using ck_tile_masks::long_index_t;

// What of it an instance computes, a bit each: Traits::kExtras. Without one of them its code is not there.
enum Extra : index_t {
    kSoftcap = 1,
    kAlibi = 2,
    kDropout = 4,
    kBias = 8,
    kBiasFloat32 = 16, // the bias, float32 instead of the tensors' type
    kAttended = 32,    // a tensor of bool, beside the mask
    // The gradient of the bias: of its type, where no two elements of the scores share one of it; else float32, which
    // is added to, and with one number for all queries after their sum.
    kBiasGradient = 64,
    kBiasGradientSum = 128,
    kBiasGradientOfKeys = 256,
};
constexpr index_t kChangeScores = kSoftcap | kAlibi | kBias | kAttended; // else scores are products times a number

// Element (batch, head, i, j) lies at data + batch * stride_batch + ... + j * stride_k, in elements. A tile's offsets
// fit a buffer descriptor.
struct ScoresTensor {
    char* data;
    long_index_t stride_batch;
    long_index_t stride_head;
    long_index_t stride_q;
    long_index_t stride_k;
};

struct ExtrasArgs {
    const float* alibi_slopes; // (batch, num_heads), dense in heads
    long_index_t alibi_stride_batch;
    float factor; // of products, if scores change: the softmax scale, with softcap divided by that
    float softcap;
    // Dropout keeps an element whose 16 random bits are at least `threshold`; what is kept is multiplied by keep_scale.
    unsigned threshold;
    float keep_scale;
    unsigned seed[2]; // the lower half first
    ScoresTensor bias, attended, dbias;
    index_t only_line; // -1, or the one batch * num_heads + head that a launch computes: sums are then added in order
};

} // namespace ck_fmha::gpu
