// GPU drivers where there are none, and the layout of what is told to one that checks accesses.

#include <gtest/gtest.h>

#include <string>

#include "../amd_emulator/emulator_api.h"
#include "gpu/runtime/driver.hpp"

namespace ck_fmha::gpu {
namespace {

static_assert(sizeof(Extent) == sizeof(ck_fmha_emulator_extent));
static_assert(offsetof(Extent, base) == offsetof(ck_fmha_emulator_extent, base));
static_assert(offsetof(Extent, element_size) == offsetof(ck_fmha_emulator_extent, element_size));
static_assert(offsetof(Extent, sizes) == offsetof(ck_fmha_emulator_extent, sizes));
static_assert(offsetof(Extent, strides) == offsetof(ck_fmha_emulator_extent, strides));
static_assert(offsetof(Extent, rank) == offsetof(ck_fmha_emulator_extent, rank));
static_assert(offsetof(Extent, access) == offsetof(ck_fmha_emulator_extent, access));
static_assert(offsetof(Extent, name) == offsetof(ck_fmha_emulator_extent, name));
static_assert(int{kMaxRank} == CK_FMHA_EMULATOR_MAX_RANK);
static_assert(uint32_t{kRead} == CK_FMHA_EMULATOR_READ && uint32_t{kWrite} == CK_FMHA_EMULATOR_WRITE);

template <class Call>
std::string refusal(const Call& call)
{
    try {
        call();
    } catch (const DriverError& error) {
        return error.what();
    }
    return "";
}

void expect_says(const std::string& text, const std::string& part)
{
    EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
}

struct Missing {
    Vendor vendor;
    const char* function;
};

class GpuDriver : public testing::TestWithParam<Missing> {};

TEST_P(GpuDriver, SaysWhatWasTried)
{
    const auto& [vendor, function] = GetParam();
    const std::string asked = refusal([&] { Driver::load(vendor, "/no/such/library.so", {"/no/such/folder"}); });
    expect_says(asked, "/no/such/library.so");
    EXPECT_EQ(asked.find("/no/such/folder"), std::string::npos) << "what is asked for is not replaced";
    expect_says(refusal([&] { Driver::load(vendor, "libc.so.6", {}); }), std::string("libc.so.6 has no ") + function);
}

INSTANTIATE_TEST_SUITE_P(Vendors, GpuDriver,
                         testing::Values(Missing{Vendor::amd, "hipInit: ROCm 6.0 or newer"},
                                         Missing{Vendor::nvidia, "cuInit: a driver for CUDA 12.0 or newer"}));

} // namespace
} // namespace ck_fmha::gpu
