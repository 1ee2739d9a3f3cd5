#pragma once

// The kernels of one forward instance. A source file of one line includes this; the instance comes as macros:
//
//     CK_FMHA_MASK      the structure of the mask, a type of the names in namespace structure: and_<big_bird,diagonal>
//     CK_FMHA_DTYPE     f16 or bf16
//     CK_FMHA_HEAD_DIM  32, 64, 128 or 256
//     CK_FMHA_WAVES     of a work-group: 2 or 4
//     CK_FMHA_EXTRAS    what changes the scores besides the mask, "kSoftcap | kAlibi"; not defined: nothing

#include "gpu/kernel/fwd_combine.hpp"
#include "gpu/kernel/plan_tiles.hpp"
#include "gpu/tile/group_clock.hpp"

#ifndef CK_FMHA_EXTRAS
#define CK_FMHA_EXTRAS 0
#endif

namespace ck_fmha::gpu::structure {

using InstanceTraits = FwdTraits<CK_FMHA_MASK, CK_FMHA_DTYPE, CK_FMHA_HEAD_DIM, CK_FMHA_WAVES, CK_FMHA_EXTRAS>;

} // namespace ck_fmha::gpu::structure

extern "C" CK_FMHA_KERNEL(ck_fmha::gpu::structure::InstanceTraits::kThreads,
                          1) void ck_fmha_fwd_plan(const ck_fmha::gpu::FwdArgs args)
{
    ck_fmha::gpu::plan_tiles<ck_fmha::gpu::FwdKernel<ck_fmha::gpu::structure::InstanceTraits>,
                             ck_fmha::gpu::structure::InstanceTraits::kThreads>(args);
}

extern "C" CK_FMHA_KERNEL(ck_fmha::gpu::structure::InstanceTraits::kThreads,
                          ck_fmha::gpu::FwdPolicy<ck_fmha::gpu::structure::InstanceTraits>::
                              kWavesPerSimd) void ck_fmha_fwd(const ck_fmha::gpu::FwdArgs args)
{
    [[maybe_unused]] const ck_fmha::gpu::GroupClock clock{};
    ck_fmha::gpu::FwdKernel<ck_fmha::gpu::structure::InstanceTraits>::run(args);
}

extern "C" CK_FMHA_KERNEL(256, 4) void ck_fmha_fwd_combine(const ck_fmha::gpu::FwdArgs args)
{
    ck_fmha::gpu::FwdCombineKernel<ck_fmha::gpu::structure::InstanceTraits>::run(args);
}
