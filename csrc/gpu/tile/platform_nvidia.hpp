#pragma once

// NVIDIA GPUs from sm_80 on. What nvcc and NVRTC have built in, and PTX for the rest: no header of CUDA's is needed.

#include "gpu/kernel/fwd_launch.hpp"
#include "gpu/tile/load_uniform.hpp"

namespace ck_fmha::gpu {

inline constexpr index_t kWaveSize = 32;
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr index_t kProductLanes = kWarpgroupSize;
#else
inline constexpr index_t kProductLanes = kWaveSize;
#endif
inline constexpr unsigned kAllLanes = 0xffffffffu;

// 16-bit elements: names for their storage. Arithmetic on them is the matrix atoms' and conversions'.
enum class f16 : unsigned short {};
enum class bf16 : unsigned short {};

// A few numbers, moved between registers and memory at once.
template <class T, index_t kCount>
struct alignas(kCount * sizeof(T)) Vector {
    T element[kCount];

    CK_FMHA_DEVICE T operator[](index_t n) const { return element[n]; }
    CK_FMHA_DEVICE T& operator[](index_t n) { return element[n]; }
    CK_FMHA_DEVICE Vector& operator*=(T factor)
    {
        unroll<kCount>([&](auto n) { element[n] *= factor; });
        return *this;
    }
    CK_FMHA_DEVICE Vector& operator+=(const Vector& other)
    {
        unroll<kCount>([&](auto n) { element[n] += other[n]; });
        return *this;
    }
    CK_FMHA_DEVICE friend Vector operator*(Vector x, T factor) { return x *= factor; }
};
using Dword2 = Vector<unsigned, 2>;
using Dword4 = Vector<unsigned, 4>;
using Float2 = Vector<float, 2>;
using Float4 = Vector<float, 4>;
using Float8 = Vector<float, 8>;

// Read from its special register whenever it is asked for: else what comes from it takes registers of the whole loop.
CK_FMHA_DEVICE index_t thread_index()
{
    index_t index;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(index));
    __builtin_assume(index >= 0);
    return index;
}
CK_FMHA_DEVICE index_t lane_index() { return thread_index() % kWaveSize; }
CK_FMHA_DEVICE index_t lane_index_anew() { return lane_index(); }
CK_FMHA_DEVICE index_t block_index() { return static_cast<index_t>(blockIdx.x); }
// How many work-groups the launch has.
inline constexpr bool kKnowsNumGroups = true;
CK_FMHA_DEVICE index_t num_groups() { return static_cast<index_t>(gridDim.x); }

// A value that is the same for all lanes, moved to where the compiler knows that it is. All lanes must be here.
CK_FMHA_DEVICE index_t uniform(index_t value)
{
    return static_cast<index_t>(__reduce_or_sync(kAllLanes, static_cast<unsigned>(value)));
}
// They are loads like others, and to be begun a tile earlier than they are needed.
inline constexpr bool kUniformLoadsAreSlow = true;
// The same for what came from memory by a uniform address: AMD's compiler knows that it is uniform.
CK_FMHA_DEVICE unsigned uniform_from_memory(unsigned value)
{
    return static_cast<unsigned>(uniform(static_cast<index_t>(value)));
}
template <index_t kThreadsPerWave>
CK_FMHA_DEVICE index_t wave_index()
{
    return uniform(thread_index() / kThreadsPerWave);
}

// The same address, but what is read from it is read here: not earlier, to be kept in registers ever after.
CK_FMHA_DEVICE const char* read_anew(const char* address)
{
    asm volatile("" : "+l"(address));
    return address;
}

// Here every register is one of every lane.
CK_FMHA_DEVICE const char* read_anew_by_lane(const char* address) { return read_anew(address); }

// The same for a number: what is computed from it is computed here.
template <class Dword>
CK_FMHA_DEVICE Dword anew(Dword value)
{
    return value;
}

template <class Dword>
CK_FMHA_DEVICE Dword of_lane_anew(Dword value)
{
    return value;
}

// The kernel's arguments: they lie in constant memory, and instructions take them from there.
template <class Args>
CK_FMHA_DEVICE const Args& read_arguments_anew(const Args& args)
{
    return args;
}

// Loads stay on their side of this: else the compiler moves them up until registers run out. All lanes must be here.
CK_FMHA_DEVICE void no_load_crosses() { __syncwarp(); }

// Bit l of the result: the condition in lane l.
CK_FMHA_DEVICE bits_t ballot(bool condition) { return __ballot_sync(kAllLanes, condition); }
CK_FMHA_DEVICE bool any_lane(bool condition) { return __any_sync(kAllLanes, condition) != 0; }

// The number of the lowest bit that is set; how many are.
CK_FMHA_DEVICE index_t lowest_bit(bits_t bits) { return __ffsll(static_cast<long long>(bits)) - 1; }
CK_FMHA_DEVICE index_t count_bits(bits_t bits) { return __popcll(bits); }

// The value of lane (lane xor kOther), and that of a lane by its number.
template <index_t kOther, class T>
CK_FMHA_DEVICE T from_neighbour(T value)
{
    return __shfl_xor_sync(kAllLanes, value, kOther);
}
template <class T>
CK_FMHA_DEVICE T from_lane(T value, index_t lane)
{
    return __shfl_sync(kAllLanes, value, lane);
}
// The value of lane (lane xor flip), of the kGroup neighbouring lanes that are here together.
template <index_t kGroup>
CK_FMHA_DEVICE float other_lane(float value, index_t flip)
{
    const unsigned group = kAllLanes >> (kWaveSize - kGroup) << lane_index() / kGroup * kGroup;
    return __shfl_xor_sync(group, value, flip);
}

CK_FMHA_DEVICE float larger(float a, float b) { return fmaxf(a, b); }
CK_FMHA_DEVICE float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
CK_FMHA_DEVICE float exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
CK_FMHA_DEVICE float log2(float x)
{
    float y;
    asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

CK_FMHA_DEVICE float magnitude(float x) { return fabsf(x); }
CK_FMHA_DEVICE float with_sign_of(float x, float sign) { return copysignf(x, sign); }
CK_FMHA_DEVICE float reciprocal(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// What no kernel writes, asked for here and not where it is needed.
CK_FMHA_DEVICE Float2 load_now(const Float2* at)
{
    Float2 x;
    asm volatile("ld.global.nc.v2.f32 {%0, %1}, [%2];" : "=f"(x[0]), "=f"(x[1]) : "l"(at));
    return x;
}
// Four sums in a row in global memory; each number is added at once, the four are not.
CK_FMHA_DEVICE void atomic_add(float* to, const Float4& x)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(x[0]), "f"(x[1]), "f"(x[2]),
                 "f"(x[3])
                 : "memory");
#else
    unroll<4>([&](auto n) {
        asm volatile("red.relaxed.gpu.global.add.f32 [%0], %1;" ::"l"(to + n), "f"(x[n]) : "memory");
    });
#endif
}

// All warps of the work-group are here, and what they wrote to shared memory is seen.
CK_FMHA_DEVICE void barrier() { __syncthreads(); }

// The work-group's shared memory, which the launch gives. It begins with what warps keep there: Seldom.
// Panels of a warpgroup's operands repeat their pattern in 1024 bytes, counted from address 0.
extern __shared__ __align__(1024) char ck_fmha_shared[];
inline constexpr index_t kSeldomSlots = 4;
static_assert(kSharedBytesBeforeTiles == kSeldomSlots * kMostWarps * kSeldomBytes &&
                  kSharedBytesBeforeTiles % 1024 == 0,
              "ck_fmha: tiles begin, at a multiple of 1024 bytes, behind what warps keep");

// Shared memory, by byte offsets.
class SharedMemory {
public:
    // What lies behind that, kBytes in all.
    template <index_t kBytes>
    CK_FMHA_DEVICE static SharedMemory allocate()
    {
        return SharedMemory(static_cast<unsigned>(__cvta_generic_to_shared(ck_fmha_shared))) + kSharedBytesBeforeTiles;
    }
    CK_FMHA_DEVICE SharedMemory operator+(index_t bytes) const
    {
        return SharedMemory(address_ + static_cast<unsigned>(bytes));
    }
    CK_FMHA_DEVICE unsigned address() const { return address_; }

private:
    CK_FMHA_DEVICE explicit SharedMemory(unsigned address) : address_(address) {}
    unsigned address_;
};

// 16-bit elements and their bits.
template <class T>
inline constexpr bool kIsBf16 = false;
template <>
inline constexpr bool kIsBf16<bf16> = true;
template <class T>
CK_FMHA_DEVICE float to_float(unsigned short bits)
{
    if constexpr (kIsBf16<T>) return __int_as_float(static_cast<int>(bits) << 16);
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}
template <class T>
CK_FMHA_DEVICE unsigned short round_to(float value)
{
    unsigned short bits;
    if constexpr (kIsBf16<T>)
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    else
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

// As on AMD: memory behind a uniform address, of which offsets may be outside.
class Buffer {
public:
    static constexpr index_t kOutside = static_cast<index_t>(0x80000000u); // so are all negative offsets

    CK_FMHA_DEVICE Buffer(char* base, index_t) : base_(base) {}
    template <class Bits>
    CK_FMHA_DEVICE Bits load_one(Bits none, index_t offset, index_t more) const
    {
        return offset < 0 ? none : *at<Bits>(offset, more);
    }
    template <class Bits>
    CK_FMHA_DEVICE void store_one(Bits bits, index_t offset, index_t more) const
    {
        if (offset >= 0) *at<Bits>(offset, more) = bits;
    }
    CK_FMHA_DEVICE void add_one(float value, index_t offset, index_t more) const
    {
        if (offset >= 0) atomicAdd(at<float>(offset, more), value);
    }

private:
    template <class Bits>
    CK_FMHA_DEVICE Bits* at(index_t offset, index_t more) const
    {
        return reinterpret_cast<Bits*>(base_ + (offset + more));
    }
    char* base_;
};

// Numbers of a whole warp that are needed seldom, one owner a slot: here they would take a register of every lane, so
// they wait in shared memory.
template <index_t kSlot, class Plain, bool kScarce = false>
class Seldom {
    static_assert(kSlot < kSeldomSlots && sizeof(Plain) <= kSeldomBytes, "ck_fmha: more or larger slots are needed");

public:
    CK_FMHA_DEVICE explicit Seldom(const Plain& value) { set(value); }
    CK_FMHA_DEVICE void set(const Plain& value) const
    {
        Plain& slot = of_warp();
        __syncwarp();
        if (lane_index() == 0) slot = value;
        __syncwarp();
    }
    CK_FMHA_DEVICE Plain get() const { return of_warp(); }
    // change(value): assigns to members of it.
    template <class F>
    CK_FMHA_DEVICE void update(const F& change) const
    {
        Plain value = get();
        change(value);
        set(value);
    }

private:
    CK_FMHA_DEVICE static Plain& of_warp()
    {
        const index_t warp = uniform(thread_index() / kWaveSize);
        return *reinterpret_cast<Plain*>(ck_fmha_shared + (kSlot * kMostWarps + warp) * kSeldomBytes);
    }
};

} // namespace ck_fmha::gpu
