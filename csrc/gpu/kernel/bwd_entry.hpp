#pragma once

// The kernels of one backward instance. Its macros are those of fwd_entry.hpp, and
//
//     CK_FMHA_ADDS_DQ   1 if dQ is summed by atomic additions, 0 if the kernels of bwd_dq_entry.hpp compute it

#include "gpu/kernel/bwd_convert.hpp"
#include "gpu/kernel/bwd_dot_do_o.hpp"
#include "gpu/kernel/bwd_kernel.hpp"
#include "gpu/kernel/plan_tiles.hpp"
#include "gpu/tile/group_clock.hpp"

#ifndef CK_FMHA_EXTRAS
#define CK_FMHA_EXTRAS 0
#endif

namespace ck_fmha::gpu::structure {

using InstanceTraits =
    BwdTraits<CK_FMHA_MASK, CK_FMHA_DTYPE, CK_FMHA_HEAD_DIM, CK_FMHA_WAVES, CK_FMHA_ADDS_DQ != 0, CK_FMHA_EXTRAS>;

} // namespace ck_fmha::gpu::structure

extern "C" CK_FMHA_KERNEL(ck_fmha::gpu::structure::InstanceTraits::kThreads,
                          1) void ck_fmha_bwd_plan(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::plan_tiles<ck_fmha::gpu::BwdKernel<ck_fmha::gpu::structure::InstanceTraits>,
                             ck_fmha::gpu::structure::InstanceTraits::kThreads>(args);
}

extern "C" CK_FMHA_KERNEL(256, 1) void ck_fmha_bwd_dot_do_o(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::BwdDotDoOKernel<ck_fmha::gpu::structure::InstanceTraits>::run(args);
}

extern "C" CK_FMHA_KERNEL(ck_fmha::gpu::structure::InstanceTraits::kThreads,
                          ck_fmha::gpu::BwdPolicy<ck_fmha::gpu::structure::InstanceTraits>::
                              kWavesPerSimd) void ck_fmha_bwd_dq_dk_dv(const ck_fmha::gpu::BwdArgs args)
{
    [[maybe_unused]] const ck_fmha::gpu::GroupClock clock{};
    ck_fmha::gpu::BwdKernel<ck_fmha::gpu::structure::InstanceTraits>::run(args);
}

extern "C" CK_FMHA_KERNEL(256, 1) void ck_fmha_bwd_convert(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::BwdConvertKernel<ck_fmha::gpu::structure::InstanceTraits>::run(args);
}

extern "C" CK_FMHA_KERNEL(256, 1) void ck_fmha_bwd_combine(const ck_fmha::gpu::BwdArgs args)
{
    ck_fmha::gpu::BwdKernel<ck_fmha::gpu::structure::InstanceTraits>::combine(args);
}
