#pragma once

#include <memory>
#include <vector>

#include "fmha/fmha_args.h"
#include "gpu/runtime/device_plan.hpp"

namespace ck_fmha::gpu {

// What of a backward GPUs need besides ck_fmha_bwd_args.
struct BwdLaunch {
    std::shared_ptr<DevicePlan> columns;             // its plan is one of columns
    std::vector<std::shared_ptr<BwdModule>> modules; // for the groups of `columns`, in their order
    // With these dQ is computed row by row, and the results do not depend on the order of work-groups: the plan of the
    // forward, and modules for its groups. Without them it is summed by atomic additions.
    std::shared_ptr<DevicePlan> rows;
    std::vector<std::shared_ptr<BwdDqModule>> dq_modules;
    // dbias is float32 and added to, by atomic additions in the order of work-groups; with `rows` one launch after the
    // other for each (batch, head), none of which adds to a number twice.
    bool sums_bias;
    float* workspace; // BwdWorkspace::size numbers
    Stream stream;
};

// The numbers of 32 bits that kernels share, array by array.
struct BwdWorkspace {
    // `rows`: null if dQ is summed by atomic additions.
    // @post dq_size is head_dim (that of the instance, if dQ is summed) times the rows of all Q; with `rows` at most
    //       head_dim times those rows, in whole tiles, or times those of eight work items a compute unit
    BwdWorkspace(const gpu::FwdPlan& columns, const gpu::FwdPlan* rows, int64_t head_dim, int64_t head_dim_v);

    int64_t statistics, dq_sum, partial_dk, partial_dv, tiles; // where they begin
    int64_t dq_size;
    int64_t size = 0;

private:
    int64_t take(int64_t count);
};

// Launches the kernels of a call on the stream of the plan's device; all three gradients are computed. Throws as
// attention_forward does, and keeps what a captured graph refers to.
void attention_backward(const ck_fmha_bwd_args& args, const BwdLaunch& launch);

} // namespace ck_fmha::gpu
