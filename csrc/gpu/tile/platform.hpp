#pragma once

// What differs between GPU families below the tiles: lanes, exchange between them, barriers, shared memory, buffers.
// A platform header gives the same names for each. Device code is free-standing; hipcc, hiprtc, nvcc and NVRTC have
// the keywords built in or in headers of their own, a plain clang gets them from here.

#include "ck_tile_masks/index.hpp"

#if defined(__HIP__) && !defined(__HIPCC_RTC__) && !__has_include(<hip/hip_runtime.h>)
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#elif defined(__HIP__) && !defined(__HIPCC_RTC__)
#include <hip/hip_runtime.h>
#endif

#if defined(__clang__)
#define CK_FMHA_DEVICE __device__ inline __attribute__((always_inline))
#else
#define CK_FMHA_DEVICE __device__ __forceinline__
#endif

// A kernel for work-groups of `threads`; `waves` is how many a SIMD (a quarter of a multiprocessor) holds at least,
// which bounds the registers.
#if defined(__HIP__)
#define CK_FMHA_KERNEL(threads, waves)                                                                                 \
    __global__ __attribute__((amdgpu_flat_work_group_size(threads, threads), amdgpu_waves_per_eu(waves)))
#else
#define CK_FMHA_KERNEL(threads, waves) __global__ __launch_bounds__(threads, 4 * 32 * (waves) / (threads))
#endif

namespace ck_fmha::gpu {

using ck_tile_masks::bits_t;
using ck_tile_masks::index_t;
using ck_tile_masks::long_index_t;

inline constexpr float kInfinity = __builtin_bit_cast(float, 0x7f800000); // NVRTC lacks __builtin_inff

template <index_t kValue>
struct Constant {
    static constexpr index_t value = kValue;
    CK_TILE_MASKS_HD constexpr operator index_t() const { return kValue; }
};

// f(Constant<0>), ..., f(Constant<kCount - 1>): a loop whose counter is a constant, so that registers can be indexed by
// it.
template <index_t kCount, index_t kFrom = 0, class F>
CK_FMHA_DEVICE void unroll(const F& f)
{
    if constexpr (kFrom < kCount) {
        f(Constant<kFrom>{});
        unroll<kCount, kFrom + 1>(f);
    }
}

} // namespace ck_fmha::gpu

#if defined(__AMDGCN__) || defined(__HIP__)
#include "gpu/tile/platform_amd.hpp"
#elif defined(__CUDACC__) || defined(__CUDACC_RTC__)
#include "gpu/tile/platform_nvidia.hpp"
#endif
