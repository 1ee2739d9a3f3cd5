#pragma once

// C (m, n) = init + scale * sum_k A(m, k) B(k, n): the one matrix product of the CPU back end, for all seven of forward
// and backward. B and C are rows of vectors; A is read one number at a time and broadcast, so that it may be transposed
// for free: ALayout::rows = A's rows are contiguous (k runs fastest), ALayout::cols = its columns are.
//
// A block of C stays in registers: kM rows by kN vectors, 24 of 32 registers with AVX-512, 12 of 16 with AVX2 and SSE.
// Sums longer than kBlockDepth are formed in pieces, each from zero: errors then grow with the number of pieces, not
// with the length of the sum.

#include "cpu/simd.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

enum class ALayout { rows, cols };
enum class Init { zero, add, rescale }; // C starts from 0, from itself, or from itself times a factor per column

// Without fused multiply-adds every product is rounded as well; shorter pieces make up for it.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
inline constexpr int kBlockDepth = 64;
#else
inline constexpr int kBlockDepth = 16;
#endif
inline constexpr int kBlockM = 6;
inline constexpr int kBlockN = CK_FMHA_VECTOR_BYTES == 64 ? 4 : 2;

template <class Real>
struct Product {
    const Real* a;
    ptrdiff_t ld_a;
    const Real* b;
    ptrdiff_t ld_b;
    Real* c;
    ptrdiff_t ld_c;
    int depth;
    Real scale = 1;
    const Real* factor = nullptr; // for Init::rescale: one per column of C
};

// kM rows by kN vectors of C, from the rows of A at `a` on. Not inlined: all registers are its own.
template <class Real, ALayout kLayout, Init kInit, int kM, int kN>
__attribute__((noinline)) static void product_block(const Real* a, Real* c_rows, const Product<Real>& t)
{
    vec<Real> acc[kM][kN] = {};
    const Real* b = t.b;
    const ptrdiff_t ld_a = t.ld_a, ld_b = t.ld_b;
    for (int k = 0, depth = t.depth; k < depth; ++k) {
        vec<Real> bv[kN];
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n)
            bv[n] = load(b + n * kLanes<Real>);
#pragma GCC unroll 8
        for (int m = 0; m < kM; ++m) {
            const vec<Real> av = splat(kLayout == ALayout::rows ? a[m * ld_a] : a[m]);
#pragma GCC unroll 8
            for (int n = 0; n < kN; ++n)
                acc[m][n] += av * bv[n];
        }
        a += kLayout == ALayout::rows ? 1 : ld_a;
        b += ld_b;
    }

#pragma GCC unroll 8
    for (int m = 0; m < kM; ++m)
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n) {
            Real* c = c_rows + m * t.ld_c + n * kLanes<Real>;
            vec<Real> sum = t.scale * acc[m][n];
            if constexpr (kInit == Init::add) sum += load(c);
            if constexpr (kInit == Init::rescale) sum += load(t.factor + n * kLanes<Real>) * load(c);
            store(c, sum);
        }
}

// All rows of kN vectors of C: blocks of kBlockM rows, then a smaller one.
template <class Real, ALayout kLayout, Init kInit, int kN>
static void product_panel(int num_m, const Product<Real>& t)
{
    const Real* a = t.a;
    Real* c = t.c;
    for (; num_m >= kBlockM; num_m -= kBlockM) {
        product_block<Real, kLayout, kInit, kBlockM, kN>(a, c, t);
        a += kLayout == ALayout::rows ? kBlockM * t.ld_a : kBlockM;
        c += kBlockM * t.ld_c;
    }
    static_assert(kBlockM == 6, "one case for each number of rows that may be left");
    switch (num_m) {
    case 1:
        return product_block<Real, kLayout, kInit, 1, kN>(a, c, t);
    case 2:
        return product_block<Real, kLayout, kInit, 2, kN>(a, c, t);
    case 3:
        return product_block<Real, kLayout, kInit, 3, kN>(a, c, t);
    case 4:
        return product_block<Real, kLayout, kInit, 4, kN>(a, c, t);
    case 5:
        return product_block<Real, kLayout, kInit, 5, kN>(a, c, t);
    default:
        return;
    }
}

template <class Real, ALayout kLayout, Init kInit>
static void product_panels(int num_m, int vectors, Product<Real> t)
{
    for (; vectors >= kBlockN; vectors -= kBlockN) {
        product_panel<Real, kLayout, kInit, kBlockN>(num_m, t);
        t.b += kBlockN * kLanes<Real>;
        t.c += kBlockN * kLanes<Real>;
        if constexpr (kInit == Init::rescale) t.factor += kBlockN * kLanes<Real>;
    }
    if constexpr (kBlockN > 2) {
        if (vectors == 3) return product_panel<Real, kLayout, kInit, 3>(num_m, t);
        if (vectors == 2) return product_panel<Real, kLayout, kInit, 2>(num_m, t);
    }
    if (vectors == 1) product_panel<Real, kLayout, kInit, 1>(num_m, t);
}

// `num_n` columns, a multiple of kLanes.
template <class Real, ALayout kLayout, Init kInit>
static void product(int num_m, int num_n, const Product<Real>& all)
{
    const int vectors = num_n / kLanes<Real>;
    Product<Real> t = all;
    t.depth = all.depth < kBlockDepth ? all.depth : kBlockDepth;
    product_panels<Real, kLayout, kInit>(num_m, vectors, t);
    for (int k = kBlockDepth; k < all.depth; k += kBlockDepth) {
        t.a += kLayout == ALayout::rows ? kBlockDepth : kBlockDepth * all.ld_a;
        t.b += kBlockDepth * all.ld_b;
        t.depth = all.depth - k < kBlockDepth ? all.depth - k : kBlockDepth;
        product_panels<Real, kLayout, Init::add>(num_m, vectors, t);
    }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
