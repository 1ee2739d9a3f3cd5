#pragma once

// Vectors of pairs of bfloat16, as AVX512-BF16 computes with them. Included by isa/avx512_bf16*.cpp and
// isa/avx512_amx*.cpp only, before anything that multiplies. With CK_FMHA_EMULATE_BF16 the same operations on AVX-512
// alone, bit for bit: slow, for tests on processors that lack the instructions.

#include "cpu/simd.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

static inline vuint splat(Bf16Pair x)
{
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits - vuint{};
}

#if defined(CK_FMHA_EMULATE_BF16)

// Subnormal numbers count as zero of their sign, in operands and results, whatever the processor is set to.
static inline vfloat flushed(vfloat x)
{
    const vuint bits = reinterpret_cast<vuint>(x);
    return reinterpret_cast<vfloat>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

// vdpbf16ps. The second products are added first, each sum rounded to nearest even. A product of two bfloat16 has 16
// significant bits, so rounding it before the addition or not is the same.
static inline vfloat multiply_add(vfloat sum, vuint a, vuint b)
{
    const auto second = [](vuint pairs) { return flushed(reinterpret_cast<vfloat>(pairs & 0xffff0000u)); };
    const auto first = [](vuint pairs) { return flushed(reinterpret_cast<vfloat>(pairs << 16)); };
    sum = flushed(_mm512_fmadd_ps(second(a), second(b), flushed(sum)));
    return flushed(_mm512_fmadd_ps(first(a), first(b), sum));
}

// vcvtneps2bf16, the result in the upper half of each lane.
static inline vuint rounded_to_bf16(vfloat x)
{
    const vuint bits = reinterpret_cast<vuint>(flushed(x));
    const vuint rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    return (x == x ? rounded : bits | 0x00400000u) & 0xffff0000u;
}

// Lane n: the pair (x[0][n], x[1][n]), rounded.
static inline vuint pack(Bf16Pair, const vfloat (&x)[2]) { return rounded_to_bf16(x[0]) >> 16 | rounded_to_bf16(x[1]); }

// Rounded neighbours in x as pairs.
static inline void store_rounded(Bf16Pair* p, vfloat x)
{
    const __m256i numbers = _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(rounded_to_bf16(x) >> 16));
    std::memcpy(p, &numbers, sizeof numbers);
}

#else

static inline vfloat multiply_add(vfloat sum, vuint a, vuint b)
{
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

// Lane n: the pair (x[0][n], x[1][n]), rounded.
static inline vuint pack(Bf16Pair, const vfloat (&x)[2])
{
    using Numbers = uint16_t __attribute__((vector_size(64)));
    const Numbers one_after_the_other = reinterpret_cast<Numbers>(_mm512_cvtne2ps_pbh(x[1], x[0]));
    constexpr Numbers kInterleave = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    return reinterpret_cast<vuint>(_mm512_permutexvar_epi16(reinterpret_cast<__m512i>(kInterleave),
                                                            reinterpret_cast<__m512i>(one_after_the_other)));
}

// Rounded neighbours in x as pairs.
static inline void store_rounded(Bf16Pair* p, vfloat x)
{
    const __m256bh numbers = _mm512_cvtneps_pbh(x);
    std::memcpy(p, &numbers, sizeof numbers);
}

#endif

// Lanes from `lane` on of a row: neighbours in x as pairs.
static inline void store_neighbours(Bf16Pair* row, int lane, vfloat x) { store_rounded(row + lane / 2, x); }

// dst (rows, packed cols) = src, pairs of neighbours in a row, rows filled up to `ld_dst` with zeros.
static inline void load_pairs(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Bf16Pair* dst, int ld_dst)
{
    const auto* src = static_cast<const uint16_t*>(src_rows);
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst) {
        std::memset(dst + cols / 2, 0, sizeof(Bf16Pair) * (ld_dst - cols / 2));
        std::memcpy(dst, src, sizeof(uint16_t) * cols);
    }
}

// dst (packed rows, cols) = src, pairs of neighbours in a column, rows filled up to `ld_dst` with zeros.
static inline void pair_rows(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Bf16Pair* dst, int ld_dst)
{
    const auto* src = static_cast<const uint16_t*>(src_rows);
    for (int r = 0; r < rows; r += 2, src += 2 * ld_src, dst += ld_dst) {
        const bool has_second = r + 1 < rows;
        for (int c = 0; c < cols; ++c)
            dst[c] = {src[c], has_second ? src[ld_src + c] : uint16_t{0}};
        std::memset(dst + cols, 0, sizeof(Bf16Pair) * (ld_dst - cols));
    }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
