// Kernels that apply the functions of portable_functions.hpp, and some that only make sense on a device.
#include "mini_hip.hpp"
#include "portable_functions.hpp"

using portable::u32;

#define KERNEL(name)                                                                                                                           \
    extern "C" __global__ void __launch_bounds__(256) name(const u32* a, const u32* b, u32* result)                                             \
    {                                                                                                                                         \
        const u32 i = blockIdx.x * 256 + threadIdx.x;                                                                                          \
        result[i] = portable::name(a[i], b[i]);                                                                                                \
    }
PORTABLE_FUNCTIONS(KERNEL)

// Pointers that may be to LDS or to global memory.
extern "C" __global__ void __launch_bounds__(256) generic_pointers(const u32* a, const u32* b, u32* result)
{
    __shared__ u32 shared[256];
    const u32 thread = threadIdx.x;
    const u32 i = blockIdx.x * 256 + thread;
    shared[thread] = a[i] * 3;
    __syncthreads();
    const u32* from = (b[i] & 1) != 0 ? &shared[255 - thread] : &a[i];
    volatile const u32* hidden = from; // keeps the compiler from loading both
    result[i] = *hidden + 1;
}

// What a kernel can ask about its launch: x of the work-group's and the grid's size.
extern "C" __global__ void __launch_bounds__(256) launch_sizes(const u32*, const u32*, u32* result)
{
    const u32 i = blockIdx.x * 256 + threadIdx.x;
    result[i] = __builtin_amdgcn_workgroup_size_x() * 1000 + __builtin_amdgcn_grid_size_x();
}
