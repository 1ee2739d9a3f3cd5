// What atomics compute, and the names they have in global and in LDS instructions.
#include "float_formats.hpp"
#include "lane_memory.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace amd_emulator {
namespace {

template <class T>
T as(uint64_t bits)
{
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
template <class T>
uint64_t from(T value)
{
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}
template <class T>
uint64_t add(uint64_t a, uint64_t b, uint64_t)
{
    return from<T>(static_cast<T>(as<T>(a) + as<T>(b)));
}
template <class T>
uint64_t subtract(uint64_t a, uint64_t b, uint64_t)
{
    return from<T>(static_cast<T>(as<T>(a) - as<T>(b)));
}
template <class T>
uint64_t minimum(uint64_t a, uint64_t b, uint64_t)
{
    return from<T>(std::min(as<T>(a), as<T>(b)));
}
template <class T>
uint64_t maximum(uint64_t a, uint64_t b, uint64_t)
{
    return from<T>(std::max(as<T>(a), as<T>(b)));
}
template <class T>
uint64_t float_minimum(uint64_t a, uint64_t b, uint64_t)
{
    return from<T>(std::fmin(as<T>(a), as<T>(b)));
}
template <class T>
uint64_t float_maximum(uint64_t a, uint64_t b, uint64_t)
{
    return from<T>(std::fmax(as<T>(a), as<T>(b)));
}
uint64_t bit_and(uint64_t a, uint64_t b, uint64_t) { return a & b; }
uint64_t bit_or(uint64_t a, uint64_t b, uint64_t) { return a | b; }
uint64_t bit_xor(uint64_t a, uint64_t b, uint64_t) { return a ^ b; }
uint64_t exchange(uint64_t, uint64_t b, uint64_t) { return b; }
uint64_t compare_exchange(uint64_t a, uint64_t b, uint64_t expected) { return a == expected ? b : a; }
template <class T>
uint64_t increment(uint64_t a, uint64_t b, uint64_t)
{
    return as<T>(a) >= as<T>(b) ? 0 : a + 1;
}
template <class T>
uint64_t decrement(uint64_t a, uint64_t b, uint64_t)
{
    return as<T>(a) == 0 || as<T>(a) > as<T>(b) ? b : a - 1;
}
uint64_t add_halves(uint64_t a, uint64_t b, uint64_t)
{
    uint64_t result = 0;
    for (int shift = 0; shift < 32; shift += 16) {
        const float sum =
            to_float(Half{static_cast<uint16_t>(a >> shift)}) + to_float(Half{static_cast<uint16_t>(b >> shift)});
        result |= uint64_t{half_nearest(sum).bits} << shift;
    }
    return result;
}
uint64_t add_bfloat16s(uint64_t a, uint64_t b, uint64_t)
{
    uint64_t result = 0;
    for (int shift = 0; shift < 32; shift += 16) {
        const float sum = to_float(BFloat16{static_cast<uint16_t>(a >> shift)}) +
                          to_float(BFloat16{static_cast<uint16_t>(b >> shift)});
        result |= uint64_t{bfloat16_nearest(sum).bits} << shift;
    }
    return result;
}

using u32 = uint32_t;
using u64 = uint64_t;
using i32 = int32_t;
using i64 = int64_t;

const NamedAtomic kAtomics[] = {
    {"add", "add_u32", 4, false, add<u32>},
    {"add_x2", "add_u64", 8, false, add<u64>},
    {"sub", "sub_u32", 4, false, subtract<u32>},
    {"sub_x2", "sub_u64", 8, false, subtract<u64>},
    {"smin", "min_i32", 4, false, minimum<i32>},
    {"smin_x2", "min_i64", 8, false, minimum<i64>},
    {"umin", "min_u32", 4, false, minimum<u32>},
    {"umin_x2", "min_u64", 8, false, minimum<u64>},
    {"smax", "max_i32", 4, false, maximum<i32>},
    {"smax_x2", "max_i64", 8, false, maximum<i64>},
    {"umax", "max_u32", 4, false, maximum<u32>},
    {"umax_x2", "max_u64", 8, false, maximum<u64>},
    {"and", "and_b32", 4, false, bit_and},
    {"and_x2", "and_b64", 8, false, bit_and},
    {"or", "or_b32", 4, false, bit_or},
    {"or_x2", "or_b64", 8, false, bit_or},
    {"xor", "xor_b32", 4, false, bit_xor},
    {"xor_x2", "xor_b64", 8, false, bit_xor},
    {"inc", "inc_u32", 4, false, increment<u32>},
    {"inc_x2", "inc_u64", 8, false, increment<u64>},
    {"dec", "dec_u32", 4, false, decrement<u32>},
    {"dec_x2", "dec_u64", 8, false, decrement<u64>},
    {"swap", "wrxchg_b32", 4, false, exchange},
    {"swap_x2", "wrxchg_b64", 8, false, exchange},
    {"cmpswap", "cmpst_b32", 4, true, compare_exchange},
    {"cmpswap_x2", "cmpst_b64", 8, true, compare_exchange},
    {"add_f32", "add_f32", 4, false, add<float>},
    {"add_f64", "add_f64", 8, false, add<double>},
    {"min_f64", "min_f64", 8, false, float_minimum<double>},
    {"max_f64", "max_f64", 8, false, float_maximum<double>},
    {"pk_add_f16", "pk_add_f16", 4, false, add_halves},
    {"pk_add_bf16", "pk_add_bf16", 4, false, add_bfloat16s},
};

} // namespace

const NamedAtomic* begin_atomics() { return std::begin(kAtomics); }
const NamedAtomic* end_atomics() { return std::end(kAtomics); }

} // namespace amd_emulator
