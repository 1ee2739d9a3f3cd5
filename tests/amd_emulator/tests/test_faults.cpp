// Faults that were put in on purpose: each is found, and for the right reason.
#include "gemm_problem.hpp"

namespace {

class Faults : public ::testing::TestWithParam<const char*> {
protected:
    /// Runs a kernel of fault_cases.s with 128 dwords of source and destination; `result` gets the destination.
    hipError_t run(const std::string& kernel, unsigned block = 128)
    {
        std::vector<uint32_t> numbers;
        for (uint32_t i = 0; i < 128; ++i) {
            numbers.push_back(1000 + i);
        }
        DeviceArray<uint32_t> source(numbers), destination(std::vector<uint32_t>(128, 7));
        const hipError_t error =
            loaded_module("fault_cases", GetParam()).launch(kernel, 1, 1, block, source.device(), destination.device());
        result = destination.fetch();
        return error;
    }
    bool is_swapped_copy() const
    {
        for (uint32_t i = 0; i < 128; ++i) {
            if (result[i] != 1000 + (i ^ 64)) {
                return false;
            }
        }
        return true;
    }
    std::vector<uint32_t> result;
};
INSTANTIATE_TEST_SUITE_P(Architectures, Faults, ::testing::ValuesIn(kArchitectures),
                         [](const auto& info) { return info.param; });

TEST_P(Faults, NoneInCompleteKernels)
{
    for (const char* kernel : {"complete", "complete_dma"}) {
        for (const char* options :
             {"", "waves=reverse", "interleave=1", "completion=early", "completion=random,interleave=2,waves=random"}) {
            const ScopedOptions scope(options);
            EXPECT_EQ(run(kernel), hipSuccess) << ck_fmha_emulator_last_failure();
            EXPECT_TRUE(is_swapped_copy()) << kernel << " " << options;
        }
    }
    EXPECT_EQ(run("first_of_two"), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_EQ(run("reload"), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_TRUE(is_swapped_copy());
    EXPECT_EQ(run("undefined_but_harmless"), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_EQ(result[5], (1005u & 0xffffu) + 1);
}

TEST_P(Faults, RemovedWaitForScalarLoad)
{
    expect_failure(run("no_wait_for_scalar_load"), hipErrorLaunchFailure,
                   {"missing wait", "s_load_dwordx4", "no_wait_for_scalar_load"});
}
TEST_P(Faults, RemovedWaitForLoad)
{
    expect_failure(run("no_wait_for_load"), hipErrorLaunchFailure,
                   {"missing wait", "ds_write_b32", "v3", "global_load_dword"});
}
TEST_P(Faults, RemovedWaitForLdsLoad)
{
    expect_failure(run("no_wait_for_lds_load"), hipErrorLaunchFailure,
                   {"missing wait", "global_store_dword", "v4", "ds_read_b32"});
}
TEST_P(Faults, WaitForOneLoadTooFew)
{
    expect_failure(run("second_of_two"), hipErrorLaunchFailure, {"missing wait", "v_mov_b32", "v4"});
}
TEST_P(Faults, ScalarLoadsCountedInOrder)
{
    expect_failure(run("scalar_loads_in_order"), hipErrorLaunchFailure, {"missing wait", "s_mov_b64"});
}

TEST_P(Faults, RemovedWaitForLdsStore)
{
    // The other wave reads before the store is certain to have happened.
    expect_failure(run("no_wait_for_lds_store"), hipErrorLaunchFailure,
                   {"undefined value", "never written", "ds_read_b32", "LDS address"});
}

TEST_P(Faults, RemovedWaitForLdsDma)
{
    expect_failure(run("no_wait_for_dma"), hipErrorLaunchFailure, {"missing wait", "LDS bytes", "buffer_load_dword"});
}

TEST_P(Faults, RemovedBarrier)
{
    for (const char* options : {"", "waves=reverse", "interleave=20,waves=random,seed=1"}) {
        const ScopedOptions scope(options);
        expect_failure(run("no_barrier"), hipErrorLaunchFailure, {"undefined value", "never written", "ds_read_b32"});
    }
}

TEST_P(Faults, UndefinedAddress)
{
    expect_failure(run("undefined_address"), hipErrorLaunchFailure, {"undefined value", "an address", "v9"});
}
TEST_P(Faults, UndefinedBranch)
{
    expect_failure(run("undefined_branch"), hipErrorLaunchFailure, {"undefined value", "a branch on SCC"});
    expect_failure(run("undefined_selection"), hipErrorLaunchFailure, {"undefined value", "a branch on SCC"});
}
TEST_P(Faults, UndefinedExec)
{
    expect_failure(run("undefined_exec"), hipErrorLaunchFailure, {"undefined value", "EXEC"});
}
TEST_P(Faults, UndefinedStore)
{
    expect_failure(run("undefined_store"), hipErrorLaunchFailure, {"undefined value", "stores"});
    const ScopedOptions scope("check_stores=0");
    EXPECT_EQ(run("undefined_store"), hipSuccess);
    EXPECT_EQ(result[0], 0xffe5ffe5u) << "a NaN in every format";
}

TEST_P(Faults, LdsOutOfBounds)
{
    expect_failure(run("lds_out_of_bounds", 64), hipErrorLaunchFailure,
                   {"LDS out of bounds", "256 bytes", "ds_write_b32"});
}
TEST_P(Faults, UnknownInstruction)
{
    expect_failure(run("unknown_instruction"), hipErrorLaunchFailure,
                   {"unknown instruction", "v_cvt_off_f32_i4", "+0x4"});
}
TEST_P(Faults, RegisterThatIsNotAllocated)
{
    expect_failure(run("too_high_register"), hipErrorLaunchFailure, {"register out of range", "v64"});
}
TEST_P(Faults, EndlessLoop)
{
    const ScopedOptions scope("max_instructions=10000");
    expect_failure(run("endless"), hipErrorLaunchTimeOut, {"instruction limit", "s_branch"});
}

// --- in kernels that a compiler made ---

class GemmFaults : public ::testing::TestWithParam<const char*> {
protected:
    GemmProblem problem{128, 128, 128, true};
    std::vector<float> result;
    hipError_t run(const std::string& fault)
    {
        return problem.run(loaded_module("gemm_" + fault, GetParam()), "gemm_half", result);
    }
};
INSTANTIATE_TEST_SUITE_P(Architectures, GemmFaults, ::testing::ValuesIn(kArchitectures),
                         [](const auto& info) { return info.param; });

TEST_P(GemmFaults, RemovedBarrier)
{
    // The first wave to come back overwrites the tiles that others still read: wrong numbers when waves run one after
    // the other.
    const ScopedOptions scope("waves=reverse");
    EXPECT_EQ(run("no_barrier"), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_GT(problem.max_error(result), 1.0);
}

TEST_P(GemmFaults, OutOfBoundsLoad)
{
    // The rows of the last work-groups reach one row beyond the array.
    expect_failure(run("out_of_bounds"), hipErrorIllegalAddress,
                   {"out of bounds", "read of 16 bytes", "global_load_dwordx4", "issued by"});
}

TEST_P(GemmFaults, UninitialisedLds)
{
    expect_failure(run("uninitialised_lds"), hipErrorLaunchFailure,
                   {"undefined value", "stores", "LDS address", "never written", "ds_read"});
}

TEST_P(GemmFaults, UninitialisedLdsIsNanWithoutChecks)
{
    const ScopedOptions scope("check_stores=0");
    EXPECT_EQ(run("uninitialised_lds"), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_TRUE(std::isinf(problem.max_error(result)));
}

TEST_P(GemmFaults, WrongLaneMap)
{
    EXPECT_EQ(run("wrong_lane_map"), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_GT(problem.max_error(result), 1.0);
}

} // namespace
