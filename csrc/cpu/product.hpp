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

struct Product {
    const float* a;
    ptrdiff_t ld_a;
    const float* b;
    ptrdiff_t ld_b;
    float* c;
    ptrdiff_t ld_c;
    int depth;
    float scale = 1.0f;
    const float* factor = nullptr; // for Init::rescale: one per column of C
};

template <ALayout kLayout, Init kInit, int kM, int kN>
static void product_block(const Product& t)
{
    vfloat acc[kM][kN] = {};
    const float* a = t.a;
    const float* b = t.b;
    const ptrdiff_t ld_a = t.ld_a, ld_b = t.ld_b;
    for (int k = 0; k < t.depth; ++k) {
        vfloat bv[kN];
#pragma GCC unroll 8
        for (int n = 0; n < kN; ++n)
            bv[n] = load(b + n * kLanes);
#pragma GCC unroll 8
        for (int m = 0; m < kM; ++m) {
            const vfloat av = splat(kLayout == ALayout::rows ? a[m * ld_a] : a[m]);
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
            float* c = t.c + m * t.ld_c + n * kLanes;
            vfloat sum = t.scale * acc[m][n];
            if constexpr (kInit == Init::add) sum += load(c);
            if constexpr (kInit == Init::rescale) sum += load(t.factor + n * kLanes) * load(c);
            store(c, sum);
        }
}

using ProductBlock = void (*)(const Product&);

// kBlocks[m - 1][n - 1] computes m rows by n vectors.
template <ALayout kLayout, Init kInit>
static inline ProductBlock product_block_of(int m, int n)
{
#define CK_FMHA_ROW(M)                                                                                                 \
    {product_block<kLayout, kInit, M, 1>, product_block<kLayout, kInit, M, 2>,                                         \
     product_block<kLayout, kInit, M, kBlockN - 1>, product_block<kLayout, kInit, M, kBlockN>}
    static constexpr ProductBlock kBlocks[kBlockM][4] = {CK_FMHA_ROW(1), CK_FMHA_ROW(2), CK_FMHA_ROW(3),
                                                         CK_FMHA_ROW(4), CK_FMHA_ROW(5), CK_FMHA_ROW(6)};
#undef CK_FMHA_ROW
    return kBlocks[m - 1][n - 1];
}

// `num_n` columns, a multiple of kLanes.
template <ALayout kLayout, Init kInit>
static void product(int num_m, int num_n, const Product& all)
{
    const int vectors = num_n / kLanes;
    for (int n = 0; n < vectors; n += kBlockN) {
        const int block_n = vectors - n < kBlockN ? vectors - n : kBlockN;
        for (int m = 0; m < num_m; m += kBlockM) {
            const int block_m = num_m - m < kBlockM ? num_m - m : kBlockM;
            Product t = all;
            t.a += kLayout == ALayout::rows ? m * all.ld_a : m;
            t.b += n * kLanes;
            t.c += m * all.ld_c + n * kLanes;
            t.factor += kInit == Init::rescale ? n * kLanes : 0;
            t.depth = all.depth < kBlockDepth ? all.depth : kBlockDepth;
            product_block_of<kLayout, kInit>(block_m, block_n)(t);
            for (int k = kBlockDepth; k < all.depth; k += kBlockDepth) {
                t.a += kLayout == ALayout::rows ? kBlockDepth : kBlockDepth * all.ld_a;
                t.b += kBlockDepth * all.ld_b;
                t.depth = all.depth - k < kBlockDepth ? all.depth - k : kBlockDepth;
                product_block_of<kLayout, Init::add>(block_m, block_n)(t);
            }
        }
    }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
