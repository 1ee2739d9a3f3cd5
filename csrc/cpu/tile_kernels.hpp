#pragma once

#include <cstddef>
#include <cstdint>

// What the CPU pipelines ask of an instruction set: one table of functions over tiles, filled by one translation unit
// per instruction set (isa/*.cpp). Everything here is plain pointers, so that no code compiled for a newer instruction
// set can be shared with the rest of the library by the linker.
//
// Letters as in the algorithm: S = scale * Q K^T, P = exp(S - m), l = row sums of P, O = P V / l. A `_t` is a
// transposed tile. All tiles are float32; element (r, c) of a tile with leading dimension ld lies at r * ld + c.

namespace ck_fmha::cpu {

// Kernel tile: kTileQ query rows by kTileK key columns. Transposed tiles have leading dimension kTileQ or kTileK.
inline constexpr int kTileQ = 64;
inline constexpr int kTileK = 64;
static_assert(kTileQ == 64 && kTileK == 64, "one 64-bit word holds the mask bits of a tile's row");

// Leading dimension of staged rows: the widest vector (16 floats) divides it.
inline constexpr int padded_head_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }

// Forward state of one row of tiles, one query a column of o_t.
struct FwdState {
    float* m;   // kTileQ running row maxima of S
    float* l;   // kTileQ running sums of exp(S - m)
    float* o_t; // (head_dim_v, kTileQ) running O^T, not yet divided by l
};

struct FwdTile {
    int num_q; // rows of this tile that exist, <= kTileQ
    int num_k; // columns that exist, <= kTileK
    int head_dim, head_dim_v;
    float softmax_scale;
    bool first;       // is this the first tile of the state?
    const float* q_t; // (head_dim, kTileQ), columns past num_q zero
    const float* k;   // (num_k, head_dim)
    ptrdiff_t ld_k;
    const float* v; // (num_k, head_dim_v)
    ptrdiff_t ld_v;
    const uint64_t* key_bits; // per key: bit q set iff query q attends it; null for a full tile
    float* s_t;               // scratch (kTileK, kTileQ)
    FwdState state;
};

struct BwdTile {
    int num_q, num_k;
    int head_dim, head_dim_v;
    float softmax_scale;
    const float* k_t; // (head_dim, kTileK), columns past num_k zero
    const float* v_t; // (head_dim_v, kTileK), columns past num_k zero
    const float* k;   // (num_k, padded head_dim): rows zero-filled to ld_k
    ptrdiff_t ld_k;
    const float* q; // (num_q, padded head_dim)
    ptrdiff_t ld_q;
    const float* d_o; // (num_q, padded head_dim_v)
    ptrdiff_t ld_do;
    const float* lse;           // per query; +inf for an empty row
    const float* delta;         // per query: dot(dO, O) - dLSE
    const uint64_t* query_bits; // per query: bit k set iff it attends key k; null for a full tile
    float* p;                   // scratch (kTileQ, kTileK): P
    float* ds;                  // scratch (kTileQ, kTileK): dS
    float* dq;                  // (kTileQ, padded head_dim): this tile's part of dQ; null if not wanted
    float* dk;                  // (kTileK, padded head_dim), accumulated; null if not wanted
    float* dv;                  // (kTileK, padded head_dim_v), accumulated; null if not wanted
};

struct TileKernels {
    const char* name;

    // Copies `rows` rows of `cols` numbers to float32, filling each row up to `ld_dst` with zeros.
    void (*load_rows_f32)(const float* src, ptrdiff_t ld_src, int rows, int cols, float* dst, int ld_dst);
    void (*load_rows_bf16)(const uint16_t* src, ptrdiff_t ld_src, int rows, int cols, float* dst, int ld_dst);
    void (*store_rows_f32)(const float* src, int ld_src, int rows, int cols, float* dst, ptrdiff_t ld_dst);
    // Rounds to the nearest bfloat16, ties to even.
    void (*store_rows_bf16)(const float* src, int ld_src, int rows, int cols, uint16_t* dst, ptrdiff_t ld_dst);
    // dst (cols, 64) = src^T, columns past `rows` zero.
    void (*transpose)(const float* src, ptrdiff_t ld_src, int rows, int cols, float* dst);

    // One tile of the forward pass: updates the state.
    void (*fwd_tile)(const FwdTile& tile);
    // into := the state of both together; both may be empty (m = -inf).
    void (*fwd_merge)(const FwdState& into, const FwdState& from, int head_dim_v);
    // o (num_q, ld_o) = O, lse (num_q) = natural logarithm of the sum; an empty row gives 0 and -inf.
    void (*fwd_finish)(const FwdState& state, int num_q, int head_dim_v, float* o, ptrdiff_t ld_o, float* lse);

    // delta (rows) = dot(dO, O) - dLSE; d_lse may be null. The rows of dO and O are filled up with zeros.
    void (*bwd_delta)(const float* d_o, ptrdiff_t ld_do, const float* o, ptrdiff_t ld_o, const float* d_lse, int rows,
                      int head_dim_v, float* delta);
    // One tile of the backward pass: dQ of this tile, dK and dV accumulated.
    void (*bwd_tile)(const BwdTile& tile);
    // dst (rows, cols) += src
    void (*add_rows)(const float* src, int ld_src, int rows, int cols, float* dst, ptrdiff_t ld_dst);
};

// The best table for this processor, or the one that CK_FMHA_CPU_ISA names ("generic", "avx2", "avx512").
// Throws std::runtime_error if that one is unknown or the processor lacks it.
const TileKernels& tile_kernels();
// Names of the tables this processor can run, slowest first.
const char* const* available_isas(int* count);

} // namespace ck_fmha::cpu
