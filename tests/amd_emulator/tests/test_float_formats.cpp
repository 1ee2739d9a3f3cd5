// The emulator's own conversions against the formats' definitions, for every half and for random floats.
#include "float_formats.hpp"

#include <gtest/gtest.h>

#include <random>

namespace {

using namespace amd_emulator;

/// By the formula of the format.
double value_of(uint16_t bits)
{
    const double sign = (bits & 0x8000) != 0 ? -1 : 1;
    const int exponent = bits >> 10 & 31;
    const int mantissa = bits & 0x3ff;
    if (exponent == 31) {
        return mantissa != 0 ? std::nan("") : sign * INFINITY;
    }
    return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

TEST(FloatFormats, EveryHalfToFloatAndBack)
{
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        const Half half{static_cast<uint16_t>(bits)};
        const double expected = value_of(half.bits);
        const float value = to_float(half);
        if (expected != expected) {
            EXPECT_TRUE(std::isnan(value));
            EXPECT_TRUE(std::isnan(to_float(half_nearest(value))));
            continue;
        }
        ASSERT_EQ(static_cast<double>(value), expected) << bits;
        ASSERT_EQ(half_nearest(value).bits, half.bits);
        ASSERT_EQ(half_towards_zero(value).bits, half.bits);
    }
}

TEST(FloatFormats, RoundingToHalf)
{
    for (uint32_t bits = 0; bits < 0x7bff; ++bits) { // between every two neighbours
        const double below = value_of(static_cast<uint16_t>(bits)), above = value_of(static_cast<uint16_t>(bits + 1));
        const auto middle = static_cast<float>((below + above) / 2);
        ASSERT_EQ(half_nearest(middle).bits, bits + (bits & 1)) << "ties go to even";
        ASSERT_EQ(half_nearest(std::nextafter(middle, INFINITY)).bits, bits + 1);
        ASSERT_EQ(half_nearest(std::nextafter(middle, 0.0f)).bits, bits);
        ASSERT_EQ(half_towards_zero(std::nextafter(static_cast<float>(above), 0.0f)).bits, bits);
        ASSERT_EQ(half_nearest(-std::nextafter(middle, 0.0f)).bits, bits | 0x8000u);
    }
    EXPECT_EQ(half_nearest(65519.99f).bits, 0x7bff);
    EXPECT_EQ(half_nearest(65520.0f).bits, 0x7c00);
    EXPECT_EQ(half_towards_zero(1e9f).bits, 0x7bff);
    EXPECT_EQ(half_towards_zero(INFINITY).bits, 0x7c00);
}

TEST(FloatFormats, FusedHalvesRoundOnce)
{
    // 1 + 2^-11 is a tie; the far smaller product decides it. A sum in double would lose it.
    const Half one{0x3c00}, tiny{0x0001};
    EXPECT_EQ(fused_multiply_add(Half{0x1000}, one, one).bits, 0x3c00) << "2^-11: a tie, to even";
    EXPECT_EQ(fused_multiply_add(Half{0x1001}, one, one).bits, 0x3c01);
    std::mt19937 random(1);
    for (int i = 0; i < 100000; ++i) {
        const Half a{static_cast<uint16_t>(random() & 0xfbff)}, b{static_cast<uint16_t>(random() & 0xfbff)},
            c{static_cast<uint16_t>(random() & 0xfbff)};
        if (std::isnan(value_of(a.bits) * value_of(b.bits) + value_of(c.bits))) {
            continue;
        }
        const long double exact = static_cast<long double>(value_of(a.bits)) * value_of(b.bits) + value_of(c.bits);
        // The nearest half: the best of the candidate from double and its two neighbours.
        const uint16_t actual = fused_multiply_add(a, b, c).bits;
        if ((actual & 0x7fff) >= 0x7bff || exact == 0) {
            continue;
        }
        const auto distance = [&](uint16_t bits) {
            const long double d = exact - value_of(bits);
            return d < 0 ? -d : d;
        };
        for (const int step : {-1, 1}) {
            const auto neighbour = static_cast<uint16_t>(actual + step);
            if ((actual & 0x7fff) == 0) {
                continue;
            }
            ASSERT_LE(distance(actual), distance(neighbour)) << a.bits << " " << b.bits << " " << c.bits;
            ASSERT_TRUE(distance(actual) < distance(neighbour) || (actual & 1) == 0) << "a tie went to odd";
        }
    }
    EXPECT_EQ(fused_multiply_add(tiny, tiny, Half{0x1000}).bits, 0x1000);
}

TEST(FloatFormats, Bfloat16)
{
    EXPECT_EQ(bfloat16_nearest(1.0f).bits, 0x3f80);
    EXPECT_EQ(bfloat16_nearest(bit_cast<float>(0x3f808000u)).bits, 0x3f80) << "a tie, to even";
    EXPECT_EQ(bfloat16_nearest(bit_cast<float>(0x3f818000u)).bits, 0x3f82);
    EXPECT_EQ(bfloat16_nearest(bit_cast<float>(0x3f808001u)).bits, 0x3f81);
    EXPECT_TRUE(std::isnan(to_float(bfloat16_nearest(bit_cast<float>(0x7f800001u)))));
    EXPECT_EQ(to_float(BFloat16{0x4049}), 3.140625f);
}

TEST(FloatFormats, FlushingKeepsTheSign)
{
    EXPECT_EQ(bit_cast<uint32_t>(flush_subnormal(bit_cast<float>(0x80000001u))), 0x80000000u);
    EXPECT_EQ(flush_subnormal(bit_cast<float>(0x00800000u)), 0x1p-126f);
    EXPECT_EQ(flush_subnormal(Half{0x83ff}).bits, 0x8000);
    EXPECT_EQ(flush_subnormal(Half{0x0400}).bits, 0x0400);
    EXPECT_EQ(flush_subnormal(BFloat16{0x007f}).bits, 0x0000);
}

} // namespace
