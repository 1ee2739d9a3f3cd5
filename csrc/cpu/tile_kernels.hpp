#pragma once

#include <cstddef>
#include <cstdint>

#include "ck_tile_masks/index.hpp"

// What the CPU pipelines ask of an instruction set: tables of functions over tiles, filled by one translation unit per
// instruction set (isa/*.cpp). Everything here is plain pointers, so that no code compiled for a newer instruction
// set can be shared with the rest of the library by the linker.
//
// Letters as in the algorithm: S = scale * Q K^T, P = exp(S - m), l = row sums of P, O = P V / l. A `_t` is a
// transposed tile. All tiles are of `Real`: double for float64 tensors, float for all others; element (r, c) of a tile
// with leading dimension ld lies at r * ld + c.

namespace ck_fmha::cpu {

using ck_tile_masks::bits_t;

// Kernel tile: kTileQ query rows by kTileK key columns. Transposed tiles have leading dimension kTileQ or kTileK.
inline constexpr int kTileQ = 64;
inline constexpr int kTileK = 64;
static_assert(kTileQ == 64 && kTileK == 64, "one 64-bit word holds the mask bits of a tile's row");

// Leading dimension of staged rows: the widest vector (16 floats) divides it.
inline constexpr int padded_head_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }

// What happens to the scores after the product and before the mask: S = softcap * tanh(S / softcap), then S += bias.
template <class Real>
struct ScoreChanges {
    Real softcap;     // 0 = none
    const Real* bias; // a tile in the layout of the scores; null = none
    bool any() const { return softcap != 0 || bias; }
};

// Forward state of one row of tiles, one query a column of o_t.
template <class Real>
struct FwdState {
    Real* m;   // kTileQ running row maxima of S
    Real* l;   // kTileQ running sums of exp(S - m)
    Real* o_t; // (head_dim_v, kTileQ) running O^T, not yet divided by l
};

template <class Real>
struct FwdTile {
    int num_q; // rows of this tile that exist, <= kTileQ
    int num_k; // columns that exist, <= kTileK
    int head_dim, head_dim_v;
    Real softmax_scale;
    bool first;      // is this the first tile of the state?
    const Real* q_t; // (head_dim, kTileQ), columns past num_q zero
    const Real* k;   // (num_k, head_dim)
    ptrdiff_t ld_k;
    const Real* v; // (num_k, head_dim_v)
    ptrdiff_t ld_v;
    ScoreChanges<Real> changes; // bias (num_k, kTileQ): of S^T
    const bits_t* key_bits;     // per key: bit q set iff query q attends it; null for a full tile
    const bits_t* keep_bits;    // per key: bit q set iff dropout keeps the element; null without dropout
    Real* s_t;                  // scratch (kTileK, kTileQ)
    FwdState<Real> state;
};

template <class Real>
struct BwdTile {
    int num_q, num_k;
    int head_dim, head_dim_v;
    Real softmax_scale;
    const Real* k_t; // (head_dim, kTileK), columns past num_k zero
    const Real* v_t; // (head_dim_v, kTileK), columns past num_k zero
    const Real* k;   // (num_k, padded head_dim): rows zero-filled to ld_k
    ptrdiff_t ld_k;
    const Real* q; // (num_q, padded head_dim)
    ptrdiff_t ld_q;
    const Real* d_o; // (num_q, padded head_dim_v)
    ptrdiff_t ld_do;
    const Real* lse;            // per query; +inf for an empty row
    const Real* delta;          // per query: dot(dO, O) - dLSE
    ScoreChanges<Real> changes; // bias (num_q, kTileK): of S
    const bits_t* query_bits;   // per query: bit k set iff it attends key k; null for a full tile
    const bits_t* keep_bits;    // per query: bit k set iff dropout keeps the element; null without dropout
    Real keep_scale;            // factor on what dropout keeps
    Real* p;                    // scratch (kTileQ, kTileK): P, after dropout
    Real* ds;                   // scratch (kTileQ, kTileK): dS, of the scores before ScoreChanges
    Real* dbias;                // (kTileQ, kTileK): dS of the scores after them; null if not wanted
    Real* dq;                   // (kTileQ, padded head_dim): this tile's part of dQ; null if not wanted
    Real* dk;                   // (kTileK, padded head_dim), accumulated; null if not wanted
    Real* dv;                   // (kTileK, padded head_dim_v), accumulated; null if not wanted
};

inline constexpr int kNumDtypes = 4; // enum ck_fmha_dtype

template <class Real>
struct TileKernels {
    // By dtype, null for those that do not compute in `Real`. Copies `rows` rows of `cols` numbers to `Real`, filling
    // each row up to `ld_dst` with zeros.
    void (*load_rows[kNumDtypes])(const void* src, ptrdiff_t ld_src, int rows, int cols, Real* dst, int ld_dst);
    // Rounds to the nearest, ties to even.
    void (*store_rows[kNumDtypes])(const Real* src, int ld_src, int rows, int cols, void* dst, ptrdiff_t ld_dst);
    // dst (cols, 64) = src^T, columns past `rows` zero.
    void (*transpose)(const Real* src, ptrdiff_t ld_src, int rows, int cols, Real* dst);
    // dst (rows, cols) += src
    void (*add_rows)(const Real* src, int ld_src, int rows, int cols, Real* dst, ptrdiff_t ld_dst);
    // tile (64, 64) += -slope * |first + r * step_r + c * step_c|: ALiBi's bias
    void (*add_alibi)(Real slope, int64_t first, int step_r, int step_c, Real* tile);

    // One tile of the forward pass: updates the state.
    void (*fwd_tile)(const FwdTile<Real>& tile);
    // into := the state of both together; both may be empty (m = -inf).
    void (*fwd_merge)(const FwdState<Real>& into, const FwdState<Real>& from, int head_dim_v);
    // o (num_q, ld_o) = keep_scale * O, lse (num_q) = natural logarithm of the sum; an empty row gives 0 and -inf.
    void (*fwd_finish)(const FwdState<Real>& state, int num_q, int head_dim_v, Real keep_scale, Real* o, ptrdiff_t ld_o,
                       Real* lse);

    // delta (rows) = dot(dO, O) - dLSE; d_lse may be null. The rows of dO and O are filled up with zeros.
    void (*bwd_delta)(const Real* d_o, ptrdiff_t ld_do, const Real* o, ptrdiff_t ld_o, const Real* d_lse, int rows,
                      int head_dim_v, Real* delta);
    // One tile of the backward pass: dQ of this tile, dK and dV accumulated.
    void (*bwd_tile)(const BwdTile<Real>& tile);
};

// Which elements dropout keeps; see dropout.hpp.
struct DropoutTile {
    uint64_t seed;
    uint32_t threshold; // kept iff 16 random bits are at least this
    uint32_t batch, head;
    uint32_t query, key; // of the tile's first element; both multiples of 64
};

struct IsaKernels {
    const char* name;
    TileKernels<float> of_float;
    TileKernels<double> of_double;
    // Per key of the tile: bit q set iff the element is kept.
    void (*dropout_key_bits)(const DropoutTile& tile, bits_t* bits);
};

// The best table for this processor, or the one that CK_FMHA_CPU_ISA names ("generic", "avx2", "avx512").
// Throws std::runtime_error if that one is unknown or the processor lacks it.
const IsaKernels& isa_kernels();
// Names of the tables this processor can run, slowest first.
const char* const* available_isas(int* count);

template <class Real>
const TileKernels<Real>& tile_kernels()
{
    if constexpr (sizeof(Real) == sizeof(double))
        return isa_kernels().of_double;
    else
        return isa_kernels().of_float;
}

} // namespace ck_fmha::cpu
