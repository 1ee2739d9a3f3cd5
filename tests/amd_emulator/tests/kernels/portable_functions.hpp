// Functions of two numbers that are compiled for the device and for the host: the host says what the device must give.
// They are written to make compilers use division sequences, 64-bit arithmetic, branches, loops, private arrays and
// conversions.
#pragma once

#ifdef __HIP__
#define PORTABLE static __attribute__((device)) inline
#else
#define PORTABLE static inline
#endif

namespace portable {

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

PORTABLE float as_float(u32 bits) { return __builtin_bit_cast(float, bits); }
PORTABLE u32 as_bits(float value) { return value != value ? 0x7fc00000u : __builtin_bit_cast(u32, value); }
PORTABLE u32 fold(u64 value) { return static_cast<u32>(value ^ (value >> 32)); }
/// A float of ordinary size from any bits.
PORTABLE float ordinary(u32 bits) { return as_float((bits & 0x87ffffffu) | 0x38000000u); }

PORTABLE u32 signed_quotient(u32 a, u32 b)
{
    return static_cast<u32>(static_cast<int>(a) / static_cast<int>((b >> 3) | 1));
}
PORTABLE u32 unsigned_remainder(u32 a, u32 b) { return a % (b | 1); }
PORTABLE u32 wide_quotient(u32 a, u32 b) { return fold(((u64{a} << 32) | (b * 77)) / ((u64{b} << 5) | 3)); }
PORTABLE u32 wide_remainder(u32 a, u32 b)
{
    const i64 numerator = static_cast<i64>((u64{a} << 32) | b) >> 3;
    return fold(static_cast<u64>(numerator % static_cast<i64>((b & 0xffffff) | 1)));
}
PORTABLE u32 wide_product(u32 a, u32 b)
{
    const i64 x = static_cast<int>(a), y = static_cast<int>(b);
    return fold(static_cast<u64>(x) * static_cast<u64>(y) * 0x123456789abcdefu + static_cast<u64>(x < y ? x : -y));
}
PORTABLE u32 float_quotient(u32 a, u32 b) { return as_bits(ordinary(a) / ordinary(b)); }
PORTABLE u32 any_float_quotient(u32 a, u32 b) { return as_bits(as_float(a) / as_float(b)); }
PORTABLE u32 float_root(u32 a, u32 b) { return as_bits(__builtin_sqrtf(as_float((a ^ b) & 0x7fffffffu))); }
PORTABLE u32 double_quotient(u32 a, u32 b)
{
    return fold(__builtin_bit_cast(u64, static_cast<double>(static_cast<int>(a)) / (static_cast<double>(b) + 0.25)));
}
PORTABLE u32 conversions(u32 a, u32 b)
{
    const float x = static_cast<float>(static_cast<int>(a)) * 1e-3f;
    const auto y = static_cast<double>(b) * 0.5;
    return static_cast<u32>(static_cast<int>(x)) ^ static_cast<u32>(y) ^ as_bits(static_cast<float>(y)) ^
           as_bits(static_cast<float>(static_cast<u64>(a) * b));
}
PORTABLE u32 roundings(u32 a, u32 b)
{
    const float x = ordinary(a) * 8;
    return as_bits(__builtin_floorf(x) + __builtin_ceilf(ordinary(b)) * 3 + __builtin_truncf(x) * 5 +
                   __builtin_rintf(x) * 7);
}
PORTABLE u32 bit_tricks(u32 a, u32 b)
{
    const u32 rotated = a << (b & 31) | a >> ((32 - (b & 31)) & 31);
    return rotated + static_cast<u32>(__builtin_popcount(a)) * 3 + static_cast<u32>(__builtin_clz(b | 1)) * 5 +
           static_cast<u32>(__builtin_ctzll((u64{b} << 32) | 0x80000000u)) * 7 + __builtin_bswap32(a ^ b);
}
PORTABLE u32 bytes_and_shorts(u32 a, u32 b)
{
    const auto x = static_cast<signed char>(a >> 8);
    const auto y = static_cast<unsigned char>(b >> 16);
    const auto z = static_cast<short>(a >> 3), w = static_cast<short>(b);
    const auto product = static_cast<short>(z * w), shifted = static_cast<short>(z >> (b & 7));
    return static_cast<u32>(x * y + product - shifted + (z < w ? z : w));
}
PORTABLE u32 private_array(u32 a, u32 b)
{
    u32 numbers[32];
    for (u32 i = 0; i < 32; ++i) {
        numbers[(i * 7 + a) & 31] = i * b;
    }
    u32 sum = 0;
    for (u32 i = 0; i < 32; ++i) {
        sum = sum * 3 + numbers[(i + (a >> 5)) & 31];
    }
    return sum;
}
/// Functions that are called, each with its own part of the stack, one of which writes to its caller's.
[[gnu::noinline]] PORTABLE u32 callee(u32 a, u32 b, u32* out)
{
    volatile u32 numbers[8];
    for (u32 i = 0; i < 8; ++i) {
        numbers[i] = a * i + b;
    }
    u32 sum = 0;
    for (u32 i = 0; i < 8; ++i) {
        sum += numbers[(i + b) & 7] * (i + 1);
    }
    *out = sum;
    return sum + numbers[a & 7];
}
[[gnu::noinline]] PORTABLE u32 caller(u32 a, u32 b, u32* out)
{
    u32 numbers[4] = {a, b, 5, 7};
    numbers[b & 3] = callee(a, b, &numbers[(a + 1) & 3]);
    numbers[a & 3] ^= callee(b, a, &numbers[b >> 2 & 3]);
    *out ^= numbers[b >> 4 & 3];
    return numbers[0] + numbers[1] * 3 + numbers[2] * 5 + numbers[3] * 7;
}
[[gnu::noinline]] PORTABLE u32 caller_of_callers(u32 a, u32 b)
{
    u32 numbers[4] = {1, 2, 3, 4};
    numbers[a & 3] += caller(a, b, &numbers[b & 3]);
    return caller(b, numbers[b & 3], &numbers[a >> 2 & 3]) + numbers[a >> 5 & 3];
}
PORTABLE u32 called_functions(u32 a, u32 b) { return caller_of_callers(a, b) + caller_of_callers(b, a); }
PORTABLE u32 loops_and_branches(u32 a, u32 b)
{
    u32 sum = 0;
    for (u32 i = 0; i < (a & 31); ++i) {
        if (((b >> i) & 1) != 0) {
            continue;
        }
        sum += i * b;
        if (sum > 0xf0000000u) {
            break;
        }
        switch (sum & 3) {
        case 0:
            sum ^= a;
            break;
        case 1:
            sum += 11;
            break;
        default:
            sum -= b >> 4;
        }
    }
    return sum;
}

} // namespace portable

#define PORTABLE_FUNCTIONS(use)                                                                                        \
    use(signed_quotient) use(unsigned_remainder) use(wide_quotient) use(wide_remainder) use(wide_product)              \
        use(float_quotient) use(any_float_quotient) use(float_root) use(double_quotient) use(conversions)              \
            use(roundings) use(bit_tricks) use(bytes_and_shorts) use(private_array) use(called_functions)              \
                use(loops_and_branches)
