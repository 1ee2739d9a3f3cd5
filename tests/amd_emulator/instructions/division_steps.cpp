// The steps of an exact division as compilers write it: v_div_scale, reciprocal and refinement, v_div_fmas,
// v_div_fixup.
#include "lane_operation.hpp"

#include <cmath>
#include <limits>

namespace amd_emulator {
namespace {

template <class T>
struct Format;
template <>
struct Format<float> {
    static constexpr int scale = 64;     ///< powers of two that v_div_scale and v_div_fmas move by
    static constexpr int far_apart = 96; ///< exponents of numerator and denominator
    static constexpr int small_numerator = 23;
    static constexpr int bias = 127;
    static constexpr int underflow = -150; ///< exponents this far apart make a quotient of 0
};
template <>
struct Format<double> {
    static constexpr int scale = 128;
    static constexpr int far_apart = 768;
    static constexpr int small_numerator = 53;
    static constexpr int bias = 1023;
    static constexpr int underflow = -1075;
};

template <class T>
int biased_exponent(T a)
{
    int exponent = 0;
    std::frexp(a, &exponent);
    return a == 0 ? 0 : exponent - 1 + Format<T>::bias;
}

/// Scales `value`, which is the denominator or the numerator, so that the quotient's steps neither overflow nor lose
/// bits. The mask says that v_div_fmas has to scale back.
template <class T>
WithMask<T> scale(T value, T denominator, T numerator)
{
    constexpr int up = Format<T>::scale;
    const auto smallest_normal = std::numeric_limits<T>::min();
    const bool is_denominator = bit_cast<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>(value) ==
                                bit_cast<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>(denominator);
    if (numerator == 0 || denominator == 0) {
        return {std::numeric_limits<T>::quiet_NaN(), false};
    }
    if (!std::isfinite(numerator) || !std::isfinite(denominator)) {
        return {value, false};
    }
    const bool is_tiny_reciprocal = std::fabs(T{1} / denominator) < smallest_normal;
    const bool is_tiny_quotient = std::fabs(numerator / denominator) < smallest_normal;
    if (biased_exponent(numerator) - biased_exponent(denominator) >= Format<T>::far_apart) {
        return {is_denominator ? std::ldexp(value, up) : value, true}; // the numerator would overflow on scaling
    }
    if (std::fabs(denominator) < smallest_normal) {
        return {std::ldexp(value, up), false};
    }
    if (is_tiny_reciprocal && is_tiny_quotient) {
        return {is_denominator ? std::ldexp(value, -up) : value, true};
    }
    if (is_tiny_reciprocal) {
        return {std::ldexp(value, -up), false};
    }
    if (is_tiny_quotient) {
        return {is_denominator ? value : std::ldexp(value, up), true};
    }
    if (biased_exponent(numerator) <= Format<T>::small_numerator) {
        return {std::ldexp(value, up), false};
    }
    return {value, false};
}

template <class T>
T fused_with_scale(T a, T b, T c, bool scales)
{
    const T result = std::fma(a, b, c);
    if (!scales) {
        return result;
    }
    // The hardware scales in the direction that brings the quotient back; its third source tells which one.
    return std::ldexp(result, biased_exponent(c) > Format<T>::bias ? Format<T>::scale : -Format<T>::scale);
}

/// The special cases of numerator / denominator; `quotient` is the ordinary one.
template <class T>
T fix_up(T quotient, T denominator, T numerator)
{
    const bool is_negative = std::signbit(denominator) != std::signbit(numerator);
    const auto with_sign = [&](T magnitude) { return is_negative ? -magnitude : magnitude; };
    if (numerator != numerator) {
        return numerator;
    }
    if (denominator != denominator) {
        return denominator;
    }
    if ((numerator == 0 && denominator == 0) || (std::isinf(numerator) && std::isinf(denominator))) {
        return std::numeric_limits<T>::quiet_NaN();
    }
    if (denominator == 0 || std::isinf(numerator)) {
        return with_sign(std::numeric_limits<T>::infinity());
    }
    if (std::isinf(denominator) || numerator == 0) {
        return with_sign(T{0});
    }
    if (biased_exponent(numerator) - biased_exponent(denominator) < Format<T>::underflow) {
        return with_sign(T{0});
    }
    if (!std::isfinite(quotient)) {
        return with_sign(std::numeric_limits<T>::infinity());
    } // the steps overflowed
    return with_sign(std::fabs(quotient));
}

Operation implicit_vcc(Operation operation)
{
    operation.implicit_vcc = true;
    return operation;
}

} // namespace

void add_division_steps(InstructionTable& table)
{
    table.add("v_div_scale_f32", lanes([](float a, float b, float c) { return scale(a, b, c); }));
    table.add("v_div_scale_f64", lanes([](double a, double b, double c) { return scale(a, b, c); }));
    table.add("v_div_fmas_f32",
              implicit_vcc(lanes([](float a, float b, float c, bool m) { return fused_with_scale(a, b, c, m); })));
    table.add("v_div_fmas_f64",
              implicit_vcc(lanes([](double a, double b, double c, bool m) { return fused_with_scale(a, b, c, m); })));
    table.add("v_div_fixup_f32", lanes([](float a, float b, float c) { return fix_up(a, b, c); }));
    table.add("v_div_fixup_f64", lanes([](double a, double b, double c) { return fix_up(a, b, c); }));
    table.add("v_div_fixup_f16", preserving_high_half(lanes([](Half a, Half b, Half c) {
                  return half_nearest(fix_up(to_float(a), to_float(b), to_float(c)));
              })));
}

} // namespace amd_emulator
