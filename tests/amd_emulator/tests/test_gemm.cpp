// Matrix products compiled from HIP against double, under every order that hardware leaves open.
#include "gemm_problem.hpp"

namespace {

class Gemm : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Architectures, Gemm, ::testing::ValuesIn(kArchitectures),
                         [](const auto& info) { return info.param; });

void expect_product(const GemmProblem& problem, const KernelModule& module, const std::string& kernel,
                    std::vector<float>& result)
{
    ASSERT_EQ(problem.run(module, kernel, result), hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_LT(problem.max_error(result), problem.allowed_error());
}

TEST_P(Gemm, HalfThrough32x32x8)
{
    std::vector<float> result;
    expect_product(GemmProblem(128, 192, 128, true), KernelModule("gemm", GetParam()), "gemm_half", result);
}

TEST_P(Gemm, Bfloat16Through16x16x16)
{
    std::vector<float> result;
    expect_product(GemmProblem(128, 192, 128, false), KernelModule("gemm", GetParam()), "gemm_bfloat16", result);
}

TEST_P(Gemm, EveryOrderGivesTheSameBits)
{
    const GemmProblem problem(128, 64, 192, true);
    const KernelModule module("gemm", GetParam());
    std::vector<float> expected;
    expect_product(problem, module, "gemm_half", expected);
    for (const char* options :
         {"waves=reverse", "waves=random,seed=1", "work_groups=reverse", "work_groups=random,seed=2", "interleave=1",
          "interleave=7,waves=reverse", "interleave=13,waves=random,seed=3", "completion=early",
          "completion=random,seed=4", "resident=2,interleave=5",
          "completion=random,seed=5,interleave=3,waves=random,resident=2"}) {
        const ScopedOptions scope(options);
        std::vector<float> result;
        ASSERT_EQ(problem.run(module, "gemm_half", result), hipSuccess)
            << options << ": " << ck_fmha_emulator_last_failure();
        EXPECT_EQ(std::memcmp(result.data(), expected.data(), result.size() * sizeof(float)), 0) << options;
    }
}

} // namespace
