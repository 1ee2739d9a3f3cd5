// The entry points: what they give, what they refuse, what the emulator adds.
#include "gemm_problem.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>

namespace {

std::vector<char> read_code_object(const char* architecture)
{
    std::ifstream file(std::string(KERNEL_FOLDER "/gemm.") + architecture + ".co", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(HipApi, Devices)
{
    ASSERT_EQ(hipInit(0), hipSuccess);
    int count = 0;
    ASSERT_EQ(hipGetDeviceCount(&count), hipSuccess);
    ASSERT_EQ(count, 2);
    for (int device = 0; device < count; ++device) {
        const std::string architecture = ck_fmha_emulator_architecture(device);
        char name[64];
        ASSERT_EQ(hipDeviceGetName(name, sizeof name, device), hipSuccess);
        EXPECT_NE(std::string(name).find(architecture), std::string::npos);
        int value = 0;
        EXPECT_EQ(hipDeviceGetAttribute(&value, hipDeviceAttributeWarpSize, device), hipSuccess);
        EXPECT_EQ(value, 64);
        hipDevicePropertiesR0600 properties;
        ASSERT_EQ(hipGetDevicePropertiesR0600(&properties, device), hipSuccess);
        EXPECT_EQ(std::string(properties.gcnArchName), architecture + ":sramecc+:xnack-");
        EXPECT_EQ(properties.warpSize, 64);
    }
    EXPECT_EQ(ck_fmha_emulator_architecture(count), nullptr);
    expect_failure(hipSetDevice(7), hipErrorInvalidDevice, {"device 7"});
    EXPECT_EQ(hipGetLastError(), hipErrorInvalidDevice);
    EXPECT_EQ(hipGetLastError(), hipSuccess);
    EXPECT_STREQ(hipGetErrorName(hipErrorIllegalAddress), "hipErrorIllegalAddress");
}

TEST(HipApi, Memory)
{
    void* memory = nullptr;
    ASSERT_EQ(hipMalloc(&memory, 1000), hipSuccess);
    uint32_t word = 0;
    ASSERT_EQ(hipMemcpy(&word, static_cast<char*>(memory) + 996, 4, hipMemcpyDeviceToHost), hipSuccess);
    EXPECT_TRUE(std::isnan(amd_emulator::bit_cast<float>(word))) << "new memory is poisoned";
    EXPECT_EQ(hipMemsetAsync(memory, 1, 1000, nullptr), hipSuccess);
    ASSERT_EQ(hipMemcpyAsync(&word, memory, 4, hipMemcpyDefault, nullptr), hipSuccess);
    EXPECT_EQ(word, 0x01010101u);
    EXPECT_EQ(hipMemcpy(&word, static_cast<char*>(memory) + 997, 4, hipMemcpyDeviceToHost), hipErrorInvalidValue);
    EXPECT_EQ(hipMemset(memory, 0, 1001), hipErrorInvalidValue);
    EXPECT_EQ(hipMemcpy(memory, &word, 4, hipMemcpyDeviceToHost), hipErrorInvalidValue) << "the host is no device";
    ASSERT_EQ(hipFree(memory), hipSuccess);
    EXPECT_EQ(hipFree(memory), hipErrorInvalidValue);
    EXPECT_EQ(hipFree(nullptr), hipSuccess);
}

TEST(HipApi, Modules)
{
    ASSERT_EQ(hipSetDevice(device_of("gfx942")), hipSuccess);
    hipModule_t module = nullptr;
    expect_failure(hipModuleLoadData(&module, read_code_object("gfx90a").data()), hipErrorNoBinaryForGpu,
                   {"gfx90a", "gfx942"});
    const std::string text(128, 'x');
    expect_failure(hipModuleLoadData(&module, text.data()), hipErrorInvalidImage, {"not an ELF file"});
    EXPECT_EQ(hipModuleLoad(&module, "/nonexistent"), hipErrorFileNotFound);
    ASSERT_EQ(hipModuleLoadData(&module, read_code_object("gfx942").data()), hipSuccess);
    hipFunction_t function = nullptr;
    expect_failure(hipModuleGetFunction(&function, module, "nothing"), hipErrorNotFound, {"nothing"});
    ASSERT_EQ(hipModuleGetFunction(&function, module, "gemm_half"), hipSuccess);
    int value = 0;
    ASSERT_EQ(hipFuncGetAttribute(&value, HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function), hipSuccess);
    EXPECT_EQ(value, 2 * 64 * 72 * 2);
    ASSERT_EQ(hipFuncGetAttribute(&value, HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function), hipSuccess);
    EXPECT_EQ(value, 256);
    ASSERT_EQ(hipSetDevice(device_of("gfx90a")), hipSuccess);
    expect_failure(hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, nullptr, nullptr, nullptr),
                   hipErrorInvalidHandle, {"loaded on device", "this thread's is"});
    ASSERT_EQ(hipModuleUnload(module), hipSuccess);
    EXPECT_EQ(hipModuleUnload(module), hipErrorInvalidHandle);
    EXPECT_EQ(hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, nullptr, nullptr, nullptr), hipErrorInvalidHandle);
}

TEST(HipApi, AnEntryPointFailsWhereItIsToldTo)
{
    const ScopedOptions options("fail=hipMalloc:2");
    void* memory = nullptr;
    expect_failure(hipMalloc(&memory, 16), hipErrorOutOfMemory, {"hipMalloc is told to fail"});
    EXPECT_EQ(hipFree(nullptr), hipSuccess);
    expect_failure(static_cast<hipError_t>(ck_fmha_emulator_configure("fail=hipMalloc")), hipErrorInvalidValue,
                   {"ENTRY_POINT:ERROR"});
}

TEST(HipApi, LaunchesTakeEitherFormOfArguments)
{
    const GemmProblem problem(64, 64, 64, true);
    const KernelModule& module = loaded_module("gemm", "gfx942");
    DeviceArray<uint16_t> a(problem.a), b(problem.b);
    DeviceArray<float> c(problem.expected.size());
    void* pointers[] = {a.device(), b.device(), c.device()};
    int sizes[] = {64, 64};
    void* parameters[] = {&pointers[0], &pointers[1], &pointers[2], &sizes[0], &sizes[1]};
    hipStream_t stream = nullptr;
    ASSERT_EQ(hipStreamCreate(&stream), hipSuccess);
    hipEvent_t start = nullptr, stop = nullptr;
    ASSERT_EQ(hipEventCreate(&start), hipSuccess);
    ASSERT_EQ(hipEventCreate(&stop), hipSuccess);
    ASSERT_EQ(hipEventRecord(start, stream), hipSuccess);
    ASSERT_EQ(hipModuleLaunchKernel(module.function("gemm_half"), 1, 1, 1, 256, 1, 1, 0, stream, parameters, nullptr),
              hipSuccess);
    ASSERT_EQ(hipEventRecord(stop, stream), hipSuccess);
    ASSERT_EQ(hipStreamSynchronize(stream), hipSuccess);
    float milliseconds = -1;
    ASSERT_EQ(hipEventElapsedTime(&milliseconds, start, stop), hipSuccess);
    EXPECT_GT(milliseconds, 0);
    EXPECT_LT(problem.max_error(c.fetch()), problem.allowed_error());
    EXPECT_EQ(hipEventDestroy(start), hipSuccess);
    EXPECT_EQ(hipEventDestroy(stop), hipSuccess);
    EXPECT_EQ(hipStreamDestroy(stream), hipSuccess);
    expect_failure(module.launch("gemm_half", 1, 1, 256, pointers[0]), hipErrorInvalidValue,
                   {"32 bytes of arguments", "passes 8"});
    expect_failure(module.launch("gemm_half", 1, 1, 512, pointers[0], pointers[1], pointers[2], 64, 64),
                   hipErrorInvalidValue, {"at most 256"});
}

ck_fmha_emulator_extent matrix(const void* base, uint64_t element, int64_t rows, int64_t columns, int64_t row_stride,
                               uint32_t access, const char* name)
{
    ck_fmha_emulator_extent extent{};
    extent.base = base;
    extent.element_size = element;
    extent.rank = 2;
    extent.sizes[0] = rows;
    extent.sizes[1] = columns;
    extent.strides[0] = row_stride;
    extent.strides[1] = static_cast<int64_t>(element);
    extent.access = access;
    extent.name = name;
    return extent;
}

TEST(Extents, ExactOnesAreObeyedOnHostMemory)
{
    const GemmProblem problem(64, 64, 64, true);
    const KernelModule& module = loaded_module("gemm", "gfx90a");
    std::vector<float> c(64 * 64);
    const auto launch = [&] {
        return module.launch("gemm_half", 1, 1, 256, problem.a.data(), problem.b.data(), c.data(), 64, 64);
    };
    const auto a = matrix(problem.a.data(), 2, 64, 64, 128, CK_FMHA_EMULATOR_READ, "a");
    const auto b = matrix(problem.b.data(), 2, 64, 64, 128, CK_FMHA_EMULATOR_READ, "b");
    const auto result = matrix(c.data(), 4, 64, 64, 256, CK_FMHA_EMULATOR_WRITE, "c");
    expect_failure(launch(), hipErrorIllegalAddress, {"out of bounds"}); // nobody declared that memory
    {
        const ck_fmha_emulator_extent extents[] = {a, b, result};
        ASSERT_EQ(ck_fmha_emulator_next_launch(extents, 3), hipSuccess);
        ASSERT_EQ(launch(), hipSuccess) << ck_fmha_emulator_last_failure();
        EXPECT_LT(problem.max_error(c), problem.allowed_error());
    }
    expect_failure(launch(), hipErrorIllegalAddress, {"out of bounds"}); // extents hold for one launch
    const struct {
        ck_fmha_emulator_extent a, c;
        const char* what;
    } wrong[] = {
        {matrix(problem.a.data(), 2, 63, 64, 128, CK_FMHA_EMULATOR_READ, "a"), result,
         "read of 16 bytes"}, // a row less
        {matrix(problem.a.data(), 2, 64, 60, 128, CK_FMHA_EMULATOR_READ, "a"), result,
         "offset 112"}, // a gap after each row
        {a, matrix(c.data(), 4, 64, 64, 256, CK_FMHA_EMULATOR_READ, "c"), "write of 4 bytes"},
    };
    for (const auto& extents : wrong) {
        const ck_fmha_emulator_extent all[] = {extents.a, b, extents.c};
        ASSERT_EQ(ck_fmha_emulator_next_launch(all, 3), hipSuccess);
        expect_failure(launch(), hipErrorIllegalAddress, {"out of bounds", extents.what});
    }
    ck_fmha_emulator_declare_host_memory(problem.a.data(), problem.a.size() * 2);
    ck_fmha_emulator_declare_host_memory(problem.b.data(), problem.b.size() * 2);
    ck_fmha_emulator_declare_host_memory(c.data(), c.size() * 4);
    EXPECT_EQ(launch(), hipSuccess) << ck_fmha_emulator_last_failure();
    for (const void* base : {static_cast<const void*>(problem.a.data()), static_cast<const void*>(problem.b.data()),
                             static_cast<const void*>(c.data())}) {
        EXPECT_EQ(ck_fmha_emulator_forget_host_memory(base), hipSuccess);
    }
    expect_failure(launch(), hipErrorIllegalAddress, {"out of bounds"});
}

TEST(Extents, OverlappingRowsAreRefused)
{
    const float values[16] = {};
    const auto extent = matrix(values, 4, 3, 4, 8, CK_FMHA_EMULATOR_READ, "x");
    expect_failure(ck_fmha_emulator_next_launch(&extent, 1), hipErrorInvalidValue, {"overlapping"});
}

TEST(Options, AreRefusedByName)
{
    expect_failure(ck_fmha_emulator_configure("waves=sideways"), hipErrorInvalidValue,
                   {"waves=sideways", "interleave"});
    expect_failure(ck_fmha_emulator_configure("speed=9"), hipErrorInvalidValue, {"speed=9"});
    expect_failure(ck_fmha_emulator_configure("resident=0"), hipErrorInvalidValue, {"resident=0"});
}

TEST(Counters, CountWhatRan)
{
    const GemmProblem problem(64, 128, 128, true); // two work-groups of four waves, two tiles of k
    const KernelModule& module = loaded_module("gemm", "gfx942");
    std::vector<float> result;
    ASSERT_EQ(ck_fmha_emulator_reset_counters(), hipSuccess);
    ASSERT_EQ(problem.run(module, "gemm_half", result), hipSuccess);
    const std::string text = ck_fmha_emulator_counters();
    const auto has = [&](const std::string& part) { return text.find(part) != std::string::npos; };
    EXPECT_TRUE(has("\"name\": \"gemm_half\"")) << text;
    EXPECT_TRUE(has("\"launches\": 1")) << text;
    // 8 waves, each a 32 x 32 tile over k = 128 in steps of 8; two barriers for each of the two tiles of k.
    EXPECT_TRUE(has("\"mfma\": 128")) << text;
    EXPECT_TRUE(has("\"v_mfma_f32_32x32x8_f16\": 128")) << text;
    EXPECT_TRUE(has("\"barrier\": 32")) << text;
    EXPECT_TRUE(has("\"blocks\": [{\"offset\": 0, \"executed\": 8")) << text;
    ASSERT_EQ(ck_fmha_emulator_reset_counters(), hipSuccess);
    EXPECT_STREQ(ck_fmha_emulator_counters(), "{\"kernels\": []}");
}

} // namespace
