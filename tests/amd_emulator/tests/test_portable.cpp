// Compiled kernels against the same functions on the host, bit by bit.
#include "kernel_runner.hpp"
#include "kernels/portable_functions.hpp"

#include <functional>
#include <random>

namespace {

using portable::u32;

struct PortableCase {
    const char* name;
    u32 (*function)(u32, u32);
};
void PrintTo(const PortableCase& c, std::ostream* out) { *out << c.name; }

#define NAMED(name) {#name, portable::name},
const PortableCase kCases[] = {PORTABLE_FUNCTIONS(NAMED)};

constexpr unsigned kGroups = 3;
constexpr size_t kSize = kGroups * 256;

struct Inputs {
    std::vector<u32> a, b;
    Inputs()
    {
        std::mt19937 random(9);
        const u32 special[] = {0,           1,           2,           0x7fffffffu, 0x80000000u,
                               0xffffffffu, 0x3f800000u, 0x7f800000u, 0xff800000u, 0x7fc00000u,
                               0x00000123u, 0x807fffffu, 0x7f7fffffu, 0x00800000u};
        for (size_t i = 0; i < kSize; ++i) {
            a.push_back(i < 196 ? special[i / 14] : static_cast<u32>(random()));
            b.push_back(i < 196 ? special[i % 14] : static_cast<u32>(random()));
        }
    }
    std::vector<u32> run(const char* architecture, const char* kernel) const
    {
        DeviceArray<u32> device_a(a), device_b(b), result(kSize);
        EXPECT_EQ(loaded_module("portable", architecture)
                      .launch(kernel, kGroups, 1, 256, device_a.device(), device_b.device(), result.device()),
                  hipSuccess)
            << ck_fmha_emulator_last_failure();
        return result.fetch();
    }
};

class Portable : public ::testing::TestWithParam<PortableCase> {};
INSTANTIATE_TEST_SUITE_P(Functions, Portable, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(Portable, TheDeviceGivesWhatTheHostGives)
{
    const Inputs inputs;
    for (const char* architecture : kArchitectures) {
        const auto result = inputs.run(architecture, GetParam().name);
        for (size_t i = 0; i < kSize; ++i) {
            ASSERT_EQ(result[i], GetParam().function(inputs.a[i], inputs.b[i]))
                << architecture << std::hex << ": " << inputs.a[i] << ", " << inputs.b[i];
        }
    }
}

TEST(DeviceOnly, GenericPointers)
{
    const Inputs inputs;
    for (const char* architecture : kArchitectures) {
        const auto result = inputs.run(architecture, "generic_pointers");
        for (size_t i = 0; i < kSize; ++i) {
            const size_t mirrored = i / 256 * 256 + 255 - i % 256;
            ASSERT_EQ(result[i], ((inputs.b[i] & 1) != 0 ? inputs.a[mirrored] * 3 : inputs.a[i]) + 1)
                << architecture << ", " << i;
        }
    }
}

TEST(DeviceOnly, SizesOfTheLaunch)
{
    const Inputs inputs;
    for (const char* architecture : kArchitectures) {
        for (const u32 value : inputs.run(architecture, "launch_sizes")) {
            ASSERT_EQ(value, 256000 + kSize) << architecture;
        }
    }
}

} // namespace
