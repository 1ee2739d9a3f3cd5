#pragma once

#include <memory>
#include <vector>

#include "fmha/fmha_args.h"
#include "gpu/runtime/device_plan.hpp"

namespace ck_fmha::gpu {

// What of a call GPUs need besides ck_fmha_fwd_args: modules for the plan's groups, in their order; the numbers of
// FwdPlan::workspace_size.
struct FwdLaunch {
    std::shared_ptr<DevicePlan> plan;
    std::vector<std::shared_ptr<FwdModule>> modules;
    float* workspace;
    Stream stream;
};

// Launches the kernels of a call on the stream of the plan's device. Throws std::invalid_argument for arguments that
// kernels cannot take, DriverError for what the driver refuses. While a stream is captured, the plan and the modules
// are kept for good, because the graph refers to them.
void attention_forward(const ck_fmha_fwd_args& args, const FwdLaunch& launch);

} // namespace ck_fmha::gpu
