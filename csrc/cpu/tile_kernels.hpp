#pragma once

#include <cstddef>
#include <cstdint>

#include "ck_tile_masks/index.hpp"
#include "cpu/operands.hpp"

// What the CPU pipelines ask of an instruction set: tables of functions over tiles, filled by one translation unit per
// instruction set (isa/*.cpp). Everything here is plain pointers, so that no code compiled for a newer instruction
// set can be shared with the rest of the library by the linker.
//
// Letters as in the algorithm: S = scale * Q K^T, P = exp(S) / 2^m, l = row sums of P, O = P V / l. A `_t` is a
// transposed tile. Element (r, c) of a tile with leading dimension ld lies at r * ld + c.
//
// All sums, statistics and results are of `Real`: double for float64 tensors, float for all others. What products
// multiply are tiles of `Operand`, see operands.hpp.

namespace ck_fmha::cpu {

using ck_tile_masks::bits_t;

// Kernel tile: kTileQ query rows by kTileK key columns. Transposed tiles have leading dimension kTileQ or kTileK.
inline constexpr int kTileQ = 64;
inline constexpr int kTileK = 64;
static_assert(kTileQ == 64 && kTileK == 64, "one 64-bit word holds the mask bits of a tile's row");

// What happens to the scores after the product and before the mask: S = softcap * tanh(S / softcap), then S += bias.
template <class Real>
struct ScoreChanges {
    Real softcap;     // 0 = none
    const Real* bias; // a tile in the layout of the scores; null = none
    bool any() const { return softcap != 0 || bias; }
};

// Is the softmax of a call to work with S, not with S log2 e? Where scores are changed between the product and the
// softmax, and where the scale is too large to be multiplied with log2 e.
template <class Real>
inline bool needs_natural_scores(bool changed, Real softmax_scale)
{
    return changed || __builtin_isinf(softmax_scale * Real(1.5));
}

// Forward state of one row of tiles, one query a column of o_t.
template <class Real>
struct FwdState {
    Real* m;   // kTileQ references near the running row maxima of S log2 e, or of S where scores are natural
    Real* l;   // kTileQ running sums of P = 2^(S log2 e - m)
    Real* o_t; // (head_dim_v, kTileQ) running O^T, not yet divided by l
};

// Rows that are read or written after a tile, brought near while it is computed: a processor foresees the rest of a
// tensor, but not where a walk goes on.
struct NextRows {
    const char* data; // null: none
    ptrdiff_t stride; // bytes
    int size;         // bytes of a row
    int count;
};

// Rows of P^T are that far apart: with S^T, in whose place they lie, unless its numbers are several parts.
template <class Operand>
inline constexpr int kLdP = kParts<Operand> == 1 ? kPack<Operand> * kTileQ : kTileQ;

// One tile of the forward pass, but for what it multiplies.
template <class Real>
struct FwdTileCall {
    int num_q; // rows of this tile that exist, <= kTileQ
    int num_k; // columns that exist, <= kTileK
    int head_dim, head_dim_v;
    Real softmax_scale;
    bool first;                 // is this the first tile of the state?
    bool natural_scores;        // the same for all tiles of a state; see needs_natural_scores
    ScoreChanges<Real> changes; // bias (num_k, kTileQ): of S^T
    const bits_t* query_bits;   // per query: bit k set iff it attends key k; null for a full tile
    const bits_t* keep_bits;    // per key: bit q set iff dropout keeps the element; null without dropout
    NextRows next[2];           // of the next tile's K and V; at the end of a walk of O and the next walk's Q
    Real* s_t;                  // scratch (kTileK, kTileQ): S^T
    FwdState<Real> state;
};
template <class Operand>
struct FwdTile : FwdTileCall<RealOf<Operand>> {
    const Operand* q_t; // (packed head_dim, kTileQ), columns past num_q zero
    const Operand* k;   // (num_k, packed head_dim)
    ptrdiff_t ld_k;
    const Operand* v; // (num_k, head_dim_v); pairs of keys: (head_dim_v, packed kTileK), of which packed num_k are read
    ptrdiff_t ld_v;
    Operand* p_t; // scratch (packed kTileK, kTileQ): P^T, in the place of S^T where it fits there, see kLdP
};

// One tile of the backward pass, but for what it multiplies.
template <class Real>
struct BwdTileCall {
    int num_q, num_k;
    int head_dim, head_dim_v;
    Real softmax_scale;
    NextRows next[4]; // of all the next tile reads of Q and dO; at the end of a walk of dK, dV, the next walk's K and V
    const Real* lse;  // per query; +inf for an empty row
    const Real* delta;          // per query: dot(dO, O) - dLSE
    ScoreChanges<Real> changes; // bias (num_q, kTileK): of S
    const bits_t* query_bits;   // per query: bit k set iff it attends key k; null for a full tile
    const bits_t* keep_bits;    // per query: bit k set iff dropout keeps the element; null without dropout
    Real keep_scale;            // factor on what dropout keeps
    Real* s;                    // scratch (kTileQ, kTileK): Q K^T
    Real* dp;                   // scratch (kTileQ, kTileK): dP
    Real* dbias;                // (kTileQ, kTileK): dS of the scores after ScoreChanges; null if not wanted
    Real* dq;                   // (kTileQ, padded head_dim): this tile's part of dQ; null if not wanted
    Real* dk;                   // (kTileK, padded head_dim), accumulated; null if not wanted
    Real* dv;                   // (kTileK, padded head_dim_v), accumulated; null if not wanted
};
// Q, dO and dS enter two products each, one that sums over head_dim (dS: keys) and one over queries. Single numbers may
// lie alike for both.
template <class Operand>
struct BwdTile : BwdTileCall<RealOf<Operand>> {
    const Operand* k_t; // (packed head_dim, kTileK), columns past num_k zero
    const Operand* v_t; // (packed head_dim_v, kTileK), columns past num_k zero
    const Operand* k;   // (packed num_k, padded head_dim): rows zero-filled
    ptrdiff_t ld_k;
    const Operand* q; // (num_q, packed head_dim)
    ptrdiff_t ld_q;
    const Operand* d_o; // (num_q, packed head_dim_v)
    ptrdiff_t ld_do;
    const Operand* q_rows; // (packed num_q, padded head_dim): rows zero-filled
    ptrdiff_t ld_q_rows;
    const Operand* d_o_rows; // (packed num_q, padded head_dim_v): rows zero-filled
    ptrdiff_t ld_do_rows;
    // Scratch: P after dropout and dS of the scores before ScoreChanges, (packed queries, kTileK) with kLdRows, and dS
    // once more, (queries, packed kTileK) with kLdKeys. See BwdPlaces.
    Operand *p, *ds_rows, *ds;
};

// Where P and dS lie: in the place of S and dP, unless their numbers are several parts. Pairs of queries need half of
// it: those of dS lie in the odd rows of P.
template <class Operand>
struct BwdPlaces {
    static constexpr bool kInPlace = kParts<Operand> == 1;
    static constexpr int kLdRows = kInPlace ? kPack<Operand> * kTileK : kTileK;
    static constexpr int kLdKeys = kInPlace ? kTileK : kTileK / kPack<Operand>;

    static void in_place(BwdTile<Operand>& tile)
    {
        tile.p = reinterpret_cast<Operand*>(tile.s);
        tile.ds = reinterpret_cast<Operand*>(tile.dp);
        tile.ds_rows = kPack<Operand> == 1 ? tile.ds : tile.p + kTileK;
    }
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
    void (*fwd_merge)(const FwdState<Real>& into, const FwdState<Real>& from, int head_dim_v, bool natural_scores);
    // o (num_q, ld_o) = keep_scale * O, lse (num_q) = natural logarithm of the sum; an empty row gives 0 and -inf.
    void (*fwd_finish)(const FwdState<Real>& state, int num_q, int head_dim_v, bool natural_scores, Real keep_scale,
                       Real* o, ptrdiff_t ld_o, Real* lse);

    // delta (rows) = dot(dO, O) - dLSE; d_lse may be null. The rows of dO and O are filled up with zeros.
    void (*bwd_delta)(const Real* d_o, ptrdiff_t ld_do, const Real* o, ptrdiff_t ld_o, const Real* d_lse, int rows,
                      int head_dim_v, Real* delta);
    // One tile of the backward pass: dQ of this tile, dK and dV accumulated.
    void (*bwd_tile)(const BwdTile<Real>& tile);
};

// How a thread's tile registers are set up: the processor's own format, all zero where they are not.
struct alignas(64) TileConfig {
    uint8_t bytes[64];
};

// What differs for pairs.
template <class Pair>
struct PairKernels {
    // As above, null for every dtype but the one that such pairs hold: dst (rows, packed cols), neighbours in a row.
    void (*load_rows[kNumDtypes])(const void* src, ptrdiff_t ld_src, int rows, int cols, Pair* dst, int ld_dst);
    // dst (packed rows, cols), pairs of neighbours in a column, each row filled up to `ld_dst` with zeros.
    void (*pair_rows)(const void* src, ptrdiff_t ld_src, int rows, int cols, Pair* dst, int ld_dst);
    // dst (cols, packed 64): the same of at most 64 rows, transposed; pairs past `rows` stay as they were.
    void (*pair_rows_transposed)(const void* src, ptrdiff_t ld_src, int rows, int cols, Pair* dst);
    void (*transpose)(const Pair* src, ptrdiff_t ld_src, int rows, int cols, Pair* dst);
    // Is each number the sum of its parts? Null where numbers are not split.
    bool (*can_split)(const void* src, ptrdiff_t ld_src, int rows, int cols);
    void (*fwd_tile)(const FwdTile<Pair>& tile);
    void (*bwd_tile)(const BwdTile<Pair>& tile);
    // Around calls of the two on one thread, where they compute in tile registers, else null.
    void (*enter_tiles)(TileConfig& before);
    void (*leave_tiles)(const TileConfig& before);
};
template <>
struct TileKernels<Bf16Pair> : PairKernels<Bf16Pair> {};
template <>
struct TileKernels<Float16Pair> : PairKernels<Float16Pair> {};

// In its scope a thread may call fwd_tile and bwd_tile.
template <class Operand>
class TileScope {
public:
    explicit TileScope(const TileKernels<Operand>& kernels) : kernels_(kernels)
    {
        if constexpr (kPack<Operand> == 2)
            if (kernels_.enter_tiles) kernels_.enter_tiles(before_);
    }
    ~TileScope()
    {
        if constexpr (kPack<Operand> == 2)
            if (kernels_.leave_tiles) kernels_.leave_tiles(before_);
    }
    TileScope(const TileScope&) = delete;
    TileScope& operator=(const TileScope&) = delete;

private:
    const TileKernels<Operand>& kernels_;
    TileConfig before_;
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
    // All null where the processor has no such products, or has faster ones.
    TileKernels<Bf16Pair> of_bf16_pairs;
    TileKernels<Float16Pair> of_float16_pairs;
    // Per key of the tile: bit q set iff the element is kept.
    void (*dropout_key_bits)(const DropoutTile& tile, bits_t* bits);
};

// The best table for this processor, or the one that CK_FMHA_CPU_ISA names ("generic", "avx2", "avx512",
// "avx512_bf16", "avx512_amx"). Throws std::runtime_error if that one is unknown or the processor lacks it.
const IsaKernels& isa_kernels();
// Names of the tables this processor can run, slowest first.
const char* const* available_isas(int* count);

inline const TileKernels<float>& kernels_of(const IsaKernels& isa, float) { return isa.of_float; }
inline const TileKernels<double>& kernels_of(const IsaKernels& isa, double) { return isa.of_double; }
inline const TileKernels<Bf16Pair>& kernels_of(const IsaKernels& isa, Bf16Pair) { return isa.of_bf16_pairs; }
inline const TileKernels<Float16Pair>& kernels_of(const IsaKernels& isa, Float16Pair) { return isa.of_float16_pairs; }

template <class Operand>
const TileKernels<Operand>& tile_kernels()
{
    return kernels_of(isa_kernels(), Operand{});
}

// Does this processor multiply such pairs?
template <class Pair>
bool has_products()
{
    return tile_kernels<Pair>().fwd_tile != nullptr;
}

} // namespace ck_fmha::cpu
