#pragma once

// C (m, n) = init + scale * sum_k A(m, k) B(k, n) in the tile registers of AMX; A and B hold pairs of bfloat16, or of
// float16 as sums of two bfloat16, and k counts pairs. Included by isa/avx512_amx*.cpp only, by way of
// product.hpp.
//
// A block of C is 2 x 2 tiles of 16 x 16, for which two tiles of A and two of B are read: four products for four loads.
//
//                    B: 6    7          registers 0 .. 3: C
//             A: 4    [ 0 ][ 1 ]                  4, 5: A, rows of 16 pairs
//                5    [ 2 ][ 3 ]                  6, 7: B, 16 columns, a row for each pair
//
// Both are read as they lie in memory, but for an A whose columns are contiguous, which is transposed first, and for
// tiles at the end of a dimension, which are filled up with zeros.

#include <iterator>
#include <type_traits>
#include <utility>

#include "cpu/amx_tiles.hpp"
#include "cpu/product_call.hpp"
#include "cpu/split_pairs.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

inline constexpr int kBlockRows = 2 * kTileRows;
inline constexpr int kBlockCols = 2 * kTileCols;
inline constexpr bool kFormsScores = false;                // sums go from tile registers to memory
inline constexpr bool kBringsNear = false;                 // a product has some tens of instructions
inline constexpr int kMaxPairs = packed<Bf16Pair>(kTileQ); // of the sums over queries or keys
static_assert(kTileCols == kSplitGroup, "a tile register holds a part of a group of each of its rows");

// 16 x 16 operands at p; what lies past `rows` and `cols` is not read and counts as zero.
template <int kTile>
__attribute__((noinline)) static void load_and_fill(const Bf16Pair* p, ptrdiff_t ld, int rows, int cols)
{
    alignas(64) Bf16Pair filled[kTileRows][kTileCols] = {};
    for (int r = 0; r < rows && r < kTileRows; ++r)
        std::memcpy(filled[r], p + r * ld, sizeof(Bf16Pair) * (cols < kTileCols ? cols : kTileCols));
    load_tile<kTile>(filled[0], kTileCols);
}
template <int kTile>
__attribute__((always_inline)) static inline void load_operands(const Bf16Pair* p, ptrdiff_t ld, int rows, int cols)
{
    if (rows >= kTileRows && cols >= kTileCols)
        load_tile<kTile>(p, ld);
    else
        load_and_fill<kTile>(p, ld, rows, cols);
}

// body(tile, m, n) for the registers that hold C, with the place of their first element.
template <int kM, int kN, class Body>
static inline void for_tiles(const Body& body)
{
    body(std::integral_constant<int, 0>{}, 0, 0);
    if constexpr (kN == 2) body(std::integral_constant<int, 1>{}, 0, kTileCols);
    if constexpr (kM == 2) body(std::integral_constant<int, 2>{}, kTileRows, 0);
    if constexpr (kM == 2 && kN == 2) body(std::integral_constant<int, 3>{}, kTileRows, kTileCols);
}

// The products of parts, of A and of B, that make the product of two numbers; from one to the next either A or B stays
// in its registers. All four of float16: without that of the second parts, up to 2^-18 of the whole, the LSE, which is
// float32, had twice to fifteen times the error.
struct Term {
    int a, b;
};
template <int kNumParts>
inline constexpr Term kTerms[] = {{0, 0}};
template <>
inline constexpr Term kTerms<2>[] = {{1, 1}, {1, 0}, {0, 0}, {0, 1}};

// Operands of a block at one step of k: where a part of them lies, how far apart rows are, and how many rows (of B:
// columns) and operands of the sum are left.
struct Operands {
    const Bf16Pair* a;
    ptrdiff_t ld_a;
    const Bf16Pair* b;
    ptrdiff_t ld_b;
    int rows, depth;
};

// C += the product of part kTerm.a of A and part kTerm.b of B
template <int kM, int kN, int kNumParts, size_t kNumber>
__attribute__((always_inline)) static inline void multiply_add_term(const Operands& x)
{
    constexpr Term kTerm = kTerms<kNumParts>[kNumber], kBefore = kTerms<kNumParts>[kNumber ? kNumber - 1 : 0];
    constexpr bool kLoadsA = kNumber == 0 || kTerm.a != kBefore.a, kLoadsB = kNumber == 0 || kTerm.b != kBefore.b;
    const Bf16Pair *a = x.a + kTerm.a * kSplitGroup, *b = x.b + kTerm.b * kSplitGroup;
    if constexpr (kLoadsA) load_operands<4>(a, x.ld_a, x.rows, x.depth);
    if constexpr (kLoadsB) load_operands<6>(b, x.ld_b, x.depth, kTileCols);
    multiply_add_tiles<0, 4, 6>();
    if constexpr (kN == 2) {
        if constexpr (kLoadsB) load_operands<7>(b + kNumParts * kTileCols, x.ld_b, x.depth, kTileCols);
        multiply_add_tiles<1, 4, 7>();
    }
    if constexpr (kM == 2) {
        if constexpr (kLoadsA) load_operands<5>(a + kTileRows * x.ld_a, x.ld_a, x.rows - kTileRows, x.depth);
        multiply_add_tiles<2, 5, 6>();
        if constexpr (kN == 2) multiply_add_tiles<3, 5, 7>();
    }
}
template <int kM, int kN, int kNumParts, size_t... kNumber>
__attribute__((always_inline)) static inline void multiply_add_terms(const Operands& x, std::index_sequence<kNumber...>)
{
    (multiply_add_term<kM, kN, kNumParts, kNumber>(x), ...);
}

// kM x kN tiles of C at c, from column `col` on; `rows` of their rows exist. A is read by rows, whatever t says of it.
template <class Operand, Init kInit, int kM, int kN>
__attribute__((noinline)) static void product_block(const Operand* a, ptrdiff_t ld_a, float* c, int rows, int col,
                                                    const Product<Operand>& t)
{
    static_assert(kInit != Init::subtract, "scores are formed from their sums, see kFormsScores");
    constexpr int kNumParts = kParts<Operand>;
    constexpr std::make_index_sequence<std::size(kTerms<kNumParts>)> kEveryTerm;
    c += col;
    // The registers start from C, and hold what it becomes, where nothing but sums is asked for.
    const bool only_sums = (kInit == Init::zero || kInit == Init::add) && t.scale == 1 && rows >= kM * kTileRows;
    if (kInit == Init::add && only_sums)
        for_tiles<kM, kN>([&](auto tile, int m, int n) { load_tile<tile>(c + m * t.ld_c + n, t.ld_c); });
    else
        for_tiles<kM, kN>([](auto tile, int, int) { zero_tile<tile>(); });
    Operands x{part_of(a, 0), kNumParts * ld_a, part_of(t.b + col, 0), kNumParts * t.ld_b, rows, t.depth};
    for (; x.depth > 0; x.depth -= kTileCols, x.a += kNumParts * kTileCols, x.b += kTileCols * x.ld_b)
        multiply_add_terms<kM, kN, kNumParts>(x, kEveryTerm);

    if (only_sums)
        return for_tiles<kM, kN>([&](auto tile, int m, int n) { store_tile<tile>(c + m * t.ld_c + n, t.ld_c); });
    alignas(64) float sums[kM * kTileRows][kN * kTileCols];
    for_tiles<kM, kN>([&](auto tile, int m, int n) { store_tile<tile>(sums[m] + n, kN * kTileCols); });
    for (int m = 0; m < rows && m < kM * kTileRows; ++m, c += t.ld_c)
        for (int n = 0; n < kN * kTileCols; n += kLanes<float>) {
            vfloat sum = t.scale * load(sums[m] + n);
            if constexpr (kInit == Init::add) sum += load(c + n);
            if constexpr (kInit == Init::rescale) sum += load(t.per_column + col + n) * load(c + n);
            store(c + n, sum);
        }
}

// `rows` rows of C at c, as many as a block has or fewer.
template <class Operand, Init kInit, int kM>
static void product_blocks(const Operand* a, ptrdiff_t ld_a, float* c, int rows, int num_n, const Product<Operand>& t)
{
    int col = 0;
    for (; col + kBlockCols <= num_n; col += kBlockCols)
        product_block<Operand, kInit, kM, 2>(a, ld_a, c, rows, col, t);
    if (col < num_n) product_block<Operand, kInit, kM, 1>(a, ld_a, c, rows, col, t);
}

// `num_n` columns, a multiple of 16.
template <class Operand, ALayout kLayout, Init kInit>
static void product(int num_m, int num_n, const Product<Operand>& t)
{
    static_assert(kPack<Operand> == 2, "tile registers multiply pairs of bfloat16");
    alignas(64) Operand transposed[kBlockRows][kMaxPairs]; // rows of A, where it lies by columns
    for (int m = 0; m < num_m; m += kBlockRows) {
        const int rows = num_m - m < kBlockRows ? num_m - m : kBlockRows;
        float* c = t.c + m * t.ld_c;
        const bool by_rows = kLayout == ALayout::rows;
        if (!by_rows) transpose_pairs(t.a + m, t.ld_a, t.depth, rows, transposed[0], kMaxPairs);
        const Operand* a = by_rows ? t.a + m * t.ld_a : transposed[0];
        const ptrdiff_t ld_a = by_rows ? t.ld_a : kMaxPairs;
        if (rows > kTileRows)
            product_blocks<Operand, kInit, 2>(a, ld_a, c, rows, num_n, t);
        else
            product_blocks<Operand, kInit, 1>(a, ld_a, c, rows, num_n, t);
    }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
