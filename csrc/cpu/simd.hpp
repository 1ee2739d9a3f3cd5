#pragma once

// Vectors of the instruction set that the including translation unit is compiled for, by the compilers' vector
// extensions: one source for SSE, AVX2, AVX-512 and NEON. Included by isa/*.cpp only, inside their namespace.

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#define CK_FMHA_VECTOR_BYTES 64
#elif defined(__AVX2__)
#include <immintrin.h>
#define CK_FMHA_VECTOR_BYTES 32
#else
#define CK_FMHA_VECTOR_BYTES 16
#endif

namespace ck_fmha::cpu::CK_FMHA_ISA {

inline constexpr int kLanes = CK_FMHA_VECTOR_BYTES / 4;
using vfloat = float __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));
using vint = int32_t __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));

static inline vfloat splat(float x) { return vfloat{} + x; }

static inline vfloat load(const float* p)
{
    vfloat v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(float* p, vfloat v) { std::memcpy(p, &v, sizeof v); }

// max(a, b), and b where either is NaN.
static inline vfloat max_or_second(vfloat a, vfloat b)
{
#if defined(__AVX512F__)
    return _mm512_maskz_max_ps(0xffff, a, b); // (the unmasked intrinsic draws an uninitialised-use warning)
#elif defined(__AVX2__)
    return _mm256_max_ps(a, b);
#else
    return a > b ? a : b;
#endif
}

// Lane n: bit n of `bits` set ? x : otherwise.
static inline vfloat select_bits(uint32_t bits, vfloat x, vfloat otherwise)
{
#if defined(__AVX512F__)
    return _mm512_mask_mov_ps(otherwise, static_cast<__mmask16>(bits), x);
#else
    vint lane_bit;
    for (int n = 0; n < kLanes; ++n)
        lane_bit[n] = 1 << n;
    return ((vint{} + static_cast<int32_t>(bits)) & lane_bit) != 0 ? x : otherwise;
#endif
}

static inline bool all_equal(vfloat a, vfloat b)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ) == 0;
#else
    const vint differ = a != b;
    int32_t any = 0;
    for (int n = 0; n < kLanes; ++n)
        any |= differ[n];
    return any == 0;
#endif
}

// e^x for the differences x = S - m of a softmax: relative error below 2^-23 * (1 + |x|), 0 for x < -87.7, NaN for NaN;
// x above 88 counts as 88. Cody-Waite: x log2(e) = n + f with n an integer and |f| <= 1/2, a minimax polynomial for
// 2^f, n added to the exponent.
static inline vfloat exp(vfloat x)
{
    x *= 0x1.715476p+0f; // log2(e)
    // The order of the operands keeps a NaN.
    x = max_or_second(splat(-127.0f), x);
    x = -max_or_second(splat(-127.0f), -x);
    const vfloat shifter = splat(12582912.0f); // 1.5 * 2^23: adding it rounds to an integer
    const vfloat shifted = x + shifter;
    const vfloat f = x - (shifted - shifter);
    vfloat p = splat(0x1.41fbbap-13f);
    p = p * f + 0x1.5f3e54p-10f;
    p = p * f + 0x1.3b2d4cp-7f;
    p = p * f + 0x1.c6aee8p-5f;
    p = p * f + 0x1.ebfbdcp-3f;
    p = p * f + 0x1.62e430p-1f;
    p = p * f + 1.0f;
    // n = -127 becomes the exponent field 0, a factor of zero.
    const vint power = (reinterpret_cast<vint>(shifted) + 127) << 23;
    return p * reinterpret_cast<vfloat>(power);
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
