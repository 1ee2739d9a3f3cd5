// What the test kernels need of HIP where no ROCm is installed. With hipcc or hiprtc their own header takes its place.
#pragma once

#if defined(__HIPCC_RTC__)
// hiprtc includes its header by itself.
#elif __has_include(<hip/hip_runtime.h>)
#include <hip/hip_runtime.h>
#else

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(size) __attribute__((amdgpu_flat_work_group_size(1, size)))

struct mini_hip_thread_x {
    __device__ operator unsigned() const { return __builtin_amdgcn_workitem_id_x(); }
};
struct mini_hip_block_x {
    __device__ operator unsigned() const { return __builtin_amdgcn_workgroup_id_x(); }
};
struct mini_hip_block_y {
    __device__ operator unsigned() const { return __builtin_amdgcn_workgroup_id_y(); }
};
struct mini_hip_thread {
    mini_hip_thread_x x;
};
struct mini_hip_block {
    mini_hip_block_x x;
    mini_hip_block_y y;
};
#define threadIdx (mini_hip_thread{})
#define blockIdx (mini_hip_block{})

static __device__ __forceinline__ void __syncthreads()
{
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

#endif
