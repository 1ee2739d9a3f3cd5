#pragma once

// AMD GPUs with waves of 64 lanes (CDNA: gfx90a, gfx942).

#include "gpu/tile/load_uniform.hpp"

namespace ck_fmha::gpu {

inline constexpr index_t kWaveSize = 64;
inline constexpr index_t kProductLanes = kWaveSize;

// 16-bit elements.
using f16 = _Float16;
using bf16 = __bf16;

using Dword2 = unsigned __attribute__((ext_vector_type(2)));
using Dword4 = unsigned __attribute__((ext_vector_type(4)));
using Float2 = float __attribute__((ext_vector_type(2)));
using Float4 = float __attribute__((ext_vector_type(4)));
using Float8 = float __attribute__((ext_vector_type(8)));

CK_FMHA_DEVICE index_t thread_index() { return static_cast<index_t>(__builtin_amdgcn_workitem_id_x()); }
CK_FMHA_DEVICE index_t block_index() { return static_cast<index_t>(__builtin_amdgcn_workgroup_id_x()); }
// How many work-groups the launch has is not among the registers that a wave starts with.
inline constexpr bool kKnowsNumGroups = false;
CK_FMHA_DEVICE index_t num_groups() { return 0; }
CK_FMHA_DEVICE index_t lane_index() { return thread_index() % kWaveSize; }

// Computed here and not earlier, so that nothing that comes from it is kept in registers from there to here.
CK_FMHA_DEVICE index_t lane_index_anew()
{
    index_t lane = lane_index();
    asm volatile("" : "+v"(lane));
    return lane;
}

// A value that is the same for all lanes, moved to where the compiler knows that it is.
CK_FMHA_DEVICE index_t uniform(index_t value) { return __builtin_amdgcn_readfirstlane(value); }
// They come through the scalar cache, while the waves of a work-group wait for each other; what is begun earlier takes
// one more scalar register and an instruction that moves it.
inline constexpr bool kUniformLoadsAreSlow = false;
// The same for what came from memory by a uniform address: here the compiler knows that it is uniform.
template <class Plain>
CK_FMHA_DEVICE Plain uniform_from_memory(Plain value)
{
    return value;
}
template <index_t kThreadsPerWave>
CK_FMHA_DEVICE index_t wave_index()
{
    return uniform(thread_index() / kThreadsPerWave);
}

// The same address, but what is read from it is read here: not earlier, to be kept in registers ever after.
CK_FMHA_DEVICE const char* read_anew(const char* address)
{
    asm volatile("" : "+s"(address));
    return address;
}

// The same, and what is read from it takes a register of every lane: of these there are more than scalar ones, where a
// mask is asked whose numbers are many.
CK_FMHA_DEVICE const char* read_anew_by_lane(const char* address)
{
    asm volatile("" : "+v"(address));
    return address;
}

// The same for a number: what is computed from it is computed here.
template <class Dword>
CK_FMHA_DEVICE Dword anew(Dword value)
{
    asm volatile("" : "+s"(value));
    return value;
}

// The same for a number of each lane.
template <class Dword>
CK_FMHA_DEVICE Dword of_lane_anew(Dword value)
{
    asm volatile("" : "+v"(value));
    return value;
}

// The kernel's arguments, read here and not earlier.
template <class Args>
CK_FMHA_DEVICE Args read_arguments_anew(const Args&)
{
    const void* const segment = (const void*)__builtin_amdgcn_kernarg_segment_ptr(); // NOLINT: crosses address spaces
    return load_uniform<Args>(read_anew(static_cast<const char*>(segment)));
}

// Moves a result of products back to accumulation registers here. Until clang 21 the compiler would do so where control
// flow joins, all blocks at once, and would need as many vector registers until then. Later ones let results stay where
// they are, in registers of either kind, and would only move them if they were told to.
template <class Acc>
CK_FMHA_DEVICE void to_accumulators([[maybe_unused]] Acc& acc)
{
#if __clang_major__ < 22
    asm volatile("" : "+a"(acc));
#endif
}

// Instructions stay on their side of this: else the compiler moves up loads until registers run out.
CK_FMHA_DEVICE void no_load_crosses() { __builtin_amdgcn_sched_barrier(0); }

// Bit l of the result: the condition in lane l.
CK_FMHA_DEVICE bits_t ballot(bool condition) { return __builtin_amdgcn_ballot_w64(condition); }
// The other way round: in lane l bit l. Clang has no builtin for it.
__device__ bool in_lanes(bits_t lanes) __asm("llvm.amdgcn.inverse.ballot.i64");
CK_FMHA_DEVICE bool any_lane(bool condition) { return ballot(condition) != 0; }

// The value of one lane, the same one for all.
CK_FMHA_DEVICE index_t value_of_lane(index_t value, index_t lane) { return __builtin_amdgcn_readlane(value, lane); }

// The number of the lowest bit that is set; how many are.
CK_FMHA_DEVICE index_t lowest_bit(bits_t bits) { return __builtin_ctzll(bits); }
CK_FMHA_DEVICE index_t count_bits(bits_t bits) { return __builtin_popcountll(bits); }

// The value of lane (lane xor flip), of the kGroup neighbouring lanes that are here together.
template <index_t kGroup = kWaveSize>
CK_FMHA_DEVICE float other_lane(float value, index_t flip)
{
    const int from = static_cast<int>((lane_index() ^ flip) * 4);
    return __builtin_bit_cast(float, __builtin_amdgcn_ds_bpermute(from, __builtin_bit_cast(int, value)));
}
CK_FMHA_DEVICE float other_half(float value) { return other_lane(value, 32); }

CK_FMHA_DEVICE float magnitude(float x) { return __builtin_fabsf(x); }
CK_FMHA_DEVICE float with_sign_of(float x, float sign) { return __builtin_copysignf(x, sign); }
CK_FMHA_DEVICE float larger(float a, float b) { return __builtin_fmaxf(a, b); }
CK_FMHA_DEVICE float multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
CK_FMHA_DEVICE float exp2(float x) { return __builtin_amdgcn_exp2f(x); }
CK_FMHA_DEVICE float log2(float x) { return __builtin_amdgcn_logf(x); }
CK_FMHA_DEVICE float reciprocal(float x) { return __builtin_amdgcn_rcpf(x); }

// Numbers of a whole wave that are needed seldom, one owner a slot: scalar registers hold them, or, where these are
// scarce, one vector register, a lane for each dword.
template <index_t kSlot, class Plain, bool kScarce = false>
class Seldom {
public:
    CK_FMHA_DEVICE explicit Seldom(const Plain& value) : value_(value) {}
    CK_FMHA_DEVICE const Plain& get() const { return value_; }
    // change(value): assigns to members of it.
    template <class F>
    CK_FMHA_DEVICE void update(const F& change)
    {
        change(value_);
    }

private:
    Plain value_;
};
template <index_t kSlot, class Plain>
class Seldom<kSlot, Plain, true> {
    static constexpr index_t kWords = sizeof(Plain) / 4;
    static_assert(sizeof(Plain) % 4 == 0 && kWords <= kWaveSize, "ck_fmha: lanes hold dwords");
    struct Words {
        int word[kWords];
    };

public:
    CK_FMHA_DEVICE explicit Seldom(const Plain& value)
    {
        const auto words = __builtin_bit_cast(Words, value);
        unroll<kWords>([&](auto n) { of_lane_ = lane_index() == n ? words.word[n] : of_lane_; });
    }
    CK_FMHA_DEVICE Plain get() const { return __builtin_bit_cast(Plain, words()); }
    template <class F>
    CK_FMHA_DEVICE void update(const F& change)
    {
        const Words before = words();
        auto value = __builtin_bit_cast(Plain, before);
        change(value);
        const auto after = __builtin_bit_cast(Words, value);
        unroll<kWords>([&](auto n) {
            const bool is_the_same = after.word[n] == before.word[n];
            if (__builtin_constant_p(is_the_same)) return; // the compiler sees that nobody assigned to it
            const int word = uniform(after.word[n]);
            asm("v_writelane_b32 %0, %1, %2" : "+v"(of_lane_) : "s"(word), "n"(n.value));
        });
    }

private:
    CK_FMHA_DEVICE Words words() const
    {
        Words words;
        unroll<kWords>([&](auto n) { words.word[n] = __builtin_amdgcn_readlane(of_lane_, n); });
        return words;
    }
    int of_lane_ = 0;
};

// 16-bit elements and their bits.
template <class T>
CK_FMHA_DEVICE float to_float(unsigned short bits)
{
    if constexpr (__is_same(T, bf16))
        return __builtin_bit_cast(float, static_cast<unsigned>(bits) << 16);
    else
        return static_cast<float>(__builtin_bit_cast(T, bits));
}
template <class T>
CK_FMHA_DEVICE unsigned short round_to(float value)
{
    if constexpr (__is_same(T, bf16)) {
        const unsigned bits = __builtin_bit_cast(unsigned, value); // ties to even; a NaN stays one
        if (value != value) return static_cast<unsigned short>(bits >> 16 | 1);
        return static_cast<unsigned short>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
    } else {
        return __builtin_bit_cast(unsigned short, static_cast<T>(value));
    }
}

// All waves of the work-group are here, and what they wrote to shared memory is seen. Loads from global memory stay in
// flight.
CK_FMHA_DEVICE void barrier()
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

// Shared memory, by byte offsets: a constant part becomes an immediate of the instruction.
class SharedMemory {
public:
    template <index_t kBytes>
    CK_FMHA_DEVICE static SharedMemory allocate()
    {
        static __shared__ __attribute__((aligned(16))) char bytes[kBytes];
        return SharedMemory((Pointer)bytes);
    }
    CK_FMHA_DEVICE SharedMemory operator+(index_t bytes) const { return SharedMemory(base_ + bytes); }

    template <class T>
    CK_FMHA_DEVICE T load(index_t offset) const
    {
        return *(const __attribute__((address_space(3))) T*)(base_ + offset);
    }
    template <class T>
    CK_FMHA_DEVICE void store(index_t offset, const T& value) const
    {
        *(__attribute__((address_space(3))) T*)(base_ + offset) = value;
    }

private:
    using Pointer = __attribute__((address_space(3))) char*;
    CK_FMHA_DEVICE explicit SharedMemory(Pointer base) : base_(base) {}
    Pointer base_;
};

// Bytes [0, size) behind a uniform address; what lies outside reads as zero and is not touched.
class Buffer {
public:
    static constexpr index_t kOutside =
        static_cast<index_t>(0x80000000u); // an offset that no buffer reaches, nor larger ones

    CK_FMHA_DEVICE Buffer(const void* base, index_t size)
        : resource_(__builtin_amdgcn_make_buffer_rsrc(const_cast<void*>(base), 0, size, kFlags))
    {
    }
    // `offset` in bytes, per lane.
    CK_FMHA_DEVICE unsigned load(Constant<1>, index_t offset) const
    {
        return __builtin_amdgcn_raw_buffer_load_b32(resource_, offset, 0, 0);
    }
    CK_FMHA_DEVICE Dword2 load(Constant<2>, index_t offset) const
    {
        return __builtin_amdgcn_raw_buffer_load_b64(resource_, offset, 0, 0);
    }
    CK_FMHA_DEVICE Dword4 load(Constant<4>, index_t offset) const
    {
        return __builtin_amdgcn_raw_buffer_load_b128(resource_, offset, 0, 0);
    }

    // One element for each lane, as a number of its size, at offset + more; `more` is the same for all lanes and does
    // not count for what lies outside.
    CK_FMHA_DEVICE unsigned char load_one(unsigned char, index_t offset, index_t more) const
    {
        return __builtin_amdgcn_raw_buffer_load_b8(resource_, offset, more, 0);
    }
    CK_FMHA_DEVICE unsigned short load_one(unsigned short, index_t offset, index_t more) const
    {
        return __builtin_amdgcn_raw_buffer_load_b16(resource_, offset, more, 0);
    }
    CK_FMHA_DEVICE unsigned load_one(unsigned, index_t offset, index_t more) const
    {
        return __builtin_amdgcn_raw_buffer_load_b32(resource_, offset, more, 0);
    }
    CK_FMHA_DEVICE void store_one(unsigned short bits, index_t offset, index_t more) const
    {
        __builtin_amdgcn_raw_buffer_store_b16(bits, resource_, offset, more, 0);
    }
    CK_FMHA_DEVICE void store_one(unsigned bits, index_t offset, index_t more) const
    {
        __builtin_amdgcn_raw_buffer_store_b32(bits, resource_, offset, more, 0);
    }
    CK_FMHA_DEVICE void add_one(float value, index_t offset, index_t more) const
    {
        add_to_buffer(value, resource_, offset, more, 0);
    }

    // Adds to a float32; offset + kMore in bytes. What lies outside is left alone.
    template <index_t kMore>
    CK_FMHA_DEVICE void atomic_add(index_t offset, float value) const
    {
        constexpr index_t kImmediates = 4096;
        add_to_buffer(value, resource_, offset + kMore % kImmediates, kMore / kImmediates * kImmediates, 0);
    }

private:
    // Clang has no builtin for it.
    __device__ static float add_to_buffer(float value, __amdgpu_buffer_rsrc_t resource, int offset, int uniform_offset,
                                          int cache_policy) __asm("llvm.amdgcn.raw.ptr.buffer.atomic.fadd.f32");

    static constexpr int kFlags = 0x00027000; // raw dwords
    __amdgpu_buffer_rsrc_t resource_;
};

} // namespace ck_fmha::gpu
