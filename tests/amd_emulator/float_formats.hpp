// The 16-bit floating-point formats, and the roundings that the hardware does between them, float and double.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace amd_emulator {

template <class To, class From>
To bit_cast(const From& from)
{
    static_assert(sizeof(To) == sizeof(From), "bit_cast keeps the size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

/// IEEE binary16, as its bits. A type of its own, so that the compiler never computes in it.
struct Half {
    uint16_t bits;
};

/// The upper half of a float.
struct BFloat16 {
    uint16_t bits;
};

inline float to_float(BFloat16 value) { return bit_cast<float>(uint32_t{value.bits} << 16); }

/// Exact. Without branches, so that loops over lanes vectorise.
inline float to_float(Half value)
{
    const uint32_t magnitude = value.bits & 0x7fffu;
    const uint32_t exponent_shift = (magnitude >= 0x7c00u ? 224u : 112u) << 23; // infinity and NaN keep all ones
    const uint32_t normal = (magnitude << 13) + exponent_shift;
    const uint32_t subnormal = bit_cast<uint32_t>(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
    const uint32_t sign = (value.bits & 0x8000u) << 16;
    return bit_cast<float>(sign | (magnitude < 0x400u ? subnormal : normal));
}

/// To the nearest, ties to even; too large values become infinite; NaN stays NaN and becomes quiet.
inline Half half_nearest(float value)
{
    const auto bits = bit_cast<uint32_t>(value);
    const uint32_t magnitude = bits & 0x7fffffffu;
    const uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
    // Adding 0.5, whose last bit is worth 2^-24 as a subnormal half's is, makes the addition round.
    const uint32_t subnormal = bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
    uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
    result = magnitude >= 0x477ff000u ? 0x7c00u : result;
    result = magnitude > 0x7f800000u ? (0x7e00u | (magnitude >> 13 & 0x3ffu)) : result;
    return {static_cast<uint16_t>(result | (bits >> 16 & 0x8000u))};
}

/// Towards zero: too large finite values become the largest finite one.
inline Half half_towards_zero(float value)
{
    const auto bits = bit_cast<uint32_t>(value);
    const uint32_t magnitude = bits & 0x7fffffffu;
    uint32_t result;
    if (magnitude > 0x7f800000u) {
        result = 0x7e00u | (magnitude >> 13 & 0x3ffu);
    } else if (magnitude == 0x7f800000u) {
        result = 0x7c00u;
    } else if (magnitude >= 0x47800000u) {
        result = 0x7bffu;
    } else if (magnitude < 0x38800000u) {
        result = static_cast<uint32_t>(bit_cast<float>(magnitude) * 0x1p24f);
    } else {
        result = (magnitude - (112u << 23)) >> 13;
    }
    return {static_cast<uint16_t>(result | (bits >> 16 & 0x8000u))};
}

/// To the nearest, ties to even.
inline BFloat16 bfloat16_nearest(float value)
{
    const auto bits = bit_cast<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return {static_cast<uint16_t>(value != value ? (bits >> 16 | 0x40u) : rounded)};
}

/// The neighbour of `value` towards `exact` whose last bit is odd, if `value` is not exact. Rounding that to fewer bits
/// gives what rounding the exact number would have given.
inline double round_to_odd(double value, double error)
{
    auto bits = bit_cast<uint64_t>(value);
    if (error == 0 || error != error || (bits & 1) != 0 || value == 0) {
        return value;
    }
    bits += (error > 0) == (value > 0) ? 1 : -1;
    return bit_cast<double>(bits);
}

inline float float_to_odd(double value)
{
    const auto nearest = static_cast<float>(value);
    if (nearest == value || nearest != nearest || std::isinf(nearest)) {
        return nearest;
    }
    auto bits = bit_cast<uint32_t>(nearest);
    if ((bits & 1) != 0) {
        return nearest;
    }
    bits += std::fabs(static_cast<double>(nearest)) < std::fabs(value) ? 1 : -1;
    return bit_cast<float>(bits);
}

inline Half half_nearest(double value) { return half_nearest(float_to_odd(value)); }

/// a * b + c with one rounding.
inline Half fused_multiply_add(Half a, Half b, Half c)
{
    const double product = static_cast<double>(to_float(a)) * static_cast<double>(to_float(b)); // exact: 22 bits
    const double addend = to_float(c);
    const double sum = product + addend;
    const double part = sum - product; // Knuth's two-sum: the rounding error of the addition
    const double error = (product - (sum - part)) + (addend - part);
    return half_nearest(round_to_odd(sum, error));
}

inline float flush_subnormal(float value)
{
    const auto bits = bit_cast<uint32_t>(value);
    return bit_cast<float>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}
inline Half flush_subnormal(Half value)
{
    return {static_cast<uint16_t>((value.bits & 0x7c00u) == 0 ? value.bits & 0x8000u : value.bits)};
}
inline BFloat16 flush_subnormal(BFloat16 value)
{
    return {static_cast<uint16_t>((value.bits & 0x7f80u) == 0 ? value.bits & 0x8000u : value.bits)};
}

} // namespace amd_emulator
