#include <gtest/gtest.h>

#include "cpu/huge_pages.hpp"

namespace ck_fmha::test {
namespace {

using cpu::HugePages;

constexpr uintptr_t kPage = HugePages::kSize;

HugePages of(uintptr_t begin, uintptr_t end) { return {reinterpret_cast<const void*>(begin), end - begin}; }

TEST(HugePages, AreTheWholeOnesOfAnOutput)
{
    EXPECT_EQ(of(kPage, 3 * kPage).begin, kPage);
    EXPECT_EQ(of(kPage, 3 * kPage).size(), 2 * kPage);
    EXPECT_EQ(of(kPage + 1, 4 * kPage - 1).begin, 2 * kPage);
    EXPECT_EQ(of(kPage + 1, 4 * kPage - 1).end, 3 * kPage);
    EXPECT_EQ(of(kPage - 1, 2 * kPage).begin, kPage);
}

TEST(HugePages, AreNoneWhereNoneIsWhole)
{
    EXPECT_EQ(of(kPage, kPage).size(), 0u);
    EXPECT_EQ(of(kPage, 2 * kPage - 1).size(), 0u);
    EXPECT_EQ(of(kPage + 1, 3 * kPage - 1).size(), 0u);
    EXPECT_EQ(of(kPage + 1, kPage + 2).size(), 0u); // begins after its end
}

} // namespace
} // namespace ck_fmha::test
