// Integer and bit operations of the vector ALU.
#include "lane_operation.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace amd_emulator {
namespace {

using i16 = int16_t;
using u16 = uint16_t;
using i32 = int32_t;
using u32 = uint32_t;
using i64 = int64_t;
using u64 = uint64_t;

template <class T>
T median(T a, T b, T c)
{
    return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

/// The nearest value of a type.
template <class T>
T saturated(i64 value)
{
    return static_cast<T>(
        std::min(std::max<i64>(value, std::numeric_limits<T>::min()), i64{std::numeric_limits<T>::max()}));
}

int32_t signed_24(u32 a) { return static_cast<i32>(a << 8) >> 8; }
u32 unsigned_24(u32 a) { return a & 0xffffffu; }

u32 reverse_bits(u32 a)
{
    a = (a >> 1 & 0x55555555u) | (a & 0x55555555u) << 1;
    a = (a >> 2 & 0x33333333u) | (a & 0x33333333u) << 2;
    a = (a >> 4 & 0x0f0f0f0fu) | (a & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(a);
}

/// v_perm_b32: each byte of the selector names one of the eight bytes {high, low}, a sign, or a constant.
u32 permute_bytes(u32 high, u32 low, u32 selector)
{
    const u64 bytes = u64{high} << 32 | low;
    u32 result = 0;
    for (int i = 0; i < 4; ++i) {
        const u32 s = selector >> (8 * i) & 0xffu;
        u32 byte;
        if (s < 8) {
            byte = static_cast<u32>(bytes >> (8 * s)) & 0xffu;
        } else if (s < 12) {
            byte = (bytes >> (16 * (s - 8) + 15) & 1) != 0 ? 0xffu : 0;
        } else {
            byte = s == 12 ? 0 : 0xffu;
        }
        result |= byte << (8 * i);
    }
    return result;
}

u32 sum_of_differences(u32 a, u32 b, u32 c)
{
    for (int i = 0; i < 4; ++i) {
        c += static_cast<u32>(std::abs(static_cast<i32>(a >> (8 * i) & 0xff) - static_cast<i32>(b >> (8 * i) & 0xff)));
    }
    return c;
}

u32 bit_field(u32 a, u32 offset, u32 width)
{
    offset &= 31;
    width &= 31;
    return a >> offset & ((u32{1} << width) - 1);
}
i32 signed_bit_field(i32 a, u32 offset, u32 width)
{
    offset &= 31;
    width &= 31;
    if (width == 0) {
        return 0;
    }
    const u32 sign = u32{1} << (width - 1);
    return static_cast<i32>((bit_field(static_cast<u32>(a), offset, width) ^ sign) - sign);
}

WithMask<u32> add(u32 a, u32 b, bool carry)
{
    const u64 sum = u64{a} + b + (carry ? 1 : 0);
    return {static_cast<u32>(sum), sum >> 32 != 0};
}
WithMask<u32> subtract(u32 a, u32 b, bool borrow)
{
    const u64 less = u64{b} + (borrow ? 1 : 0);
    return {static_cast<u32>(a - less), less > a};
}

void add_logic(InstructionTable& table)
{
    const auto add_bits = [&](const char* name, Operation operation) { table.add(name, bitwise(operation)); };
    add_bits("v_mov_b32", lanes([](u32 a) { return a; }));
    add_bits("v_mov_b64", lanes([](u64 a) { return a; }));
    add_bits("v_not_b32", lanes([](u32 a) { return ~a; }));
    add_bits("v_and_b32", lanes([](u32 a, u32 b) { return a & b; }));
    add_bits("v_or_b32", lanes([](u32 a, u32 b) { return a | b; }));
    add_bits("v_xor_b32", lanes([](u32 a, u32 b) { return a ^ b; }));
    add_bits("v_xnor_b32", lanes([](u32 a, u32 b) { return ~(a ^ b); }));
    add_bits("v_and_or_b32", lanes([](u32 a, u32 b, u32 c) { return (a & b) | c; }));
    add_bits("v_or3_b32", lanes([](u32 a, u32 b, u32 c) { return a | b | c; }));
    add_bits("v_bfi_b32", lanes([](u32 a, u32 b, u32 c) { return (a & b) | (~a & c); }));
    add_bits("v_bfrev_b32", lanes([](u32 a) { return reverse_bits(a); }));
    add_bits("v_perm_b32", lanes([](u32 a, u32 b, u32 c) { return permute_bytes(a, b, c); }));
    add_bits("v_alignbit_b32",
             lanes([](u32 a, u32 b, u32 c) { return static_cast<u32>((u64{a} << 32 | b) >> (c & 31)); }));
    add_bits("v_alignbyte_b32",
             lanes([](u32 a, u32 b, u32 c) { return static_cast<u32>((u64{a} << 32 | b) >> (8 * (c & 3))); }));
    add_bits("v_cndmask_b32", lanes([](u32 a, u32 b, bool mask) { return mask ? b : a; }));
    Operation accumulator_move = bitwise(lanes([](u32 a) { return a; }));
    accumulator_move.instruction_class = InstructionClass::accumulator_move;
    for (const char* name : {"v_accvgpr_read_b32", "v_accvgpr_write_b32", "v_accvgpr_mov_b32"}) {
        table.add(name, accumulator_move);
    }
}

void add_shifts(InstructionTable& table)
{
    const auto add_bits = [&](const char* name, Operation operation) { table.add(name, bitwise(operation)); };
    add_bits("v_lshlrev_b32", lanes([](u32 a, u32 b) { return b << (a & 31); }));
    add_bits("v_lshrrev_b32", lanes([](u32 a, u32 b) { return b >> (a & 31); }));
    add_bits("v_ashrrev_i32", lanes([](u32 a, i32 b) { return b >> (a & 31); }));
    add_bits("v_lshlrev_b64", lanes([](u32 a, u64 b) { return b << (a & 63); }));
    add_bits("v_lshrrev_b64", lanes([](u32 a, u64 b) { return b >> (a & 63); }));
    add_bits("v_ashrrev_i64", lanes([](u32 a, i64 b) { return b >> (a & 63); }));
    add_bits("v_lshlrev_b16", lanes([](u16 a, u16 b) { return static_cast<u16>(b << (a & 15)); }));
    add_bits("v_lshrrev_b16", lanes([](u16 a, u16 b) { return static_cast<u16>(b >> (a & 15)); }));
    add_bits("v_ashrrev_i16", lanes([](u16 a, i16 b) { return static_cast<i16>(b >> (a & 15)); }));
    add_bits("v_lshl_or_b32", lanes([](u32 a, u32 b, u32 c) { return a << (b & 31) | c; }));
    add_bits("v_bfe_u32", lanes([](u32 a, u32 b, u32 c) { return bit_field(a, b, c); }));
    add_bits("v_bfe_i32", lanes([](i32 a, u32 b, u32 c) { return signed_bit_field(a, b, c); }));
    table.add("v_bfm_b32", lanes([](u32 a, u32 b) { return ((u32{1} << (a & 31)) - 1) << (b & 31); }));
    table.add("v_lshl_add_u32", upward(lanes([](u32 a, u32 b, u32 c) { return (a << (b & 31)) + c; }), 1));
    table.add("v_add_lshl_u32", upward(lanes([](u32 a, u32 b, u32 c) { return (a + b) << (c & 31); }), 2));
    table.add("v_xad_u32", upward(lanes([](u32 a, u32 b, u32 c) { return (a ^ b) + c; })));
    table.add("v_lshl_add_u64", upward(lanes([](u64 a, u32 b, u64 c) { return (a << (b & 7)) + c; }), 1));
}

void add_sums(InstructionTable& table)
{
    table.add("v_add_u32", upward(lanes([](u32 a, u32 b) { return a + b; })));
    table.add("v_sub_u32", upward(lanes([](u32 a, u32 b) { return a - b; })));
    table.add("v_subrev_u32", upward(lanes([](u32 a, u32 b) { return b - a; })));
    table.add("v_add_i32", upward(lanes([](u32 a, u32 b) { return a + b; })));
    table.add("v_sub_i32", upward(lanes([](u32 a, u32 b) { return a - b; })));
    table.add("v_add_i32 clamp", lanes([](i32 a, i32 b) { return saturated<i32>(i64{a} + b); }));
    table.add("v_sub_i32 clamp", lanes([](i32 a, i32 b) { return saturated<i32>(i64{a} - b); }));
    table.add("v_add_u32 clamp", lanes([](u32 a, u32 b) { return saturated<u32>(i64{a} + b); }));
    table.add("v_sub_u32 clamp", lanes([](u32 a, u32 b) { return saturated<u32>(i64{a} - b); }));
    table.add("v_subrev_u32 clamp", lanes([](u32 a, u32 b) { return saturated<u32>(i64{b} - a); }));
    table.add("v_add3_u32", upward(lanes([](u32 a, u32 b, u32 c) { return a + b + c; })));
    table.add("v_add_co_u32", upward(lanes([](u32 a, u32 b) { return add(a, b, false); })));
    table.add("v_addc_co_u32", upward(lanes([](u32 a, u32 b, bool c) { return add(a, b, c); })));
    table.add("v_sub_co_u32", upward(lanes([](u32 a, u32 b) { return subtract(a, b, false); })));
    table.add("v_subrev_co_u32", upward(lanes([](u32 a, u32 b) { return subtract(b, a, false); })));
    table.add("v_subb_co_u32", upward(lanes([](u32 a, u32 b, bool c) { return subtract(a, b, c); })));
    table.add("v_subbrev_co_u32", upward(lanes([](u32 a, u32 b, bool c) { return subtract(b, a, c); })));
    table.add("v_add_u16", upward(lanes([](u16 a, u16 b) { return static_cast<u16>(a + b); })));
    table.add("v_sub_u16", upward(lanes([](u16 a, u16 b) { return static_cast<u16>(a - b); })));
    table.add("v_subrev_u16", upward(lanes([](u16 a, u16 b) { return static_cast<u16>(b - a); })));
    table.add("v_add_i16", preserving_high_half(lanes([](u16 a, u16 b) { return static_cast<u16>(a + b); })));
    table.add("v_sub_i16", preserving_high_half(lanes([](u16 a, u16 b) { return static_cast<u16>(a - b); })));
    table.add("v_sad_u8", lanes([](u32 a, u32 b, u32 c) { return sum_of_differences(a, b, c); }));
    table.add("v_sad_u32", lanes([](u32 a, u32 b, u32 c) { return (a > b ? a - b : b - a) + c; }));
}

void add_products(InstructionTable& table)
{
    table.add("v_mul_lo_u32", upward(lanes([](u32 a, u32 b) { return a * b; })));
    table.add("v_mul_hi_u32", lanes([](u32 a, u32 b) { return static_cast<u32>(u64{a} * b >> 32); }));
    table.add("v_mul_hi_i32", lanes([](i32 a, i32 b) { return static_cast<i32>(i64{a} * b >> 32); }));
    table.add("v_mul_u32_u24", upward(lanes([](u32 a, u32 b) { return unsigned_24(a) * unsigned_24(b); })));
    table.add("v_mul_i32_i24",
              upward(lanes([](u32 a, u32 b) { return static_cast<u32>(i64{signed_24(a)} * signed_24(b)); })));
    table.add("v_mul_hi_u32_u24",
              lanes([](u32 a, u32 b) { return static_cast<u32>(u64{unsigned_24(a)} * unsigned_24(b) >> 32); }));
    table.add("v_mul_hi_i32_i24",
              lanes([](u32 a, u32 b) { return static_cast<u32>(i64{signed_24(a)} * signed_24(b) >> 32); }));
    table.add("v_mad_u32_u24", upward(lanes([](u32 a, u32 b, u32 c) { return unsigned_24(a) * unsigned_24(b) + c; })));
    table.add("v_mad_i32_i24", upward(lanes([](u32 a, u32 b, u32 c) {
                  return static_cast<u32>(i64{signed_24(a)} * signed_24(b)) + c;
              })));
    table.add("v_mul_lo_u16", upward(lanes([](u16 a, u16 b) { return static_cast<u16>(u32{a} * b); })));
    table.add("v_mad_u16",
              preserving_high_half(lanes([](u16 a, u16 b, u16 c) { return static_cast<u16>(u32{a} * b + c); })));
    table.add("v_mad_i16",
              preserving_high_half(lanes([](i16 a, i16 b, i16 c) { return static_cast<i16>(i32{a} * b + c); })));
    // The older encodings clear the high half.
    table.add("v_mad_legacy_u16", lanes([](u16 a, u16 b, u16 c) { return static_cast<u16>(u32{a} * b + c); }));
    table.add("v_mad_legacy_i16", lanes([](i16 a, i16 b, i16 c) { return static_cast<i16>(i32{a} * b + c); }));
    table.add("v_mad_u32_u16", lanes([](u16 a, u16 b, u32 c) { return u32{a} * b + c; }));
    table.add("v_mad_i32_i16", lanes([](i16 a, i16 b, u32 c) { return static_cast<u32>(i32{a} * b) + c; }));
    table.add("v_mad_u64_u32", upward(lanes([](u32 a, u32 b, u64 c) {
                  const u64 product = u64{a} * b;
                  return WithMask<u64>{product + c, product + c < c};
              })));
    table.add("v_mad_i64_i32", upward(lanes([](i32 a, i32 b, i64 c) {
                  i64 sum = 0;
                  const bool overflow = __builtin_add_overflow(i64{a} * b, c, &sum);
                  return WithMask<i64>{sum, overflow};
              })));
}

void add_choices(InstructionTable& table)
{
    table.add("v_min_i32", lanes([](i32 a, i32 b) { return std::min(a, b); }));
    table.add("v_max_i32", lanes([](i32 a, i32 b) { return std::max(a, b); }));
    table.add("v_min_u32", lanes([](u32 a, u32 b) { return std::min(a, b); }));
    table.add("v_max_u32", lanes([](u32 a, u32 b) { return std::max(a, b); }));
    table.add("v_min_i16", lanes([](i16 a, i16 b) { return std::min(a, b); }));
    table.add("v_max_i16", lanes([](i16 a, i16 b) { return std::max(a, b); }));
    table.add("v_min_u16", lanes([](u16 a, u16 b) { return std::min(a, b); }));
    table.add("v_max_u16", lanes([](u16 a, u16 b) { return std::max(a, b); }));
    table.add("v_min3_i32", lanes([](i32 a, i32 b, i32 c) { return std::min(std::min(a, b), c); }));
    table.add("v_max3_i32", lanes([](i32 a, i32 b, i32 c) { return std::max(std::max(a, b), c); }));
    table.add("v_med3_i32", lanes([](i32 a, i32 b, i32 c) { return median(a, b, c); }));
    table.add("v_min3_u32", lanes([](u32 a, u32 b, u32 c) { return std::min(std::min(a, b), c); }));
    table.add("v_max3_u32", lanes([](u32 a, u32 b, u32 c) { return std::max(std::max(a, b), c); }));
    table.add("v_med3_u32", lanes([](u32 a, u32 b, u32 c) { return median(a, b, c); }));
}

void add_counts(InstructionTable& table)
{
    table.add("v_bcnt_u32_b32", lanes([](u32 a, u32 b) { return static_cast<u32>(__builtin_popcount(a)) + b; }));
    table.add("v_ffbh_u32", lanes([](u32 a) { return a == 0 ? ~u32{0} : static_cast<u32>(__builtin_clz(a)); }));
    table.add("v_ffbl_b32", lanes([](u32 a) { return a == 0 ? ~u32{0} : static_cast<u32>(__builtin_ctz(a)); }));
    table.add("v_ffbh_i32", lanes([](u32 a) {
                  const u32 differs = (a >> 31) != 0 ? ~a : a;
                  return differs == 0 ? ~u32{0} : static_cast<u32>(__builtin_clz(differs));
              }));
    table.add("v_mbcnt_lo_u32_b32", lanes([](u32 a, u32 b, LaneIndex index) {
                  const u32 below = index.lane >= 32 ? ~u32{0} : (u32{1} << index.lane) - 1;
                  return static_cast<u32>(__builtin_popcount(a & below)) + b;
              }));
    table.add("v_mbcnt_hi_u32_b32", lanes([](u32 a, u32 b, LaneIndex index) {
                  const u32 below = index.lane < 32 ? 0 : (u32{1} << (index.lane - 32)) - 1;
                  return static_cast<u32>(__builtin_popcount(a & below)) + b;
              }));
}

} // namespace

void add_vector_integer(InstructionTable& table)
{
    add_logic(table);
    add_shifts(table);
    add_sums(table);
    add_products(table);
    add_choices(table);
    add_counts(table);
}

} // namespace amd_emulator
