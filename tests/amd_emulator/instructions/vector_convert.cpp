// Conversions between number formats.
#include "lane_operation.hpp"

#include <cmath>
#include <limits>

namespace amd_emulator {
namespace {

/// Towards zero, out of range to the nearest representable, NaN to 0.
template <class Integer, class Float>
Integer saturate(Float a)
{
    constexpr auto least = std::numeric_limits<Integer>::min();
    constexpr auto most = std::numeric_limits<Integer>::max();
    if (a != a) {
        return 0;
    }
    const double truncated = std::trunc(static_cast<double>(a));
    if (truncated <= static_cast<double>(least)) {
        return least;
    }
    if (truncated >= static_cast<double>(most)) {
        return most;
    }
    return static_cast<Integer>(truncated);
}

template <int byte>
Operation unsigned_byte()
{
    return lanes([](uint32_t a) { return static_cast<float>(a >> (8 * byte) & 0xffu); });
}

uint32_t pack(Half low, Half high) { return low.bits | uint32_t{high.bits} << 16; }

/// To 16 bits with a fixed point after the sign or at the top.
int32_t normalised_signed(float a)
{
    const float clamped = a > -1 ? (a < 1 ? a : 1.0f) : -1.0f;
    return a != a ? 0 : static_cast<int32_t>(std::nearbyint(clamped * 32767.0f));
}
int32_t normalised_unsigned(float a)
{
    const float clamped = a > 0 ? (a < 1 ? a : 1.0f) : 0.0f;
    return static_cast<int32_t>(std::nearbyint(clamped * 65535.0f));
}
uint32_t pack_words(int32_t low, int32_t high)
{
    return (static_cast<uint32_t>(low) & 0xffffu) | static_cast<uint32_t>(high) << 16;
}

} // namespace

void add_vector_convert(InstructionTable& table)
{
    table.add("v_cvt_f32_i32", lanes([](int32_t a) { return static_cast<float>(a); }));
    table.add("v_cvt_f32_u32", lanes([](uint32_t a) { return static_cast<float>(a); }));
    table.add("v_cvt_i32_f32", lanes([](float a) { return saturate<int32_t>(a); }));
    table.add("v_cvt_u32_f32", lanes([](float a) { return saturate<uint32_t>(a); }));
    table.add("v_cvt_rpi_i32_f32", lanes([](float a) { return saturate<int32_t>(std::floor(a + 0.5f)); }));
    table.add("v_cvt_flr_i32_f32", lanes([](float a) { return saturate<int32_t>(std::floor(a)); }));
    table.add("v_cvt_f64_i32", lanes([](int32_t a) { return static_cast<double>(a); }));
    table.add("v_cvt_f64_u32", lanes([](uint32_t a) { return static_cast<double>(a); }));
    table.add("v_cvt_i32_f64", lanes([](double a) { return saturate<int32_t>(a); }));
    table.add("v_cvt_u32_f64", lanes([](double a) { return saturate<uint32_t>(a); }));
    table.add("v_cvt_f64_f32", lanes([](float a) { return static_cast<double>(a); }));
    table.add("v_cvt_f32_f64", lanes([](double a) { return static_cast<float>(a); }));
    table.add("v_cvt_f16_f32", lanes([](float a) { return half_nearest(a); }));
    table.add("v_cvt_f32_f16", lanes([](Half a) { return to_float(a); }));
    table.add("v_cvt_f16_i16", lanes([](int16_t a) { return half_nearest(static_cast<float>(a)); }));
    table.add("v_cvt_f16_u16", lanes([](uint16_t a) { return half_nearest(static_cast<float>(a)); }));
    table.add("v_cvt_i16_f16", lanes([](Half a) { return saturate<int16_t>(to_float(a)); }));
    table.add("v_cvt_u16_f16", lanes([](Half a) { return saturate<uint16_t>(to_float(a)); }));
    table.add("v_cvt_f32_ubyte0", unsigned_byte<0>());
    table.add("v_cvt_f32_ubyte1", unsigned_byte<1>());
    table.add("v_cvt_f32_ubyte2", unsigned_byte<2>());
    table.add("v_cvt_f32_ubyte3", unsigned_byte<3>());
    table.add("v_cvt_pkrtz_f16_f32",
              lanes([](float a, float b) { return pack(half_towards_zero(a), half_towards_zero(b)); }));
    table.add("v_cvt_pknorm_i16_f32",
              lanes([](float a, float b) { return pack_words(normalised_signed(a), normalised_signed(b)); }));
    table.add("v_cvt_pknorm_u16_f32",
              lanes([](float a, float b) { return pack_words(normalised_unsigned(a), normalised_unsigned(b)); }));
    table.add("v_cvt_pk_u16_u32", lanes([](uint32_t a, uint32_t b) {
                  return (a < 0xffffu ? a : 0xffffu) | (b < 0xffffu ? b : 0xffffu) << 16;
              }));
    table.add("v_cvt_pk_i16_i32", lanes([](int32_t a, int32_t b) {
                  const auto limit = [](int32_t x) { return x < -32768 ? -32768 : x > 32767 ? 32767 : x; };
                  return pack_words(limit(a), limit(b));
              }));
    table.add("v_pack_b32_f16", bitwise(lanes([](Half a, Half b) { return pack(a, b); })));
}

} // namespace amd_emulator
