#pragma once

// Vectors of the instruction set that the including translation unit is compiled for, by the compilers' vector
// extensions: one source for SSE, AVX2, AVX-512 and NEON, float and double. Included by isa/*.cpp only, inside their
// namespace.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cpu/tile_kernels.hpp"

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

using vfloat = float __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));
using vint = int32_t __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));
using vuint = uint32_t __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));
using vdouble = double __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));
using vlong = int64_t __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));
using vulong = uint64_t __attribute__((vector_size(CK_FMHA_VECTOR_BYTES)));

template <class Real>
struct VectorOf;
template <>
struct VectorOf<float> {
    using Vector = vfloat;
    using Four = float __attribute__((vector_size(16)));
    using FourIntegers = int32_t __attribute__((vector_size(16)));
};
template <>
struct VectorOf<double> {
    using Vector = vdouble;
    using Four = double __attribute__((vector_size(32)));
    using FourIntegers = int64_t __attribute__((vector_size(32)));
};
template <>
struct VectorOf<uint32_t> {
    using Vector = vuint;
};
template <>
struct VectorOf<uint64_t> {
    using Vector = vulong;
};
template <>
struct VectorOf<Bf16Pair> {
    using Vector = vuint;
    using Four = int32_t __attribute__((vector_size(16)));
    using FourIntegers = Four;
};
template <>
struct VectorOf<Float16Pair> { // a group
    struct Vector {
        vuint parts[2];
    };
};
template <class Operand>
using vec = typename VectorOf<Operand>::Vector;
template <class Operand>
inline constexpr int kLanes = static_cast<int>(sizeof(vec<Operand>) / sizeof(Operand));

// x - 0, not 0 + x: only the former is x for every x, -0 included, and becomes a broadcasting load.
template <class Real>
static inline vec<Real> splat(Real x)
{
    return x - vec<Real>{};
}

template <class Operand>
static inline vec<Operand> load(const Operand* p)
{
    vec<Operand> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class Operand>
static inline void store(Operand* p, vec<Operand> v)
{
    std::memcpy(p, &v, sizeof v);
}

// sum + a b, in every lane
static inline vfloat multiply_add(vfloat sum, vfloat a, vfloat b) { return sum + a * b; }
static inline vdouble multiply_add(vdouble sum, vdouble a, vdouble b) { return sum + a * b; }

// kPack<Operand> vectors of numbers, neighbours along a sum, as one of operands; the first argument says of which. (Of
// pairs: bf16_pairs.hpp, split_pairs.hpp.)
static inline vfloat pack(float, const vfloat (&x)[1]) { return x[0]; }
static inline vdouble pack(double, const vdouble (&x)[1]) { return x[0]; }

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
static inline vdouble max_or_second(vdouble a, vdouble b)
{
#if defined(__AVX512F__)
    return _mm512_maskz_max_pd(0xff, a, b);
#elif defined(__AVX2__)
    return _mm256_max_pd(a, b);
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
    for (int n = 0; n < kLanes<float>; ++n)
        lane_bit[n] = 1 << n;
    return ((vint{} + static_cast<int32_t>(bits)) & lane_bit) != 0 ? x : otherwise;
#endif
}
static inline vdouble select_bits(uint32_t bits, vdouble x, vdouble otherwise)
{
#if defined(__AVX512F__)
    return _mm512_mask_mov_pd(otherwise, static_cast<__mmask8>(bits), x);
#else
    vlong lane_bit;
    for (int n = 0; n < kLanes<double>; ++n)
        lane_bit[n] = 1 << n;
    return ((vlong{} + static_cast<int64_t>(bits)) & lane_bit) != 0 ? x : otherwise;
#endif
}

// Lane n: bit `number` of words[n] set ? x : otherwise.
static inline vfloat select_bit(vuint words, int number, vfloat x, vfloat otherwise)
{
    const vuint bit = vuint{} + (uint32_t{1} << number);
#if defined(__AVX512F__)
    const __mmask16 set = _mm512_test_epi32_mask(reinterpret_cast<__m512i>(words), reinterpret_cast<__m512i>(bit));
    return _mm512_mask_mov_ps(otherwise, set, x);
#else
    return (words & bit) != 0 ? x : otherwise;
#endif
}
static inline vdouble select_bit(vulong words, int number, vdouble x, vdouble otherwise)
{
    const vulong bit = vulong{} + (uint64_t{1} << number);
#if defined(__AVX512F__)
    const __mmask8 set = _mm512_test_epi64_mask(reinterpret_cast<__m512i>(words), reinterpret_cast<__m512i>(bit));
    return _mm512_mask_mov_pd(otherwise, set, x);
#else
    return (words & bit) != 0 ? x : otherwise;
#endif
}

template <class Vector>
static inline bool all_equal(Vector a, Vector b)
{
    const auto differ = a != b;
    using Lane = decltype(differ[0] + 0);
    Lane any = 0;
    for (size_t n = 0; n < sizeof differ / sizeof differ[0]; ++n)
        any |= differ[n];
    return any == 0;
}
#if defined(__AVX512F__)
static inline bool all_equal(vfloat a, vfloat b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ) == 0; }
static inline bool all_equal(vdouble a, vdouble b) { return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ) == 0; }
#endif

// x 2^n for a whole number n in [-127, 127] ([-1023, 1023]). The smallest n is a factor of zero.
static inline vfloat scale_by_power(vfloat x, vfloat n)
{
    // The lowest bits of this sum are n + 127: the exponent field of 2^n, which is 0 for n = -127.
    const vint field = reinterpret_cast<vint>(n + (12582912.0f + 127.0f)) << 23;
    return x * reinterpret_cast<vfloat>(field);
}
static inline vdouble scale_by_power(vdouble x, vdouble n)
{
    const vlong field = reinterpret_cast<vlong>(n + (6755399441055744.0 + 1023.0)) << 52;
    return x * reinterpret_cast<vdouble>(field);
}

#if defined(__AVX512F__)
// x 2^n in the lanes where n > bound or NaN, else 0: one instruction and a comparison.
static inline vfloat scale_by_power_above(float bound, vfloat x, vfloat n)
{
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(n, splat(bound), _CMP_NLE_UQ), x, n);
}
static inline vdouble scale_by_power_above(double bound, vdouble x, vdouble n)
{
    return _mm512_maskz_scalef_pd(_mm512_cmp_pd_mask(n, splat(bound), _CMP_NLE_UQ), x, n);
}
#endif

} // namespace ck_fmha::cpu::CK_FMHA_ISA
