#pragma once

// The kernels of one instance of dQ by rows; its macros are those of fwd_entry.hpp.

#include "gpu/kernel/bwd_dq_kernel.hpp"
#include "gpu/kernel/plan_tiles.hpp"

#ifndef CK_FMHA_EXTRAS
#define CK_FMHA_EXTRAS 0
#endif

namespace ck_fmha::gpu::structure {

using InstanceTraits = BwdDqTraits<CK_FMHA_MASK, CK_FMHA_DTYPE, CK_FMHA_HEAD_DIM, CK_FMHA_WAVES, CK_FMHA_EXTRAS>;
using InstanceKernel = BwdDqKernel<InstanceTraits>;

} // namespace ck_fmha::gpu::structure

extern "C" CK_FMHA_KERNEL(ck_fmha::gpu::structure::InstanceTraits::kThreads,
                          1) void ck_fmha_bwd_dq_plan(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::plan_tiles<ck_fmha::gpu::structure::InstanceKernel,
                             ck_fmha::gpu::structure::InstanceTraits::kThreads>(args);
}

extern "C" CK_FMHA_KERNEL(ck_fmha::gpu::structure::InstanceTraits::kThreads,
                          ck_fmha::gpu::BwdDqPolicy<ck_fmha::gpu::structure::InstanceTraits>::
                              kWavesPerSimd) void ck_fmha_bwd_dq(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::structure::InstanceKernel::run(args);
}

extern "C" CK_FMHA_KERNEL(256, 1) void ck_fmha_bwd_dq_combine(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::structure::InstanceKernel::combine(args);
}
