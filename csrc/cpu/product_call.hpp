#pragma once

// C (m, n) = init + scale * sum_k A(m, k) B(k, n): the one matrix product of the CPU back end, for all seven of forward
// and backward. B and C are rows of vectors; A may be transposed: ALayout::rows = A's rows are contiguous (k runs
// fastest), ALayout::cols = its columns are. With pairs of bfloat16, k counts pairs. Included by isa/*.cpp only, by
// way of product.hpp, with one of the two that compute it: product_vectors.hpp or product_amx.hpp.

#include "cpu/rows_ahead.hpp"
#include "cpu/simd.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

enum class ALayout { rows, cols };
// C starts from 0, from itself, from itself times a number per column, or from minus a number per column.
enum class Init { zero, add, rescale, subtract };

// Is Product::maxima, a number per column, raised to the largest C of its column? Where kFormsScores only.
enum class ColumnMaxima { none, raised };

// Vectors of a row that are worked on at a time.
inline constexpr int kBlockN = CK_FMHA_VECTOR_BYTES == 64 ? 4 : 2;

template <class Operand>
struct Product {
    using Real = RealOf<Operand>;
    const Operand* a;
    ptrdiff_t ld_a;
    const Operand* b;
    ptrdiff_t ld_b;
    Real* c;
    ptrdiff_t ld_c;
    int depth; // of operands
    Real scale = 1;
    const Real* per_column = nullptr; // of Init::rescale and Init::subtract
    RowsAhead* ahead = nullptr;       // rows to be brought near on the way, where kBringsNear
    Real* maxima = nullptr;           // of ColumnMaxima::raised
};

} // namespace ck_fmha::cpu::CK_FMHA_ISA
