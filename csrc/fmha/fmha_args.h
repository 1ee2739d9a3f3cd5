#pragma once

/* What one attention call is, as plain data: pointers, strides and sizes, no torch. The structs are versioned so that a
 * caller built against an older header is refused instead of misread. Fields of features that are not implemented yet
 * have their place already and must be zero; validation says so. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CK_FMHA_ARGS_VERSION 1u

enum ck_fmha_dtype { CK_FMHA_FLOAT32 = 0, CK_FMHA_BFLOAT16 = 1 };

/* Element (batch, head, seq, d) lies at data + batch * stride_batch + head * stride_head + seq * stride_seq + d, strides
 * in elements, any sign of regularity (0 for expanded dimensions of inputs); the stride of d is one. */
typedef struct ck_fmha_tensor {
    void* data;
    int64_t stride_batch;
    int64_t stride_head;
    int64_t stride_seq;
} ck_fmha_tensor;

/* Additions to the scores and dropout. */
typedef struct ck_fmha_extras {
    ck_fmha_tensor bias;        /* (batch, num_heads, seqlen_q, seqlen_k) added to the scaled scores */
    int64_t bias_stride_k;
    ck_fmha_tensor dbias;
    const float* alibi_slopes;  /* (batch, num_heads), batch stride below */
    int64_t alibi_stride_batch;
    float softcap;              /* 0 = off */
    float dropout_p;            /* 0 = off */
    uint64_t dropout_seed;
    uint64_t dropout_offset;
    const float* tile_weights;  /* logarithmic weights of mask blocks */
} ck_fmha_extras;

typedef struct ck_fmha_problem {
    uint32_t version; /* CK_FMHA_ARGS_VERSION */
    uint32_t size;    /* sizeof the struct this problem is the head of */
    int32_t dtype;    /* enum ck_fmha_dtype, of q, k, v, o and their gradients */
    int32_t num_threads;
    int64_t batch;
    int64_t num_heads;
    int64_t num_heads_kv; /* divides num_heads */
    int64_t seqlen_q;
    int64_t seqlen_k;
    int64_t head_dim;   /* of q and k, 1..256 */
    int64_t head_dim_v; /* of v and o, 1..256 */
    double softmax_scale;
    ck_fmha_extras extras;
} ck_fmha_problem;

/* lse and dlse are float32, contiguous (batch, num_heads, seqlen_q). */
typedef struct ck_fmha_fwd_args {
    ck_fmha_problem problem;
    ck_fmha_tensor q, k, v;
    ck_fmha_tensor o;
    float* lse;
} ck_fmha_fwd_args;

/* A gradient whose data is null is not computed; dlse may be null (zero). */
typedef struct ck_fmha_bwd_args {
    ck_fmha_problem problem;
    ck_fmha_tensor q, k, v, o, d_o;
    const float* lse;
    const float* dlse;
    ck_fmha_tensor dq, dk, dv;
} ck_fmha_bwd_args;

#ifdef __cplusplus
}
#endif
