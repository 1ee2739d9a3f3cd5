#pragma once

// The product of product_call.hpp in vectors. Included by product.hpp. A is read one operand at a time and broadcast,
// so that it may be transposed for free.
//
// A block of C stays in registers: kM rows by kN vectors, 24 of 32 registers with AVX-512, 12 of 16 with AVX2 and SSE.
// Sums longer than kBlockDepth are formed in pieces, each from zero: errors then grow with the number of pieces, not
// with the length of the sum.

#include "cpu/product_call.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

// Without fused multiply-adds every product is rounded as well; shorter pieces make up for it.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
inline constexpr int kBlockDepth = 64;
#else
inline constexpr int kBlockDepth = 16;
#endif
inline constexpr int kBlockM = 6;
inline constexpr int kStepsAtOnce = 4;     // of the sum, in the inner loop
inline constexpr bool kFormsScores = true; // at no cost: sums are in vectors when they are complete
inline constexpr bool kBringsNear = true;

// kM rows by kN vectors of C, from the rows of A at `a` on. Not inlined: all registers are its own.
template <class Operand, ALayout kLayout, Init kInit, ColumnMaxima kMaxima, int kM, int kN>
__attribute__((noinline)) static void product_block(const Operand* a, RealOf<Operand>* c_rows,
                                                    const Product<Operand>& t)
{
    using Real = RealOf<Operand>;
    vec<Real> acc[kM][kN] = {};
    const Operand* b = t.b;
    const ptrdiff_t ld_a = t.ld_a, ld_b = t.ld_b;
    const auto step = [&] {
        vec<Operand> bv[kN];
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n)
            bv[n] = load(b + n * kLanes<Operand>);
#pragma GCC unroll 8
        for (int m = 0; m < kM; ++m) {
            const vec<Operand> av = splat(kLayout == ALayout::rows ? a[m * ld_a] : a[m]);
#pragma GCC unroll 8
            for (int n = 0; n < kN; ++n)
                acc[m][n] = multiply_add(acc[m][n], av, bv[n]);
        }
        a += kLayout == ALayout::rows ? 1 : ld_a;
        b += ld_b;
    };
    RowsAhead::Pairs ahead = t.ahead ? t.ahead->for_block(t.depth / kStepsAtOnce) : RowsAhead::Pairs();
    // Where two threads share a core, the number of instructions is what bounds the loop: several steps a turn.
    int left = t.depth;
    for (; left >= kStepsAtOnce; left -= kStepsAtOnce) {
        ahead.bring_near();
#pragma GCC unroll 8
        for (int n = 0; n < kStepsAtOnce; ++n)
            step();
    }
    for (; left > 0; --left)
        step();

    // Copies, which no store can change.
    const Real scale = t.scale;
    const Real* const per_column = t.per_column;
    const ptrdiff_t ld_c = t.ld_c;
    vec<Real> largest[kN];
    if constexpr (kMaxima == ColumnMaxima::raised)
        for (int n = 0; n < kN; ++n)
            largest[n] = load(t.maxima + n * kLanes<Real>);
#pragma GCC unroll 8
    for (int m = 0; m < kM; ++m)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n) {
            Real* c = c_rows + m * ld_c + n * kLanes<Real>;
            vec<Real> sum = scale * acc[m][n];
            if constexpr (kInit == Init::add) sum += load(c);
            if constexpr (kInit == Init::rescale) sum += load(per_column + n * kLanes<Real>) * load(c);
            if constexpr (kInit == Init::subtract) sum -= load(per_column + n * kLanes<Real>);
            store(c, sum);
            if constexpr (kMaxima == ColumnMaxima::raised) largest[n] = max_or_second(sum, largest[n]);
        }
    if constexpr (kMaxima == ColumnMaxima::raised)
        for (int n = 0; n < kN; ++n)
            store(t.maxima + n * kLanes<Real>, largest[n]);
}

// All rows of kN vectors of C: blocks of kBlockM rows, then a smaller one.
template <class Operand, ALayout kLayout, Init kInit, ColumnMaxima kMaxima, int kN>
static void product_panel(int num_m, const Product<Operand>& t)
{
    const Operand* a = t.a;
    RealOf<Operand>* c = t.c;
    for (; num_m >= kBlockM; num_m -= kBlockM) {
        product_block<Operand, kLayout, kInit, kMaxima, kBlockM, kN>(a, c, t);
        a += kLayout == ALayout::rows ? kBlockM * t.ld_a : kBlockM;
        c += kBlockM * t.ld_c;
    }
    static_assert(kBlockM == 6, "one case for each number of rows that may be left");
    switch (num_m) {
    case 1:
        return product_block<Operand, kLayout, kInit, kMaxima, 1, kN>(a, c, t);
    case 2:
        return product_block<Operand, kLayout, kInit, kMaxima, 2, kN>(a, c, t);
    case 3:
        return product_block<Operand, kLayout, kInit, kMaxima, 3, kN>(a, c, t);
    case 4:
        return product_block<Operand, kLayout, kInit, kMaxima, 4, kN>(a, c, t);
    case 5:
        return product_block<Operand, kLayout, kInit, kMaxima, 5, kN>(a, c, t);
    default:
        return;
    }
}

template <class Operand, ALayout kLayout, Init kInit, ColumnMaxima kMaxima>
static void product_panels(int num_m, int vectors, Product<Operand> t)
{
    for (; vectors >= kBlockN; vectors -= kBlockN) {
        product_panel<Operand, kLayout, kInit, kMaxima, kBlockN>(num_m, t);
        t.b += kBlockN * kLanes<Operand>;
        t.c += kBlockN * kLanes<Operand>;
        if constexpr (kInit == Init::rescale || kInit == Init::subtract) t.per_column += kBlockN * kLanes<Operand>;
        if constexpr (kMaxima == ColumnMaxima::raised) t.maxima += kBlockN * kLanes<Operand>;
    }
    if constexpr (kBlockN > 2) {
        if (vectors == 3) return product_panel<Operand, kLayout, kInit, kMaxima, 3>(num_m, t);
        if (vectors == 2) return product_panel<Operand, kLayout, kInit, kMaxima, 2>(num_m, t);
    }
    if (vectors == 1) product_panel<Operand, kLayout, kInit, kMaxima, 1>(num_m, t);
}

// `num_n` columns, a multiple of kLanes.
template <class Operand, ALayout kLayout, Init kInit, ColumnMaxima kMaxima = ColumnMaxima::none>
static void product(int num_m, int num_n, const Product<Operand>& all)
{
    const int vectors = num_n / kLanes<Operand>;
    Product<Operand> t = all;
    t.depth = all.depth < kBlockDepth ? all.depth : kBlockDepth;
    if (t.depth == all.depth) return product_panels<Operand, kLayout, kInit, kMaxima>(num_m, vectors, t);
    product_panels<Operand, kLayout, kInit, ColumnMaxima::none>(num_m, vectors, t);
    for (int k = kBlockDepth; k < all.depth; k += kBlockDepth) {
        t.a += kLayout == ALayout::rows ? kBlockDepth : kBlockDepth * all.ld_a;
        t.b += kBlockDepth * all.ld_b;
        t.depth = all.depth - k < kBlockDepth ? all.depth - k : kBlockDepth;
        // C is complete after the last piece only.
        if (k + t.depth == all.depth)
            product_panels<Operand, kLayout, Init::add, kMaxima>(num_m, vectors, t);
        else
            product_panels<Operand, kLayout, Init::add, ColumnMaxima::none>(num_m, vectors, t);
    }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
