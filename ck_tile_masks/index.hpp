#pragma once

// Index types, saturating index arithmetic and the annotations that let one source be host C++, HIP and CUDA.
// Nothing here (or in any other header of this folder) needs a standard library: hiprtc and NVRTC have none.

#if defined(__HIP__) || defined(__CUDACC__) || defined(__CUDACC_RTC__)
#if defined(__AMDGCN__)
// Without calls: these need a stack, in memory.
#define CK_TILE_MASKS_INLINE __attribute__((always_inline))
#define CK_TILE_MASKS_HD __attribute__((host)) __attribute__((device)) CK_TILE_MASKS_INLINE
#elif defined(__clang__)
#define CK_TILE_MASKS_HD __attribute__((host)) __attribute__((device))
#else
#define CK_TILE_MASKS_HD __host__ __device__
#endif
#else
#define CK_TILE_MASKS_HD
#endif
#if !defined(CK_TILE_MASKS_INLINE)
#define CK_TILE_MASKS_INLINE // of lambdas
#endif

namespace ck_tile_masks {

using index_t = int;               // element, block and tile indices: seqlen up to 2^31 - 1
using long_index_t = long long;    // intermediate sums and totals
using bits_t = unsigned long long; // up to 64 elements of one row, bit n = element j0 + n

static_assert(sizeof(index_t) == 4 && sizeof(long_index_t) == 8 && sizeof(bits_t) == 8,
              "ck_tile_masks: int must have 32 bits and long long 64 on this target");

// "No such index". Greater than every valid index, because a sequence has at most 2^31 - 1 elements.
inline constexpr index_t kNone = 0x7fffffff;
inline constexpr index_t kIndexMin = -0x7fffffff - 1;
inline constexpr index_t kIndexMax = 0x7fffffff;

CK_TILE_MASKS_HD constexpr index_t min(index_t a, index_t b) { return b < a ? b : a; }
CK_TILE_MASKS_HD constexpr index_t max(index_t a, index_t b) { return a < b ? b : a; }

// Windows and lengths near 2^31 must not wrap: sums are formed in 64 bits and clamped to index_t.
CK_TILE_MASKS_HD constexpr index_t saturate(long_index_t a)
{
    return a > kIndexMax ? kIndexMax : a < kIndexMin ? kIndexMin : static_cast<index_t>(a);
}
CK_TILE_MASKS_HD constexpr index_t sat_add(index_t a, index_t b) { return saturate(static_cast<long_index_t>(a) + b); }
CK_TILE_MASKS_HD constexpr index_t sat_sub(index_t a, index_t b) { return saturate(static_cast<long_index_t>(a) - b); }
CK_TILE_MASKS_HD constexpr index_t sat_mul(index_t a, index_t b) { return saturate(static_cast<long_index_t>(a) * b); }

// @post div_up(a, b) == ceil(a / b) for a >= 0, b >= 1, without forming a + b - 1
CK_TILE_MASKS_HD constexpr index_t div_up(index_t a, index_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// @post 0 <= floor_mod(a, m) < m and floor_mod(a, m) == a (mod m) for m >= 1, also for negative a
CK_TILE_MASKS_HD constexpr index_t floor_mod(index_t a, index_t m) { return a % m < 0 ? a % m + m : a % m; }

// @post bit n of low_bits(count) is set iff n < count, for 0 <= count <= 64
CK_TILE_MASKS_HD constexpr bits_t low_bits(index_t count)
{
    return count >= 64 ? ~bits_t{0} : (bits_t{1} << count) - 1;
}

// @post bit n of every_nth_bit(step) is set iff step divides n, for step >= 1
CK_TILE_MASKS_HD constexpr bits_t every_nth_bit(index_t step)
{
    bits_t bits = 1;
    for (index_t distance = step; distance < 64; distance *= 2)
        bits |= bits << distance;
    return bits;
}

} // namespace ck_tile_masks
