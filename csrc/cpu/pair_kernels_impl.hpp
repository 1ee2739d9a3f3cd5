#pragma once

// The tile functions on pairs of bfloat16. Included by isa/avx512_bf16*.cpp and isa/avx512_amx*.cpp
// only.

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

static constexpr TileKernels<Bf16Pair> make_pair_kernels()
{
    TileKernels<Bf16Pair> t{};
    t.load_rows[1] = load_pairs; // the order of enum ck_fmha_dtype
    t.pair_rows = pair_rows;
    t.pair_rows_transposed = pair_rows_transposed;
    t.transpose = transpose<Bf16Pair>;
    t.fwd_tile = fwd_tile<Bf16Pair>;
    t.bwd_tile = bwd_tile<Bf16Pair>;
#if defined(CK_FMHA_AMX)
    t.enter_tiles = enter_tiles;
    t.leave_tiles = leave_tiles;
#endif
    return t;
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
