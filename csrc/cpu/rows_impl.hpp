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

template <class Real, class Stored>
static void load_rows(const void* src_rows, ptrdiff_t ld_src, int rows, int cols, Real* dst, int ld_dst)
{
    const Stored* src = static_cast<const Stored*>(src_rows);
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst) {
        for (int c = 0; c < cols; ++c)
            dst[c] = static_cast<Real>(src[c]);
        std::memset(dst + cols, 0, sizeof(Real) * (ld_dst - cols));
    }
}

template <class Real, class Stored>
static void store_rows(const Real* src, int ld_src, int rows, int cols, void* dst_rows, ptrdiff_t ld_dst)
{
    Stored* dst = static_cast<Stored*>(dst_rows);
    for (int r = 0; r < rows; ++r, src += ld_src, dst += ld_dst)
        for (int c = 0; c < cols; ++c)
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

// dst (cols, rows) = src (rows, cols) transposed
template <class Real>
static void transpose_tile(const Real* src, ptrdiff_t ld_src, int rows, int cols, Real* dst, ptrdiff_t ld_dst)
{
    const int rows4 = rows / 4 * 4, cols4 = cols / 4 * 4;
    for (int c = 0; c < cols4; c += 4)
        for (int r = 0; r < rows4; r += 4)
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
