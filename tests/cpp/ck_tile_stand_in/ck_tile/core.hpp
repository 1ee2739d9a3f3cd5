#pragma once

// A stand-in for the CK Tile of ROCm, for tests where ROCm is not installed: the names, template parameters and calls
// that csrc/gpu/ck_tile/ uses, and nothing else of it. What it computes, it computes in the plainest way; only how
// kernels make their mask and what pipelines ask it are those of CK Tile. It compiles for the host, where a
// "work-group" is one thread that does everything, and as HIP.
//
// CK_FMHA_CK_TILE_ROCM says which version it stands for: 602, 603 or 604.

#ifndef CK_FMHA_CK_TILE_ROCM
#define CK_FMHA_CK_TILE_ROCM 603
#endif

#if defined(__HIP__)
#define CK_TILE_HOST_DEVICE inline __attribute__((host)) __attribute__((device))
#define CK_TILE_DEVICE inline __attribute__((device))
#else
#define CK_TILE_HOST_DEVICE inline
#define CK_TILE_DEVICE inline
#endif

namespace ck_tile {

using index_t = int;
using long_index_t = long;
#if defined(__HIP__)
using half_t = _Float16;
#endif
struct bfloat16_t {
    unsigned short bits;
};
using bf16_t = bfloat16_t;

template <class T>
CK_TILE_HOST_DEVICE float to_float(T x)
{
    return static_cast<float>(x);
}
CK_TILE_HOST_DEVICE float to_float(bf16_t x) { return __builtin_bit_cast(float, static_cast<unsigned>(x.bits) << 16); }
template <class T>
struct FromFloat {
    CK_TILE_HOST_DEVICE static T convert(float x) { return static_cast<T>(x); }
};
template <>
struct FromFloat<bf16_t> {
    CK_TILE_HOST_DEVICE static bf16_t convert(float x)
    {
        const auto bits = __builtin_bit_cast(unsigned, x);
        return {static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16)};
    }
};

template <index_t kValue>
struct number {
    static constexpr index_t value = kValue;
    CK_TILE_HOST_DEVICE constexpr operator index_t() const { return kValue; }
};

template <index_t... kValues>
struct sequence {
    template <index_t kIndex>
    static constexpr index_t at(number<kIndex>)
    {
        constexpr index_t values[] = {kValues...};
        return values[kIndex];
    }
};

template <class... T>
struct tuple;
template <class A, class B>
struct tuple<A, B> {
    A a;
    B b;
};
template <class A, class B, class C>
struct tuple<A, B, C> {
    A a;
    B b;
    C c;
};
template <class A, class B, class C, class D>
struct tuple<A, B, C, D> {
    A a;
    B b;
    C c;
    D d;
};
template <class... T>
CK_TILE_HOST_DEVICE constexpr tuple<T...> make_tuple(T... values)
{
    return {values...};
}

CK_TILE_HOST_DEVICE constexpr index_t integer_divide_ceil(index_t a, index_t b) { return (a + b - 1) / b; }

// --- The place in the grid -----------------------------------------------------------------------------------------

#if defined(__HIP__)
CK_TILE_DEVICE index_t block_x() { return static_cast<index_t>(__builtin_amdgcn_workgroup_id_x()); }
CK_TILE_DEVICE index_t block_y() { return static_cast<index_t>(__builtin_amdgcn_workgroup_id_y()); }
CK_TILE_DEVICE index_t block_z() { return static_cast<index_t>(__builtin_amdgcn_workgroup_id_z()); }
CK_TILE_DEVICE index_t thread_x() { return static_cast<index_t>(__builtin_amdgcn_workitem_id_x()); }
CK_TILE_DEVICE constexpr index_t num_threads(index_t block_size) { return block_size; }

CK_TILE_DEVICE float exp2(float x) { return __builtin_amdgcn_exp2f(x); }
CK_TILE_DEVICE float log2(float x) { return __builtin_amdgcn_logf(x); }
CK_TILE_DEVICE void atomic_add(float* to, float x)
{
    __builtin_amdgcn_global_atomic_fadd_f32((__attribute__((address_space(1))) float*)to, x);
}
#else
inline index_t host_block[3] = {0, 0, 0}; // set by the loops that stand for a launch
inline index_t block_x() { return host_block[0]; }
inline index_t block_y() { return host_block[1]; }
inline index_t block_z() { return host_block[2]; }
inline index_t thread_x() { return 0; }
constexpr index_t num_threads(index_t) { return 1; }

inline float exp2(float x) { return __builtin_exp2f(x); }
inline float log2(float x) { return __builtin_log2f(x); }
inline void atomic_add(float* to, float x) { *to += x; }
#endif

inline constexpr float kInfinity = __builtin_inff();
inline constexpr float kLog2E = 1.44269504088896341f;

} // namespace ck_tile
