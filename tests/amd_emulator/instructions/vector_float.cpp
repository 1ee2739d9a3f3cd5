// Floating-point arithmetic of the vector ALU: float, double, half; transcendental functions.
#include "lane_operation.hpp"

#include <cmath>
#include <limits>

namespace amd_emulator {
namespace {

float widen(Half a) { return to_float(a); }

/// IEEE 754-2008 minNum and maxNum, with -0 below +0 as the hardware orders them.
template <class T>
T minimum(T a, T b)
{
    if (a != a) {
        return b;
    }
    if (b != b) {
        return a;
    }
    if (a == b) {
        return std::signbit(a) ? a : b;
    }
    return a < b ? a : b;
}
template <class T>
T maximum(T a, T b)
{
    if (a != a) {
        return b;
    }
    if (b != b) {
        return a;
    }
    if (a == b) {
        return std::signbit(a) ? b : a;
    }
    return a > b ? a : b;
}
/// Any NaN makes it the minimum of the three.
float median(float a, float b, float c)
{
    if (a != a || b != b || c != c) {
        return minimum(minimum(a, b), c);
    }
    return maximum(minimum(a, b), minimum(maximum(a, b), c));
}

template <class T>
T fraction(T a)
{
    const T below_one = std::nextafter(T{1}, T{0});
    const T result = a - std::floor(a);
    return std::isinf(a) ? std::numeric_limits<T>::quiet_NaN() : result < below_one ? result : below_one;
}

template <class T>
T mantissa(T a)
{
    int exponent = 0;
    return std::isfinite(a) ? std::frexp(a, &exponent) : a;
}
template <class T>
int32_t exponent(T a)
{
    int result = 0;
    if (!std::isfinite(a)) {
        return 0;
    }
    std::frexp(a, &result);
    return result;
}

/// The scales of the trigonometric instructions: a turn is 1.
double sine_of_turns(double a) { return std::sin(a * 6.283185307179586476925); }
double cosine_of_turns(double a) { return std::cos(a * 6.283185307179586476925); }

void add_float32(InstructionTable& table)
{
    table.add("v_add_f32", lanes([](float a, float b) { return a + b; }));
    table.add("v_sub_f32", lanes([](float a, float b) { return a - b; }));
    table.add("v_subrev_f32", lanes([](float a, float b) { return b - a; }));
    table.add("v_mul_f32", lanes([](float a, float b) { return a * b; }));
    table.add("v_mul_legacy_f32", lanes([](float a, float b) { return a == 0 || b == 0 ? 0.0f : a * b; }));
    table.add("v_fma_f32", lanes([](float a, float b, float c) { return std::fma(a, b, c); }));
    table.add("v_fmac_f32", accumulating(lanes([](float a, float b, float c) { return std::fma(a, b, c); })));
    table.add("v_fmamk_f32", lanes([](float a, float k, float b) { return std::fma(a, k, b); }));
    table.add("v_fmaak_f32", lanes([](float a, float b, float k) { return std::fma(a, b, k); }));
    // The unfused ones know no subnormals.
    const auto add_unfused = [&](const char* name, Operation operation) {
        table.add(name, flushing_subnormals(operation));
    };
    add_unfused("v_mad_f32", lanes([](float a, float b, float c) { return a * b + c; }));
    add_unfused("v_mac_f32", accumulating(lanes([](float a, float b, float c) { return a * b + c; })));
    add_unfused("v_madmk_f32", lanes([](float a, float k, float b) { return a * k + b; }));
    add_unfused("v_madak_f32", lanes([](float a, float b, float k) { return a * b + k; }));
    table.add("v_min_f32", lanes([](float a, float b) { return minimum(a, b); }));
    table.add("v_max_f32", lanes([](float a, float b) { return maximum(a, b); }));
    table.add("v_min3_f32", lanes([](float a, float b, float c) { return minimum(minimum(a, b), c); }));
    table.add("v_max3_f32", lanes([](float a, float b, float c) { return maximum(maximum(a, b), c); }));
    table.add("v_med3_f32", lanes([](float a, float b, float c) { return median(a, b, c); }));
    table.add("v_floor_f32", lanes([](float a) { return std::floor(a); }));
    table.add("v_ceil_f32", lanes([](float a) { return std::ceil(a); }));
    table.add("v_trunc_f32", lanes([](float a) { return std::trunc(a); }));
    table.add("v_rndne_f32", lanes([](float a) { return std::nearbyint(a); }));
    table.add("v_fract_f32", lanes([](float a) { return fraction(a); }));
    table.add("v_ldexp_f32", lanes([](float a, int32_t b) { return std::ldexp(a, b); }));
    table.add("v_frexp_mant_f32", lanes([](float a) { return mantissa(a); }));
    table.add("v_frexp_exp_i32_f32", lanes([](float a) { return exponent(a); }));
}

/// One ulp by the manuals; subnormals are flushed on the way in and out. Computed in double and rounded once.
void add_transcendentals(InstructionTable& table)
{
    const auto add32 = [&](const char* name, Operation operation) {
        table.add(name, transcendental(flushing_subnormals(operation)));
    };
    add32("v_exp_f32", lanes([](float a) { return static_cast<float>(std::exp2(static_cast<double>(a))); }));
    add32("v_log_f32", lanes([](float a) { return static_cast<float>(std::log2(static_cast<double>(a))); }));
    add32("v_rcp_f32", lanes([](float a) { return 1.0f / a; }));
    add32("v_rcp_iflag_f32", lanes([](float a) { return 1.0f / a; }));
    add32("v_rsq_f32", lanes([](float a) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a))); }));
    add32("v_sqrt_f32", lanes([](float a) { return std::sqrt(a); }));
    add32("v_sin_f32", lanes([](float a) { return static_cast<float>(sine_of_turns(a)); }));
    add32("v_cos_f32", lanes([](float a) { return static_cast<float>(cosine_of_turns(a)); }));
    const auto add16 = [&](const char* name, Operation operation) { table.add(name, transcendental(operation)); };
    add16("v_exp_f16", lanes([](Half a) { return half_nearest(std::exp2(static_cast<double>(widen(a)))); }));
    add16("v_log_f16", lanes([](Half a) { return half_nearest(std::log2(static_cast<double>(widen(a)))); }));
    add16("v_rcp_f16", lanes([](Half a) { return half_nearest(1.0 / widen(a)); }));
    add16("v_rsq_f16", lanes([](Half a) { return half_nearest(1.0 / std::sqrt(static_cast<double>(widen(a)))); }));
    add16("v_sqrt_f16", lanes([](Half a) { return half_nearest(std::sqrt(static_cast<double>(widen(a)))); }));
    add16("v_rcp_f64", lanes([](double a) { return 1.0 / a; }));
    add16("v_rsq_f64", lanes([](double a) { return 1.0 / std::sqrt(a); }));
    add16("v_sqrt_f64", lanes([](double a) { return std::sqrt(a); }));
}

void add_float64(InstructionTable& table)
{
    table.add("v_add_f64", lanes([](double a, double b) { return a + b; }));
    table.add("v_mul_f64", lanes([](double a, double b) { return a * b; }));
    table.add("v_fma_f64", lanes([](double a, double b, double c) { return std::fma(a, b, c); }));
    table.add("v_fmac_f64", accumulating(lanes([](double a, double b, double c) { return std::fma(a, b, c); })));
    table.add("v_min_f64", lanes([](double a, double b) { return minimum(a, b); }));
    table.add("v_max_f64", lanes([](double a, double b) { return maximum(a, b); }));
    table.add("v_floor_f64", lanes([](double a) { return std::floor(a); }));
    table.add("v_ceil_f64", lanes([](double a) { return std::ceil(a); }));
    table.add("v_trunc_f64", lanes([](double a) { return std::trunc(a); }));
    table.add("v_rndne_f64", lanes([](double a) { return std::nearbyint(a); }));
    table.add("v_fract_f64", lanes([](double a) { return fraction(a); }));
    table.add("v_ldexp_f64", lanes([](double a, int32_t b) { return std::ldexp(a, b); }));
    table.add("v_frexp_mant_f64", lanes([](double a) { return mantissa(a); }));
    table.add("v_frexp_exp_i32_f64", lanes([](double a) { return exponent(a); }));
}

/// Float has more than twice the digits of half and two more: rounding a sum, product or quotient twice changes
/// nothing.
void add_float16(InstructionTable& table)
{
    table.add("v_add_f16", lanes([](Half a, Half b) { return half_nearest(widen(a) + widen(b)); }));
    table.add("v_sub_f16", lanes([](Half a, Half b) { return half_nearest(widen(a) - widen(b)); }));
    table.add("v_subrev_f16", lanes([](Half a, Half b) { return half_nearest(widen(b) - widen(a)); }));
    table.add("v_mul_f16", lanes([](Half a, Half b) { return half_nearest(widen(a) * widen(b)); }));
    table.add("v_fma_f16",
              preserving_high_half(lanes([](Half a, Half b, Half c) { return fused_multiply_add(a, b, c); })));
    table.add("v_min_f16", lanes([](Half a, Half b) { return half_nearest(minimum(widen(a), widen(b))); }));
    table.add("v_max_f16", lanes([](Half a, Half b) { return half_nearest(maximum(widen(a), widen(b))); }));
    table.add("v_min3_f16", preserving_high_half(lanes([](Half a, Half b, Half c) {
                  return half_nearest(minimum(minimum(widen(a), widen(b)), widen(c)));
              })));
    table.add("v_max3_f16", preserving_high_half(lanes([](Half a, Half b, Half c) {
                  return half_nearest(maximum(maximum(widen(a), widen(b)), widen(c)));
              })));
    table.add("v_floor_f16", lanes([](Half a) { return half_nearest(std::floor(widen(a))); }));
    table.add("v_ceil_f16", lanes([](Half a) { return half_nearest(std::ceil(widen(a))); }));
    table.add("v_trunc_f16", lanes([](Half a) { return half_nearest(std::trunc(widen(a))); }));
    table.add("v_rndne_f16", lanes([](Half a) { return half_nearest(std::nearbyint(widen(a))); }));
    table.add("v_ldexp_f16",
              lanes([](Half a, int16_t b) { return half_nearest(std::ldexp(static_cast<double>(widen(a)), b)); }));
}

} // namespace

void add_vector_float(InstructionTable& table)
{
    add_float32(table);
    add_transcendentals(table);
    add_float64(table);
    add_float16(table);
}

} // namespace amd_emulator
