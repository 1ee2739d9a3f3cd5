#pragma once

// Rows of tensors to tiles and back: conversions, transposes, sums. Included by isa/*.cpp only.

#include "cpu/simd.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

template <class Real>
static inline int round_to_lanes(int n)
{
    return (n + kLanes<Real> - 1) / kLanes<Real> * kLanes<Real>;
}

static inline float bits_to_float(uint32_t bits)
{
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
static inline uint32_t float_to_bits(float x)
{
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

struct Bfloat16 {
    uint16_t bits;

    explicit operator float() const { return bits_to_float(static_cast<uint32_t>(bits) << 16); }
    static Bfloat16 round(float x)
    {
        const uint32_t b = float_to_bits(x);
        const uint32_t rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
        const bool is_nan = (b & 0x7fffffff) > 0x7f800000;
        return {static_cast<uint16_t>(is_nan ? 0x7fc0 : rounded)};
    }
};

struct Float16 {
    uint16_t bits;

    explicit operator float() const
    {
        // Exponent and fraction in place, 112 too low in the exponent: a product with 2^112 rebiases normal and
        // subnormal numbers alike; infinities and NaNs lie above all of them.
        const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fff) << 13;
        const float scaled = bits_to_float(magnitude) * 0x1p112f;
        const uint32_t special = magnitude | 0x7f800000;
        const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
        return bits_to_float((magnitude >= 0x0f800000 ? special : float_to_bits(scaled)) | sign);
    }
    static Float16 round(float x)
    {
        const uint32_t b = float_to_bits(x), magnitude = b & 0x7fffffff;
        // Normal numbers: the rounding carries into the exponent by itself.
        const uint32_t normal = (magnitude - (112u << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
        // Below 2^-14: adding 1/2 leaves the number of 2^-24ths, rounded, in the lowest bits.
        const uint32_t subnormal = float_to_bits(bits_to_float(magnitude) + 0.5f) - float_to_bits(0.5f);
        uint32_t h = magnitude < (113u << 23) ? subnormal : normal;
        h = magnitude >= 0x477ff000 ? 0x7c00 : h; // from 65520 on
        h = magnitude > 0x7f800000 ? 0x7e00 : h;
        return {static_cast<uint16_t>(h | ((b >> 16) & 0x8000))};
    }
};

// The first numbers of a row, as many as fill vectors, where the compiler finds no vector code for the above by itself:
// from and to float16 by the processor's conversion. Returns how many.
template <class Real, class Stored>
static inline int load_vectors(const Stored*, int, Real*)
{
    return 0;
}
template <class Real, class Stored>
static inline int store_vectors(const Real*, int, Stored*)
{
    return 0;
}
#if defined(__AVX512F__)
static inline int load_vectors(const Float16* src, int cols, float* dst)
{
    int c = 0;
    for (; c + 16 <= cols; c += 16) {
        const __m256i numbers = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + c));
        store(dst + c, vfloat(_mm512_maskz_cvtph_ps(0xffff, numbers)));
    }
    return c;
}
static inline int store_vectors(const float* src, int cols, Float16* dst)
{
    int c = 0;
    for (; c + 16 <= cols; c += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst + c),
                            _mm512_maskz_cvtps_ph(0xffff, load(src + c), _MM_FROUND_TO_NEAREST_INT));
    return c;
}
#elif defined(__F16C__)
static inline int load_vectors(const Float16* src, int cols, float* dst)
{
    int c = 0;
    for (; c + 8 <= cols; c += 8)
        store(dst + c, vfloat(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(src + c)))));
    return c;
}
static inline int store_vectors(const float* src, int cols, Float16* dst)
{
    int c = 0;
    for (; c + 8 <= cols; c += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + c),
                         _mm256_cvtps_ph(load(src + c), _MM_FROUND_TO_NEAREST_INT));
    return c;
}
#endif

template <class Real, class Stored>
static void load_rows(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Real* dst, int ld_dst)
{
    const Stored* src = static_cast<const Stored*>(src_rows);
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst) {
        for (int c = load_vectors(src, cols, dst); c < cols; ++c)
            dst[c] = static_cast<Real>(src[c]);
        std::memset(dst + cols, 0, sizeof(Real) * (ld_dst - cols));
    }
}

template <class Real, class Stored>
static void store_rows(const Real* src, int ld_src, int rows, int cols, void* dst_rows, ptrdiff_t ld_dst)
{
    Stored* dst = static_cast<Stored*>(dst_rows);
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        for (int c = store_vectors(src, cols, dst); c < cols; ++c)
            if constexpr (sizeof(Stored) < sizeof(float))
                dst[c] = Stored::round(src[c]);
            else
                dst[c] = static_cast<Stored>(src[c]);
}

// Four rows of four at a time, in registers.
template <class Real>
static inline void transpose_4x4(const Real* src, ptrdiff_t ld_src, Real* dst, ptrdiff_t ld_dst)
{
    using Four = typename VectorOf<Real>::Four;
    Four r[4];
    for (int n = 0; n < 4; ++n)
        std::memcpy(&r[n], src + n * ld_src, sizeof(Four));
#if defined(__clang__)
#define CK_FMHA_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
    using Index = typename VectorOf<Real>::FourIntegers;
#define CK_FMHA_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, Index{i, j, k, l})
#endif
    const Four lo01 = CK_FMHA_SHUFFLE(r[0], r[1], 0, 4, 1, 5), hi01 = CK_FMHA_SHUFFLE(r[0], r[1], 2, 6, 3, 7);
    const Four lo23 = CK_FMHA_SHUFFLE(r[2], r[3], 0, 4, 1, 5), hi23 = CK_FMHA_SHUFFLE(r[2], r[3], 2, 6, 3, 7);
    const Four out[4] = {CK_FMHA_SHUFFLE(lo01, lo23, 0, 1, 4, 5), CK_FMHA_SHUFFLE(lo01, lo23, 2, 3, 6, 7),
                         CK_FMHA_SHUFFLE(hi01, hi23, 0, 1, 4, 5), CK_FMHA_SHUFFLE(hi01, hi23, 2, 3, 6, 7)};
#undef CK_FMHA_SHUFFLE
    for (int n = 0; n < 4; ++n)
        std::memcpy(dst + n * ld_dst, &out[n], sizeof(Four));
}

// Sixteen rows of sixteen at a time, where a vector holds as many. It is gathered from four rows that are four apart:
// what is left is to transpose 4 x 4 in each quarter of four vectors.
template <class Real>
inline constexpr bool kTransposesSixteen = sizeof(Real) * 16 == CK_FMHA_VECTOR_BYTES;
#if defined(__AVX512F__)
template <class Real>
static inline void transpose_16x16(const Real* src, ptrdiff_t ld_src, Real* dst, ptrdiff_t ld_dst)
{
    const auto quarter = [](const Real* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
    for (int c = 0; c < 16; c += 4) {
        __m512i r[4];
#pragma GCC unroll 4
        for (int n = 0; n < 4; ++n) {
            const Real* p = src + n * ld_src + c;
            r[n] = _mm512_zextsi128_si512(quarter(p));
            r[n] = _mm512_maskz_inserti32x4(0xffff, r[n], quarter(p + 4 * ld_src), 1);
            r[n] = _mm512_maskz_inserti32x4(0xffff, r[n], quarter(p + 8 * ld_src), 2);
            r[n] = _mm512_maskz_inserti32x4(0xffff, r[n], quarter(p + 12 * ld_src), 3);
        }
        const __m512i lo01 = _mm512_maskz_unpacklo_epi32(0xffff, r[0], r[1]);
        const __m512i hi01 = _mm512_maskz_unpackhi_epi32(0xffff, r[0], r[1]);
        const __m512i lo23 = _mm512_maskz_unpacklo_epi32(0xffff, r[2], r[3]);
        const __m512i hi23 = _mm512_maskz_unpackhi_epi32(0xffff, r[2], r[3]);
        const __m512i out[4] = {
            _mm512_maskz_unpacklo_epi64(0xff, lo01, lo23), _mm512_maskz_unpackhi_epi64(0xff, lo01, lo23),
            _mm512_maskz_unpacklo_epi64(0xff, hi01, hi23), _mm512_maskz_unpackhi_epi64(0xff, hi01, hi23)};
#pragma GCC unroll 4
        for (int n = 0; n < 4; ++n)
            std::memcpy(dst + (c + n) * ld_dst, &out[n], sizeof out[n]);
    }
}
#endif

// dst (cols, rows) = src (rows, cols) transposed
template <class Real>
static void transpose_tile(const Real* src, ptrdiff_t ld_src, int rows, int cols, Real* dst, ptrdiff_t ld_dst)
{
    const int rows16 = kTransposesSixteen<Real> ? rows / 16 * 16 : 0, rows4 = rows / 4 * 4;
    const int cols16 = kTransposesSixteen<Real> ? cols / 16 * 16 : 0, cols4 = cols / 4 * 4;
#if defined(__AVX512F__)
    if constexpr (kTransposesSixteen<Real>)
        for (int c = 0; c < cols16; c += 16)
            for (int r = 0; r < rows16; r += 16)
                transpose_16x16(src + r * ld_src + c, ld_src, dst + c * ld_dst + r, ld_dst);
#endif
    for (int c = 0; c < cols4; c += 4)
        for (int r = c < cols16 ? rows16 : 0; r < rows4; r += 4)
            transpose_4x4(src + r * ld_src + c, ld_src, dst + c * ld_dst + r, ld_dst);
    for (int c = 0; c < cols; ++c)
        for (int r = c < cols4 ? rows4 : 0; r < rows; ++r)
            dst[c * ld_dst + r] = src[r * ld_src + c];
}

template <class Real>
static void transpose(const Real* src, ptrdiff_t ld_src, int rows, int cols, Real* dst)
{
    transpose_tile(src, ld_src, rows, cols, dst, 64);
    for (int c = 0; c < cols; ++c)
        std::memset(dst + c * 64 + rows, 0, sizeof(Real) * (64 - rows));
}

template <class Real>
static void add_rows(const Real* src, int ld_src, int rows, int cols, Real* dst, ptrdiff_t ld_dst)
{
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        for (int c = 0; c < cols; ++c)
            dst[c] += src[c];
}

template <class Real>
static void add_alibi(Real slope, int64_t first, int step_r, int step_c, Real* tile)
{
    for (int r = 0; r < 64; ++r, first += step_r)
        for (int c = 0; c < 64; ++c) {
            const int64_t distance = first + c * step_c;
            tile[r * 64 + c] -= slope * static_cast<Real>(distance < 0 ? -distance : distance);
        }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
