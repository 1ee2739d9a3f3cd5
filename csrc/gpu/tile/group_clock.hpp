#pragma once

#include "gpu/tile/platform.hpp"

// How long each work-group of a kernel runs, for the benchmark, which compiles it in on NVIDIA GPUs: -DCK_FMHA_CLOCKS.

#if defined(CK_FMHA_CLOCKS)
extern "C" {
__device__ long long ck_fmha_clocks[1 << 16]; // by the number of the work-group; those beyond are left out
}
#endif

namespace ck_fmha::gpu {

// From its making to its end.
class GroupClock {
#if defined(CK_FMHA_CLOCKS)
public:
    CK_FMHA_DEVICE GroupClock() : start_(clock64()) {}
    CK_FMHA_DEVICE ~GroupClock()
    {
        if (thread_index() == 0 && block_index() < static_cast<index_t>(sizeof(ck_fmha_clocks) / sizeof(long long)))
            ck_fmha_clocks[block_index()] = clock64() - start_;
    }
    GroupClock(const GroupClock&) = delete;
    GroupClock& operator=(const GroupClock&) = delete;

private:
    long long start_;
#endif
};

} // namespace ck_fmha::gpu
