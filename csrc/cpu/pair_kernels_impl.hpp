#pragma once

// The tile functions on pairs. Included by isa/avx512_bf16*.cpp and isa/avx512_amx*.cpp only.

#include "cpu/bf16_pairs.hpp"
// (after the operations that its templates use)
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

static void pair_rows_transposed(const void* src, ptrdiff_t ld_src, int rows, int cols, Bf16Pair* dst)
{
    constexpr int kMaxCols = 256, kPairs = packed<Bf16Pair>(kTileK);
    alignas(64) Bf16Pair pairs[kPairs][kMaxCols];
    pair_rows(src, ld_src, rows, cols, pairs[0], kMaxCols);
    transpose_tile(pairs[0], kMaxCols, packed<Bf16Pair>(rows), cols, dst, kPairs);
}

template <class Pair>
static constexpr TileKernels<Pair> make_kernels()
{
    TileKernels<Pair> t{};
    t.fwd_tile = fwd_tile<Pair>;
    t.bwd_tile = bwd_tile<Pair>;
#if defined(CK_FMHA_AMX)
    t.enter_tiles = enter_tiles;
    t.leave_tiles = leave_tiles;
#endif
    return t;
}

static constexpr TileKernels<Bf16Pair> make_pair_kernels()
{
    TileKernels<Bf16Pair> t = make_kernels<Bf16Pair>();
    t.transpose = transpose<Bf16Pair>;
    t.load_rows[1] = load_pairs; // the order of enum ck_fmha_dtype
    t.pair_rows = pair_rows;
    t.pair_rows_transposed = pair_rows_transposed;
    return t;
}

#if defined(CK_FMHA_AMX)
static constexpr TileKernels<Float16Pair> make_float16_kernels()
{
    TileKernels<Float16Pair> t = make_kernels<Float16Pair>();
    t.transpose = transpose_split;
    t.load_rows[2] = load_split;
    t.pair_rows = pair_split_rows;
    t.pair_rows_transposed = pair_split_rows_transposed;
    t.can_split = can_split;
    return t;
}
#endif

} // namespace ck_fmha::cpu::CK_FMHA_ISA
