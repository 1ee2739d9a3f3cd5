#pragma once

/* What one attention call is, as plain data: pointers, strides and sizes, no torch. The structs are versioned so that a
 * caller built against an older header is refused instead of misread. What a struct is zeroed to means "without". */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CK_FMHA_ARGS_VERSION 2u

enum ck_fmha_dtype { CK_FMHA_FLOAT32 = 0, CK_FMHA_BFLOAT16 = 1, CK_FMHA_FLOAT16 = 2, CK_FMHA_FLOAT64 = 3 };

/* Element (batch, head, seq, d) lies at data + batch * stride_batch + head * stride_head + seq * stride_seq + d, strides
 * in elements, any sign of regularity (0 for expanded dimensions of inputs); the stride of d is one. */
typedef struct ck_fmha_tensor {
    void* data;
    int64_t stride_batch;
    int64_t stride_head;
    int64_t stride_seq;
} ck_fmha_tensor;

/* One number for every score: element (batch, head, i, j) at data + ... + j * stride_k. A stride of 0 broadcasts. */
typedef struct ck_fmha_scores {
    ck_fmha_tensor tensor; /* (batch, num_heads, seqlen_q, seqlen_k) */
    int64_t stride_k;
} ck_fmha_scores;

/* What changes the scores S = softmax_scale * Q K^T, in this order: softcap, bias, ALiBi, mask; and dropout of P. */
typedef struct ck_fmha_extras {
    ck_fmha_scores bias;       /* added; may hold -inf */
    int32_t bias_dtype;        /* that of the problem or CK_FMHA_FLOAT32 */
    double softcap;            /* S = softcap * tanh(S / softcap); 0 = off */
    ck_fmha_scores attended;   /* one byte each: 0 = not attended, whatever the mask says */
    const float* alibi_slopes; /* adds -slope * |i + seqlen_k - seqlen_q - j|; (batch, num_heads), dense in heads */
    int64_t alibi_stride_batch;
    double dropout_p;      /* in [0, 1], rounded to a multiple of 2^-16; 0 = off */
    uint64_t dropout_seed; /* see cpu/dropout_impl.hpp */
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

/* lse and dlse are float32, float64 for CK_FMHA_FLOAT64, contiguous (batch, num_heads, seqlen_q). */
typedef struct ck_fmha_fwd_args {
    ck_fmha_problem problem;
    ck_fmha_tensor q, k, v;
    ck_fmha_tensor o;
    void* lse;
} ck_fmha_fwd_args;

/* A gradient whose data is null is not computed; dlse may be null (zero). */
typedef struct ck_fmha_bwd_args {
    ck_fmha_problem problem;
    ck_fmha_tensor q, k, v, o, d_o;
    const void* lse;
    const void* dlse;
    ck_fmha_tensor dq, dk, dv;
    /* Of dtype bias_dtype; summed over dimensions of stride 0. Holds zeros: tiles that nobody attends are not written. */
    ck_fmha_scores dbias;
} ck_fmha_bwd_args;

#ifdef __cplusplus
}
#endif
