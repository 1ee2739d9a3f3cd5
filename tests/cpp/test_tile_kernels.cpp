#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "ck_tile_masks/bit_matrix.hpp"
#include "cpu/tile_kernels.hpp"
#include "fmha/fmha_args.h"

// Pieces of the CPU back end whose errors would hide in the tolerance of whole calls.

namespace ck_fmha::cpu {
namespace {

float from_bits(uint32_t bits)
{
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}

uint16_t to_bf16(float x)
{
    uint16_t out = 0;
    tile_kernels<float>().store_rows[CK_FMHA_BFLOAT16](&x, 1, 1, 1, &out, 1);
    return out;
}

TEST(TileKernels, Bfloat16IsRoundedToNearestTiesToEven)
{
    EXPECT_EQ(to_bf16(1.0f), 0x3f80);
    EXPECT_EQ(to_bf16(from_bits(0x3f808000)), 0x3f80) << "a tie goes to the even neighbour below";
    EXPECT_EQ(to_bf16(from_bits(0x3f818000)), 0x3f82) << "a tie goes to the even neighbour above";
    EXPECT_EQ(to_bf16(from_bits(0x3f808001)), 0x3f81);
    EXPECT_EQ(to_bf16(from_bits(0x3f807fff)), 0x3f80);
    EXPECT_EQ(to_bf16(from_bits(0xbf80ffff)), 0xbf81);
    EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7f80) << "overflows to infinity";
    EXPECT_EQ(to_bf16(-std::numeric_limits<float>::infinity()), 0xff80);
    for (uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xff800001u, 0xffffffffu, 0x7fffffffu})
        EXPECT_GT(to_bf16(from_bits(nan)) & 0x7fff, 0x7f80) << std::hex << nan << " must stay NaN";
}

TEST(TileKernels, LoadedRowsAreExactAndFilledWithZeros)
{
    const std::vector<uint16_t> src = {0x3f80, 0xc000, 0x7f80, 0x0001, 0x4040, 0x4080};
    std::vector<float> dst(32, 7.0f);
    tile_kernels<float>().load_rows[CK_FMHA_BFLOAT16](src.data(), 3, 2, 3, dst.data(), 16);
    const float expected[] = {1.0f, -2.0f, std::numeric_limits<float>::infinity(), from_bits(0x00010000), 3.0f, 4.0f};
    for (int n = 0; n < 32; ++n)
        EXPECT_EQ(dst[n], n % 16 < 3 ? expected[n / 16 * 3 + n % 16] : 0.0f) << n;
}

uint16_t to_f16(float x)
{
    uint16_t out = 0;
    tile_kernels<float>().store_rows[CK_FMHA_FLOAT16](&x, 1, 1, 1, &out, 1);
    return out;
}
float from_f16(uint16_t bits)
{
    float out[16];
    tile_kernels<float>().load_rows[CK_FMHA_FLOAT16](&bits, 1, 1, 1, out, 16);
    return out[0];
}

TEST(TileKernels, EveryFloat16IsReadExactly)
{
    for (uint32_t bits = 0; bits < 1u << 16; ++bits) {
        const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
        const double sign = bits & 0x8000 ? -1 : 1;
        const float x = from_f16(static_cast<uint16_t>(bits));
        if (exponent == 31 && fraction)
            ASSERT_TRUE(std::isnan(x)) << bits;
        else if (exponent == 31)
            ASSERT_EQ(x, sign * std::numeric_limits<double>::infinity()) << bits;
        else
            ASSERT_EQ(x, sign * std::ldexp(exponent ? 1024 + fraction : fraction, std::max(exponent, 1) - 25)) << bits;
        ASSERT_EQ(std::signbit(x), (bits & 0x8000) != 0) << bits;
        ASSERT_TRUE(std::isnan(x) || to_f16(x) == bits) << bits;
    }
}

TEST(TileKernels, Float16IsRoundedToNearestTiesToEven)
{
    for (uint32_t bits = 0; bits < 0x7bff; ++bits) { // between neighbours, subnormal ones as well
        const float low = from_f16(static_cast<uint16_t>(bits)), high = from_f16(static_cast<uint16_t>(bits + 1));
        const float middle = (low + high) / 2;
        ASSERT_EQ(to_f16(middle), bits % 2 ? bits + 1 : bits) << "a tie";
        ASSERT_EQ(to_f16(std::nextafter(middle, 0.0f)), bits);
        ASSERT_EQ(to_f16(-std::nextafter(middle, 1e9f)), (bits + 1) | 0x8000);
    }
    EXPECT_EQ(to_f16(65519.0f), 0x7bff);
    EXPECT_EQ(to_f16(65520.0f), 0x7c00) << "overflows to infinity";
    EXPECT_EQ(to_f16(-1e30f), 0xfc00);
    for (uint32_t nan : {0x7fc00000u, 0x7f800001u, 0xff800001u})
        EXPECT_GT(to_f16(from_bits(nan)) & 0x7fff, 0x7c00) << std::hex << nan << " must stay NaN";
}

template <class Real>
void check_transposes()
{
    for (int rows : {1, 3, 4, 7, 18, 37, 64})
        for (int cols : {1, 2, 5, 8, 17, 38, 64}) {
            const int ld = cols + 3;
            std::vector<Real> src(rows * ld), dst(cols * 64, -1);
            for (size_t n = 0; n < src.size(); ++n)
                src[n] = static_cast<Real>(n + 1);
            tile_kernels<Real>().transpose(src.data(), ld, rows, cols, dst.data());
            for (int c = 0; c < cols; ++c)
                for (int r = 0; r < 64; ++r)
                    ASSERT_EQ(dst[c * 64 + r], r < rows ? src[r * ld + c] : 0) << rows << "x" << cols;
        }
}

TEST(TileKernels, TransposeOfEveryShape)
{
    check_transposes<float>();
    check_transposes<double>();
}

TEST(TileKernels, TileRegistersAreSetUpInAScopeAndThenAsBefore)
{
    const TileKernels<Bf16Pair>& kernels = tile_kernels<Bf16Pair>();
    if (!kernels.enter_tiles) GTEST_SKIP() << "the instruction set " << isa_kernels().name << " has no tile registers";
    const auto now = [&] {
        TileConfig config;
        kernels.enter_tiles(config);
        kernels.leave_tiles(config);
        return std::vector<uint8_t>(config.bytes, config.bytes + sizeof config.bytes);
    };
    const auto before = now();
    EXPECT_EQ(before[0], 0) << "nobody uses them";
    {
        const TileScope<Bf16Pair> scope(kernels);
        EXPECT_EQ(now()[0], 1) << "palette";
        EXPECT_EQ(now()[16], 64) << "bytes of a row of the first tile";
        EXPECT_EQ(now()[48 + 7], 16) << "rows of the last tile";
    }
    EXPECT_EQ(now(), before);
}

TEST(TileKernels, BitsAreTransposed)
{
    bits_t bits[64], original[64];
    uint64_t state = 1;
    for (bits_t& word : bits)
        word = state = state * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(original, bits, sizeof bits);
    ck_tile_masks::transpose_bits(bits);
    for (int r = 0; r < 64; ++r)
        for (int c = 0; c < 64; ++c)
            ASSERT_EQ((bits[r] >> c) & 1, (original[c] >> r) & 1) << r << ", " << c;
}

} // namespace
} // namespace ck_fmha::cpu
