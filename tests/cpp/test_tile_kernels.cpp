#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/masked_heads.hpp"
#include "cpu/tile_kernels.hpp"

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
    tile_kernels().store_rows_bf16(&x, 1, 1, 1, &out, 1);
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
    tile_kernels().load_rows_bf16(src.data(), 3, 2, 3, dst.data(), 16);
    const float expected[] = {1.0f, -2.0f, std::numeric_limits<float>::infinity(), from_bits(0x00010000), 3.0f, 4.0f};
    for (int n = 0; n < 32; ++n)
        EXPECT_EQ(dst[n], n % 16 < 3 ? expected[n / 16 * 3 + n % 16] : 0.0f) << n;
}

TEST(TileKernels, TransposeOfEveryShape)
{
    for (int rows : {1, 3, 4, 7, 64})
        for (int cols : {1, 2, 5, 8, 17}) {
            const int ld = cols + 3;
            std::vector<float> src(rows * ld), dst(cols * 64, -1.0f);
            for (size_t n = 0; n < src.size(); ++n)
                src[n] = static_cast<float>(n + 1);
            tile_kernels().transpose(src.data(), ld, rows, cols, dst.data());
            for (int c = 0; c < cols; ++c)
                for (int r = 0; r < 64; ++r)
                    ASSERT_EQ(dst[c * 64 + r], r < rows ? src[r * ld + c] : 0.0f) << rows << "x" << cols;
        }
}

TEST(TileKernels, BitsAreTransposed)
{
    uint64_t bits[64], original[64];
    uint64_t state = 1;
    for (uint64_t& word : bits)
        word = state = state * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(original, bits, sizeof bits);
    transpose_bits(bits);
    for (int r = 0; r < 64; ++r)
        for (int c = 0; c < 64; ++c)
            ASSERT_EQ((bits[r] >> c) & 1, (original[c] >> r) & 1) << r << ", " << c;
}

} // namespace
} // namespace ck_fmha::cpu
