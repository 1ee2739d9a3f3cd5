// Vector instructions against plain models, one lane at a time.
#include "case_runner.hpp"

#include <cmath>
#include <functional>

namespace {

using amd_emulator::bit_cast;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;

/// One lane's registers, read in all the ways that models need.
struct Lane {
    const CaseInput& input;
    int number;

    const CaseInput::Lane& regs() const { return input.lanes[static_cast<size_t>(number)]; }
    u32 a(size_t i = 0) const { return regs().a[i]; }
    u32 b(size_t i = 0) const { return regs().b[i]; }
    u32 c(size_t i = 0) const { return regs().c[i]; }
    u32 d(size_t i = 0) const { return regs().d[i]; }
    u64 wide_b() const { return b() | u64{b(1)} << 32; }
    u64 wide_c() const { return c() | u64{c(1)} << 32; }
    float fa(size_t i = 0) const { return bit_cast<float>(a(i)); }
    float fb(size_t i = 0) const { return bit_cast<float>(b(i)); }
    float fc(size_t i = 0) const { return bit_cast<float>(c(i)); }
    float fd() const { return bit_cast<float>(d()); }
    double da() const { return bit_cast<double>(a() | u64{a(1)} << 32); }
    double db() const { return bit_cast<double>(wide_b()); }
    double dc() const { return bit_cast<double>(wide_c()); }
    bool vcc() const { return (input.vcc() >> number & 1) != 0; }
    bool bit(u64 mask) const { return (mask >> number & 1) != 0; }
    u32 a_of(int lane) const { return input.lanes[static_cast<size_t>(lane)].a[0]; }
};

// Halves by the formula of the format, independently of float_formats.hpp: exact in double.
double half(u32 bits)
{
    const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double mantissa = bits & 0x3ffu;
    if (exponent == 31) {
        return mantissa != 0 ? std::nan("") : sign * INFINITY;
    }
    return exponent == 0 ? sign * std::ldexp(mantissa, -24) : sign * std::ldexp(1024 + mantissa, exponent - 25);
}
double low(u32 bits) { return half(bits & 0xffffu); }
double high(u32 bits) { return half(bits >> 16); }
/// The nearest half, ties to even, of an exact value.
u32 to_half(long double value)
{
    if (value != value) {
        return 0x7e00u;
    }
    const u32 sign = std::signbit(value) ? 0x8000u : 0;
    const long double magnitude = std::fabs(value);
    if (magnitude == 0) {
        return sign;
    }
    if (magnitude >= 65520) {
        return sign | 0x7c00u;
    }
    const int exponent = std::max(static_cast<int>(std::floor(std::log2(magnitude))), -14);
    const long double unit = std::ldexp(1.0L, exponent - 10);
    const auto steps = static_cast<u32>(std::nearbyint(magnitude / unit));
    return sign + (exponent == -14 ? steps : static_cast<u32>((exponent + 15) * 1024) + steps - 1024);
}

u32 bits(float value) { return bit_cast<u32>(value); }
u64 bits(double value) { return bit_cast<u64>(value); }
i32 s24(u32 value) { return static_cast<i32>(value << 8) >> 8; }
i32 s32(u32 value) { return static_cast<i32>(value); }
u64 pair(u32 first, u32 second) { return first | u64{second} << 32; }
float min_number(float x, float y)
{
    return x != x ? y : y != y ? x : x == y ? (std::signbit(x) ? x : y) : std::fmin(x, y);
}
float max_number(float x, float y)
{
    return x != x ? y : y != y ? x : x == y ? (std::signbit(x) ? y : x) : std::fmax(x, y);
}
u32 reverse(u32 value)
{
    u32 result = 0;
    for (int i = 0; i < 32; ++i) {
        result |= (value >> i & 1) << (31 - i);
    }
    return result;
}
u32 permute(u32 a, u32 b, u32 selector)
{
    u32 result = 0;
    const u32 words[] = {b & 0xffffu, b >> 16, a & 0xffffu, a >> 16};
    for (int i = 0; i < 4; ++i) {
        const u32 s = selector >> (8 * i) & 0xffu;
        u32 byte = 0xff;
        if (s <= 7) {
            byte = words[s / 2] >> (8 * (s % 2)) & 0xffu;
        } else if (s <= 11) {
            byte = words[s - 8] >> 15 != 0 ? 0xff : 0;
        } else if (s == 12) {
            byte = 0;
        }
        result |= byte << (8 * i);
    }
    return result;
}

enum class Compare { bits32, bits64, float32, float64, half16, halves, floats2, mask };

struct VectorCase {
    const char* kernel;
    Numbers numbers;
    Compare compare;
    std::function<u64(const Lane&)> model;
    double ulps = 0; ///< of float32
};
void PrintTo(const VectorCase& c, std::ostream* out) { *out << c.kernel; }

constexpr auto kInts = Numbers::integers;
constexpr auto kFloats = Numbers::floats;
constexpr auto kHalves = Numbers::halves;
constexpr auto kDoubles = Numbers::doubles;

u32 saturated(i64 sum)
{
    return sum > 0x7fffffff ? 0x7fffffffu : sum < -i64{0x80000000} ? 0x80000000u : static_cast<u32>(sum);
}

const VectorCase kCases[] = {
    {"v_mov_b32", kInts, Compare::bits32, [](const Lane& l) { return l.a(); }},
    {"v_not_b32", kInts, Compare::bits32, [](const Lane& l) { return ~l.a(); }},
    {"v_and_b32", kInts, Compare::bits32, [](const Lane& l) { return l.a() & l.b(); }},
    {"v_or_b32", kInts, Compare::bits32, [](const Lane& l) { return l.input.sgpr(16) | l.b(); }},
    {"v_xor_b32", kInts, Compare::bits32, [](const Lane& l) { return l.a() ^ l.b(); }},
    {"v_and_or_b32", kInts, Compare::bits32, [](const Lane& l) { return (l.a() & l.b()) | l.c(); }},
    {"v_bfi_b32", kInts, Compare::bits32, [](const Lane& l) { return (l.a() & l.b()) | (~l.a() & l.c()); }},
    {"v_bfrev_b32", kInts, Compare::bits32, [](const Lane& l) { return reverse(l.a()); }},
    {"v_perm_b32", kInts, Compare::bits32, [](const Lane& l) { return permute(l.a(), l.b(), l.c()); }},
    {"v_alignbit_b32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(pair(l.b(), l.a()) >> (l.c() % 32)); }},
    {"v_alignbyte_b32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(pair(l.b(), l.a()) >> (l.c() % 4 * 8)); }},
    {"v_cndmask_b32", kInts, Compare::bits32, [](const Lane& l) { return l.vcc() ? l.b() : l.a(); }},
    {"v_cndmask_b32_pair", kInts, Compare::bits32, [](const Lane& l) { return l.bit(l.input.pair(18)) ? l.b() : l.a(); }},
    {"v_cndmask_b32_signs", kInts, Compare::bits32, [](const Lane& l) { return l.vcc() ? l.b() & 0x7fffffffu : l.a() ^ 0x80000000u; }},
    {"v_lshlrev_b32", kInts, Compare::bits32, [](const Lane& l) { return l.b() << (l.a() % 32); }},
    {"v_lshrrev_b32", kInts, Compare::bits32, [](const Lane& l) { return l.b() >> (l.a() % 32); }},
    {"v_ashrrev_i32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(s32(l.b()) >> (l.a() % 32)); }},
    {"v_lshlrev_b64", kInts, Compare::bits64, [](const Lane& l) { return l.wide_b() << (l.a() % 64); }},
    {"v_lshrrev_b64", kInts, Compare::bits64, [](const Lane& l) { return l.wide_b() >> (l.a() % 64); }},
    {"v_ashrrev_i64", kInts, Compare::bits64, [](const Lane& l) { return static_cast<u64>(static_cast<i64>(l.wide_b()) >> (l.a() % 64)); }},
    {"v_lshlrev_b16", kInts, Compare::bits32, [](const Lane& l) { return (l.b() << (l.a() % 16)) & 0xffffu; }},
    {"v_lshrrev_b16", kInts, Compare::bits32, [](const Lane& l) { return (l.b() & 0xffffu) >> (l.a() % 16); }},
    {"v_ashrrev_i16", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(static_cast<i16>(l.b()) >> (l.a() % 16)) & 0xffffu; }},
    {"v_lshl_or_b32", kInts, Compare::bits32, [](const Lane& l) { return l.a() << (l.b() % 32) | l.c(); }},
    {"v_lshl_add_u32", kInts, Compare::bits32, [](const Lane& l) { return (l.a() << (l.b() % 32)) + l.c(); }},
    {"v_add_lshl_u32", kInts, Compare::bits32, [](const Lane& l) { return (l.a() + l.b()) << (l.c() % 32); }},
    {"v_bfe_u32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>((l.a() >> (l.b() % 32)) & ((u64{1} << (l.c() % 32)) - 1)); }},
    {"v_bfe_i32", kInts, Compare::bits32,
     [](const Lane& l) {
         const int offset = static_cast<int>(l.b() % 32), width = static_cast<int>(l.c() % 32);
         if (width == 0) { return u32{0}; }
         const u64 field = (u64{l.a()} >> offset) & ((u64{1} << width) - 1);
         return static_cast<u32>((field >> (width - 1) & 1) != 0 ? field - (u64{1} << width) : field);
     }},
    {"v_accvgpr_round_trip", kInts, Compare::bits32, [](const Lane& l) { return l.a(); }},
    {"v_add_i32_clamp", kInts, Compare::bits32, [](const Lane& l) { return saturated(i64{s32(l.a())} + s32(l.b())); }},
    {"v_sub_i32_clamp", kInts, Compare::bits32, [](const Lane& l) { return saturated(i64{s32(l.a())} - s32(l.b())); }},
    {"v_add_u32_clamp", kInts, Compare::bits32, [](const Lane& l) { return ~l.a() < l.b() ? ~0u : l.a() + l.b(); }},
    {"v_sub_u32_clamp", kInts, Compare::bits32, [](const Lane& l) { return l.a() < l.b() ? 0u : l.a() - l.b(); }},
    {"v_add_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() + l.b(); }},
    {"v_sub_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() - l.b(); }},
    {"v_subrev_u32", kInts, Compare::bits32, [](const Lane& l) { return l.b() - l.a(); }},
    {"v_add3_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() + l.b() + l.c(); }},
    {"v_add_co_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() + l.b(); }},
    {"v_add_co_u32", kInts, Compare::mask, [](const Lane& l) { return (u64{l.a()} + l.b()) >> 32; }},
    {"v_addc_co_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() + l.b() + (l.vcc() ? 1 : 0); }},
    {"v_addc_co_u32", kInts, Compare::mask, [](const Lane& l) { return (u64{l.a()} + l.b() + (l.vcc() ? 1 : 0)) >> 32; }},
    {"v_subb_co_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() - l.b() - (l.vcc() ? 1 : 0); }},
    {"v_subb_co_u32", kInts, Compare::mask, [](const Lane& l) { return u64{l.b()} + (l.vcc() ? 1 : 0) > l.a(); }},
    {"v_subbrev_co_u32", kInts, Compare::bits32, [](const Lane& l) { return l.b() - l.a() - (l.vcc() ? 1 : 0); }},
    {"v_add_u16", kInts, Compare::bits32, [](const Lane& l) { return (l.a() + l.b()) & 0xffffu; }},
    {"v_sub_u16", kInts, Compare::bits32, [](const Lane& l) { return (l.a() - l.b()) & 0xffffu; }},
    {"v_mad_u16_high", kInts, Compare::bits32, [](const Lane& l) { return (l.d() & 0xffffu) | ((l.a() >> 16) * (l.b() & 0xffffu) + (l.c() >> 16)) << 16; }},
    {"v_mul_lo_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() * l.b(); }},
    {"v_mul_hi_u32", kInts, Compare::bits32, [](const Lane& l) { return u64{l.a()} * l.b() >> 32; }},
    {"v_mul_hi_i32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(i64{s32(l.a())} * s32(l.b()) >> 32); }},
    {"v_mul_u32_u24", kInts, Compare::bits32, [](const Lane& l) { return (l.a() & 0xffffffu) * (l.b() & 0xffffffu); }},
    {"v_mul_i32_i24", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(i64{s24(l.a())} * s24(l.b())); }},
    {"v_mad_u32_u24", kInts, Compare::bits32, [](const Lane& l) { return (l.a() & 0xffffffu) * (l.b() & 0xffffffu) + l.c(); }},
    {"v_mul_lo_u16", kInts, Compare::bits32, [](const Lane& l) { return (l.a() & 0xffffu) * (l.b() & 0xffffu) & 0xffffu; }},
    {"v_mad_u64_u32", kInts, Compare::bits64, [](const Lane& l) { return u64{l.a()} * l.b() + l.wide_c(); }},
    {"v_mad_i64_i32", kInts, Compare::bits64, [](const Lane& l) { return static_cast<u64>(i64{s32(l.a())} * s32(l.b())) + l.wide_c(); }},
    {"v_min_i32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(std::min(s32(l.a()), s32(l.b()))); }},
    {"v_max_u32", kInts, Compare::bits32, [](const Lane& l) { return std::max(l.a(), l.b()); }},
    {"v_med3_i32", kInts, Compare::bits32,
     [](const Lane& l) {
         i32 sorted[] = {s32(l.a()), s32(l.b()), s32(l.c())};
         std::sort(sorted, sorted + 3);
         return static_cast<u32>(sorted[1]);
     }},
    {"v_min3_u32", kInts, Compare::bits32, [](const Lane& l) { return std::min({l.a(), l.b(), l.c()}); }},
    {"v_bcnt_u32_b32", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(__builtin_popcount(l.a())) + l.b(); }},
    {"v_ffbh_u32", kInts, Compare::bits32, [](const Lane& l) { return l.a() == 0 ? ~u32{0} : static_cast<u32>(__builtin_clz(l.a())); }},
    {"v_ffbl_b32", kInts, Compare::bits32, [](const Lane& l) { return l.a() == 0 ? ~u32{0} : static_cast<u32>(__builtin_ctz(l.a())); }},
    {"v_mbcnt", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u64>(__builtin_popcountll(l.input.pair(16) & ((u64{1} << l.number) - 1))); }},
    {"v_sad_u8", kInts, Compare::bits32,
     [](const Lane& l) {
         u32 sum = l.c();
         for (int i = 0; i < 32; i += 8) { sum += static_cast<u32>(std::abs(static_cast<int>(l.a() >> i & 255) - static_cast<int>(l.b() >> i & 255))); }
         return sum;
     }},
    {"v_literal", kInts, Compare::bits32, [](const Lane& l) { return l.a() + 0x12345678u; }},
    {"v_inline_negative", kInts, Compare::bits32, [](const Lane& l) { return l.a() - 7; }},

    {"v_add_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(l.fa() + l.fb()); }},
    {"v_sub_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(l.fa() - l.fb()); }},
    {"v_subrev_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(l.fb() - l.fa()); }},
    {"v_mul_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(l.fa() * l.fb()); }},
    {"v_fma_f32_signs", kFloats, Compare::float32, [](const Lane& l) { return bits(std::fma(-l.fa(), std::fabs(l.fb()), -std::fabs(l.fc()))); }},
    {"v_fmac_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(std::fma(l.fa(), l.fb(), l.fd())); }},
    {"v_fma_f32_clamp", kFloats, Compare::float32, [](const Lane& l) { return bits(std::fmin(std::fmax(std::fma(l.fa(), l.fb(), l.fc()), 0.0f), 1.0f)); }},
    {"v_mul_f32_times_four", kFloats, Compare::float32, [](const Lane& l) { return bits(l.fa() * l.fb() * 4); }},
    {"v_min_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(min_number(l.fa(), l.fb())); }},
    {"v_max_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(max_number(l.fa(), l.fb())); }},
    {"v_max3_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(max_number(max_number(l.fa(), l.fb()), l.fc())); }},
    {"v_med3_f32", kFloats, Compare::float32,
     [](const Lane& l) {
         float sorted[] = {l.fa(), l.fb(), l.fc()};
         if (sorted[0] != sorted[0] || sorted[1] != sorted[1] || sorted[2] != sorted[2]) { return bits(min_number(min_number(sorted[0], sorted[1]), sorted[2])); }
         std::sort(sorted, sorted + 3, [](float x, float y) { return x < y || (x == y && std::signbit(x) && !std::signbit(y)); });
         return bits(sorted[1]);
     }},
    {"v_floor_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(std::floor(l.fa())); }},
    {"v_rndne_f32", kFloats, Compare::float32,
     [](const Lane& l) {
         const float x = l.fa(), below = std::floor(x), middle = below + 0.5f;
         if (!(std::fabs(x) < 0x1p23f)) { return bits(x); }
         const bool up = x > middle || (x == middle && std::fmod(below, 2.0f) != 0);
         return bits(std::copysign(up ? below + 1 : below, x));
     }},
    {"v_mul_f32_constant", kFloats, Compare::float32, [](const Lane& l) { return bits(bit_cast<float>(0x3e22f983u) * l.fa()); }},
    {"v_add_f64", kDoubles, Compare::float64, [](const Lane& l) { return bits(l.da() + l.db()); }},
    {"v_fma_f64", kDoubles, Compare::float64, [](const Lane& l) { return bits(std::fma(l.da(), -l.db(), l.dc())); }},
    {"v_mul_f64_constant", kDoubles, Compare::float64, [](const Lane& l) { return bits(l.da() * 0.5); }},
    {"v_add_f16", kHalves, Compare::half16, [](const Lane& l) { return to_half(low(l.a()) + low(l.b())); }},
    {"v_mul_f16", kHalves, Compare::half16, [](const Lane& l) { return to_half(low(l.a()) * low(l.b())); }},
    {"v_fma_f16", kHalves, Compare::halves, [](const Lane& l) { return (l.d() & 0xffff0000u) | to_half(static_cast<long double>(low(l.a())) * low(l.b()) + low(l.c())); }},
    {"v_fma_f16_high", kHalves, Compare::halves, [](const Lane& l) { return (l.d() & 0xffffu) | to_half(static_cast<long double>(high(l.a())) * low(l.b()) + high(l.c())) << 16; }},
    {"v_max_f16", kHalves, Compare::half16, [](const Lane& l) { return to_half(max_number(static_cast<float>(low(l.a())), static_cast<float>(low(l.b())))); }},
    {"v_add_f16_constant", kHalves, Compare::half16, [](const Lane& l) { return to_half(low(l.a()) + 1); }},

    {"v_cvt_f32_i32", kInts, Compare::float32, [](const Lane& l) { return bits(static_cast<float>(s32(l.a()))); }},
    {"v_cvt_f32_u32", kInts, Compare::float32, [](const Lane& l) { return bits(static_cast<float>(l.a())); }},
    {"v_cvt_i32_f32", kFloats, Compare::bits32,
     [](const Lane& l) { return l.fa() != l.fa() ? 0u : l.fa() >= 0x1p31f ? 0x7fffffffu : l.fa() <= -0x1p31f ? 0x80000000u : static_cast<u32>(static_cast<i32>(l.fa())); }},
    {"v_cvt_u32_f32", kFloats, Compare::bits32,
     [](const Lane& l) { return !(l.fa() > 0) ? 0u : l.fa() >= 0x1p32f ? 0xffffffffu : static_cast<u32>(l.fa()); }},
    {"v_cvt_f16_f32", kFloats, Compare::half16, [](const Lane& l) { return to_half(l.fa()); }},
    {"v_cvt_f32_f16", kHalves, Compare::float32, [](const Lane& l) { return bits(static_cast<float>(low(l.a()))); }},
    {"v_cvt_f32_f64", kDoubles, Compare::float32, [](const Lane& l) { return bits(static_cast<float>(l.da())); }},
    {"v_cvt_f64_f32", kFloats, Compare::float64, [](const Lane& l) { return bits(static_cast<double>(l.fa())); }},
    {"v_cvt_f32_ubyte2", kInts, Compare::float32, [](const Lane& l) { return bits(static_cast<float>(l.a() >> 16 & 255)); }},
    {"v_cvt_pkrtz_f16_f32", kFloats, Compare::halves,
     [](const Lane& l) {
         const auto towards_zero = [](float x) {
             const u32 nearest = to_half(x);
             if (x != x || std::isinf(x)) { return nearest; }
             return std::fabs(half(nearest)) > std::fabs(x) ? nearest - 1 : nearest;
         };
         return towards_zero(l.fa()) | towards_zero(l.fb()) << 16;
     }},
    {"v_pack_b32_f16", kHalves, Compare::bits32, [](const Lane& l) { return (l.a() & 0xffffu) | l.b() << 16; }},
    {"v_pack_b32_f16_high", kHalves, Compare::bits32, [](const Lane& l) { return l.a() >> 16 | (l.b() & 0xffff0000u); }},

    {"v_pk_add_f32", kFloats, Compare::floats2, [](const Lane& l) { return pair(bits(l.fa() + l.fb()), bits(l.fa(1) + l.fb(1))); }},
    {"v_pk_fma_f32_select", kFloats, Compare::floats2,
     [](const Lane& l) { return pair(bits(std::fma(l.fa(), l.fb(1), -l.fc())), bits(std::fma(l.fa(1), l.fb(), l.fc(1)))); }},
    {"v_pk_mul_f32_scalar", kFloats, Compare::floats2,
     [](const Lane& l) { return pair(bits(l.fa() * bit_cast<float>(l.input.sgpr(16))), bits(l.fa(1) * bit_cast<float>(l.input.sgpr(16)))); }},
    {"v_pk_mov_b32", kInts, Compare::bits64, [](const Lane& l) { return pair(l.a(1), l.b()); }},
    {"v_pk_fma_f16", kHalves, Compare::halves,
     [](const Lane& l) {
         return to_half(static_cast<long double>(low(l.a())) * low(l.b()) + low(l.c())) |
                to_half(static_cast<long double>(high(l.a())) * high(l.b()) + high(l.c())) << 16;
     }},
    {"v_pk_mul_f16_select", kHalves, Compare::halves,
     [](const Lane& l) { return to_half(high(l.a()) * low(l.b())) | to_half(-low(l.a()) * low(l.b())) << 16; }},
    {"v_pk_add_u16", kInts, Compare::bits32, [](const Lane& l) { return ((l.a() + l.b()) & 0xffffu) | ((l.a() >> 16) + (l.b() >> 16)) << 16; }},
    {"v_pk_max_i16", kInts, Compare::bits32,
     [](const Lane& l) {
         const auto larger = [](u32 x, u32 y) { return static_cast<u32>(static_cast<u16>(std::max(static_cast<i16>(x), static_cast<i16>(y)))); };
         return larger(l.a(), l.b()) | larger(l.a() >> 16, l.b() >> 16) << 16;
     }},
    {"v_pk_lshlrev_b16", kInts, Compare::bits32,
     [](const Lane& l) { return ((l.b() << (l.a() % 16)) & 0xffffu) | ((l.b() >> 16) << (l.a() >> 16) % 16) << 16; }},
    {"v_fma_mix_f32", kHalves, Compare::float32, [](const Lane& l) { return bits(std::fma(l.fa(), -static_cast<float>(high(l.b())), l.fc())); }},
    {"v_fma_mixlo_f16", kHalves, Compare::halves,
     [](const Lane& l) { return (l.d() & 0xffff0000u) | to_half(std::fma(l.fa(), static_cast<float>(low(l.b())), static_cast<float>(high(l.c())))); }},
    {"v_fma_mixhi_f16", kHalves, Compare::halves,
     [](const Lane& l) {
         return (l.d() & 0xffffu) | to_half(std::fma(static_cast<float>(low(l.a())), static_cast<float>(low(l.b())), static_cast<float>(low(l.c())))) << 16;
     }},

    {"sdwa_bytes_signed", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(s32(l.a()) >> 24) + (l.b() >> 16); }},
    {"sdwa_word_signed", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>((s32(l.a()) >> 16) + static_cast<int8_t>(l.b())); }},
    {"sdwa_to_byte_preserve", kInts, Compare::bits32, [](const Lane& l) { return (l.d() & 0xff00ffffu) | (l.a() >> 8 & 255) << 16; }},
    {"sdwa_to_word_pad", kInts, Compare::bits32, [](const Lane& l) { return l.a() << 16; }},
    {"sdwa_to_byte_sext", kInts, Compare::bits32, [](const Lane& l) { return static_cast<u32>(static_cast<int8_t>(l.a())) << 8; }},
    {"sdwa_add_f16", kHalves, Compare::halves, [](const Lane& l) { return (l.d() & 0xffffu) | to_half(high(l.a()) + low(l.b())) << 16; }},
    {"sdwa_cmp", kInts, Compare::mask, [](const Lane& l) { return (l.a() & 255) == (l.b() >> 8 & 255); }},

    {"dpp_quad_perm", kInts, Compare::bits32, [](const Lane& l) { return l.a_of(l.number ^ 2); }},
    {"dpp_row_shl", kInts, Compare::bits32, [](const Lane& l) { return l.number % 16 + 3 < 16 ? l.a_of(l.number + 3) : l.d(); }},
    {"dpp_row_shr_zero", kInts, Compare::bits32, [](const Lane& l) { return l.number % 16 >= 5 ? l.a_of(l.number - 5) : 0; }},
    {"dpp_row_ror", kInts, Compare::bits32, [](const Lane& l) { return l.a_of(l.number / 16 * 16 + (l.number + 12) % 16); }},
    {"dpp_row_mirror", kInts, Compare::bits32, [](const Lane& l) { return l.a_of(l.number / 16 * 16 + 15 - l.number % 16); }},
    {"dpp_row_half_mirror", kInts, Compare::bits32, [](const Lane& l) { return l.a_of(l.number / 8 * 8 + 7 - l.number % 8); }},
    {"dpp_row_bcast15", kInts, Compare::bits32, [](const Lane& l) { return l.number / 16 % 2 == 1 ? l.a_of(l.number / 16 * 16 - 1) : l.d(); }},
    {"dpp_row_bcast31", kInts, Compare::bits32, [](const Lane& l) { return l.number >= 32 ? l.a_of(31) : l.d(); }},
    {"dpp_wave_shr", kInts, Compare::bits32, [](const Lane& l) { return l.number > 0 ? l.a_of(l.number - 1) : l.d(); }},
    {"dpp_masks", kInts, Compare::bits32, [](const Lane& l) { return l.number / 16 % 2 == 0 && l.number % 16 < 8 ? l.a() : l.d(); }},
    {"dpp_add_f32", kFloats, Compare::float32, [](const Lane& l) { return bits(bit_cast<float>(l.a_of(l.number / 16 * 16 + 2)) + l.fb()); }},

    {"v_cmp_lt_f32", kFloats, Compare::mask, [](const Lane& l) { return l.fa() < l.fb(); }},
    {"v_cmp_nlt_f32", kFloats, Compare::mask, [](const Lane& l) { return !(l.fa() < l.fb()); }},
    {"v_cmp_u_f32", kFloats, Compare::mask, [](const Lane& l) { return l.fa() != l.fa() || l.fb() != l.fb(); }},
    {"v_cmp_lg_f32", kFloats, Compare::mask, [](const Lane& l) { return l.fa() < l.fb() || l.fa() > l.fb(); }},
    {"v_cmp_gt_i32", kInts, Compare::mask, [](const Lane& l) { return s32(l.a()) > s32(l.b()); }},
    {"v_cmp_le_u16", kInts, Compare::mask, [](const Lane& l) { return (l.a() & 0xffffu) <= (l.b() & 0xffffu); }},
    {"v_cmp_ne_u64", kInts, Compare::mask, [](const Lane& l) { return pair(l.a(), l.a(1)) != l.wide_b(); }},
    {"v_cmp_ge_f16", kHalves, Compare::mask, [](const Lane& l) { return low(l.a()) >= low(l.b()); }},
    {"v_cmp_class_f32", kFloats, Compare::mask,
     [](const Lane& l) {
         const float x = l.fa();
         const bool is_negative = std::signbit(x);
         const int kind = x != x ? 1 : std::isinf(x) ? (is_negative ? 2 : 9) : x == 0 ? (is_negative ? 5 : 6) : std::isnormal(x) ? (is_negative ? 3 : 8) : (is_negative ? 4 : 7);
         return (l.b() >> kind & 1) != 0;
     }},
    {"masked_write", kInts, Compare::bits32, [](const Lane& l) { return l.bit(l.input.pair(18)) ? l.a() + l.b() : l.d(); }},
    {"masked_compare", kInts, Compare::mask, [](const Lane& l) { return l.bit(l.input.pair(18)) && l.a() > l.b(); }},
    {"v_writelane", kInts, Compare::bits32, [](const Lane& l) { return l.number == 41 ? l.input.sgpr(16) : l.d(); }},
    {"v_swap_b32", kInts, Compare::bits32, [](const Lane& l) { return l.a(); }},
};

/// The manuals allow one ulp; the models are exact in double.
const VectorCase kTranscendental[] = {
    {"v_exp_f32", kFloats, Compare::float32,
     [](const Lane& l) { return bits(static_cast<float>(std::exp2(static_cast<double>(l.fa())))); }, 1},
    {"v_log_f32", kFloats, Compare::float32,
     [](const Lane& l) { return bits(static_cast<float>(std::log2(static_cast<double>(l.fa())))); }, 1},
    {"v_rcp_f32", kFloats, Compare::float32,
     [](const Lane& l) { return bits(static_cast<float>(1 / static_cast<double>(l.fa()))); }, 1},
    {"v_rsq_f32", kFloats, Compare::float32,
     [](const Lane& l) { return bits(static_cast<float>(1 / std::sqrt(static_cast<double>(l.fa())))); }, 1},
    {"v_sqrt_f32", kFloats, Compare::float32,
     [](const Lane& l) { return bits(static_cast<float>(std::sqrt(static_cast<double>(l.fa())))); }, 1},
};

bool same_float(u32 x, u32 y, double ulps)
{
    const auto fx = bit_cast<float>(x), fy = bit_cast<float>(y);
    if (fx != fx || fy != fy) {
        return fx != fx && fy != fy;
    }
    return x == y || (ulps > 0 && std::fabs(static_cast<double>(x) - static_cast<double>(y)) <= ulps);
}
bool same_half(u32 x, u32 y) { return std::isnan(half(x)) ? std::isnan(half(y)) : x == y; }

void check(const VectorCase& test, const KernelModule& module, const CaseInput& input)
{
    const CaseOutput output = run_case(module, test.kernel, input);
    ASSERT_EQ(output.error, hipSuccess) << ck_fmha_emulator_last_failure();
    for (int lane = 0; lane < 64; ++lane) {
        const auto& actual = output.lanes[static_cast<size_t>(lane)];
        const u64 expected = test.model(Lane{input, lane});
        const auto expected_low = static_cast<u32>(expected), expected_high = static_cast<u32>(expected >> 32);
        bool same = false;
        switch (test.compare) {
        case Compare::bits32:
            same = actual[0] == expected_low;
            break;
        case Compare::bits64:
            same = pair(actual[0], actual[1]) == expected;
            break;
        case Compare::float32:
            same = same_float(actual[0], expected_low, test.ulps);
            break;
        case Compare::floats2:
            same = same_float(actual[0], expected_low, 0) && same_float(actual[1], expected_high, 0);
            break;
        case Compare::half16:
            same = actual[0] >> 16 == 0 && same_half(actual[0], expected_low);
            break;
        case Compare::halves:
            same = same_half(actual[0] & 0xffffu, expected_low & 0xffffu) &&
                   same_half(actual[0] >> 16, expected_low >> 16);
            break;
        case Compare::float64: {
            const auto x = bit_cast<double>(pair(actual[0], actual[1])), y = bit_cast<double>(expected);
            same = x == y || (x != x && y != y);
            break;
        }
        case Compare::mask:
            same = (output.vcc() >> lane & 1) == expected;
            break;
        }
        EXPECT_TRUE(same) << std::hex << "lane " << std::dec << lane << std::hex << ": a "
                          << input.lanes[static_cast<size_t>(lane)].a[0] << " b "
                          << input.lanes[static_cast<size_t>(lane)].b[0] << " c "
                          << input.lanes[static_cast<size_t>(lane)].c[0] << " expected " << expected << " actual "
                          << pair(actual[0], actual[1]) << " vcc " << output.vcc();
        if (!same) {
            return;
        }
    }
}

class VectorAlu : public ::testing::TestWithParam<VectorCase> {};
std::string case_name(const ::testing::TestParamInfo<VectorCase>& info)
{
    return std::string(info.param.kernel) + (info.param.compare == Compare::mask ? "_mask" : "");
}
INSTANTIATE_TEST_SUITE_P(Cases, VectorAlu, ::testing::ValuesIn(kCases), case_name);
INSTANTIATE_TEST_SUITE_P(Transcendental, VectorAlu, ::testing::ValuesIn(kTranscendental), case_name);

TEST_P(VectorAlu, EqualsItsModel)
{
    for (const char* architecture : kArchitectures) {
        const KernelModule& module = loaded_module("vector_cases", architecture);
        for (unsigned seed = 0; seed < 4; ++seed) {
            CaseInput input = random_input(GetParam().numbers, seed);
            const std::string kernel = GetParam().kernel;
            if (kernel == "v_cmp_class_f32") {
                for (auto& lane : input.lanes) {
                    lane.b[0] = 1u << (lane.b[1] % 10);
                }
            } else if (kernel == "v_perm_b32") {
                for (auto& lane : input.lanes) {
                    lane.c[0] &= 0x0f0f0f0fu;
                }
            } else if (GetParam().ulps > 0) { // subnormals are flushed, which another test looks at
                for (auto& lane : input.lanes) {
                    const float x = bit_cast<float>(lane.a[0]);
                    if (std::fabs(x) < 0x1p-126f || std::fabs(x) > 0x1p126f) {
                        lane.a[0] = bits(x == x ? 3.0f : x);
                    }
                }
            }
            check(GetParam(), module, input);
        }
    }
}

TEST(VectorAluScalars, LanesToScalars)
{
    for (const char* architecture : kArchitectures) {
        const KernelModule& module = loaded_module("vector_cases", architecture);
        CaseInput input = random_input(kInts, 5);
        EXPECT_EQ(run_case(module, "v_readlane", input).sgpr(20), input.lanes[37].a[0]);
        input.scalars[2] = 0; // EXEC = s[18:19]: lane 35 is the first
        input.scalars[3] = 8;
        EXPECT_EQ(run_case(module, "v_readfirstlane", input).sgpr(20), input.lanes[35].a[0]);
    }
}

TEST(VectorAluScalars, TranscendentalFunctionsFlushSubnormals)
{
    const KernelModule& module = loaded_module("vector_cases", "gfx942");
    CaseInput input = random_input(kFloats, 6);
    for (auto& lane : input.lanes) {
        lane.a[0] = 0x00000100u;
    } // a subnormal
    EXPECT_EQ(run_case(module, "v_rcp_f32", input).lanes[0][0], 0x7f800000u);
    EXPECT_EQ(run_case(module, "v_log_f32", input).lanes[0][0], 0xff800000u);
    for (auto& lane : input.lanes) {
        lane.a[0] = bits(-140.0f);
    } // 2^-140 is one
    EXPECT_EQ(run_case(module, "v_exp_f32", input).lanes[0][0], 0u);
}

TEST(VectorAluScalars, TheModeRegisterFlushesSubnormals)
{
    const KernelModule& module = loaded_module("vector_cases", "gfx90a");
    CaseInput input = random_input(kFloats, 7);
    for (auto& lane : input.lanes) {
        lane.a = {0x00000100u, 0x0001u, 0, 0};
        lane.b = {0x00000200u, 0x0002u, 0, 0};
    }
    const CaseOutput kept = run_case(module, "v_add_f32", input);
    EXPECT_EQ(kept.lanes[3][0], 0x00000300u);
    const CaseOutput flushed = run_case(module, "flushing_add_f32", input);
    EXPECT_EQ(flushed.lanes[3][0], 0u);
    EXPECT_EQ(flushed.lanes[3][1], 0u);
}

} // namespace
