// Matrix products against the register layouts that AMD publishes (CDNA2 and CDNA3 instruction set manuals, matrix
// instruction calculator), written out here shape by shape. The numbers are small integers, so every sum is exact in
// any order.
#include "float_formats.hpp"
#include "kernel_runner.hpp"

#include <random>

namespace {

enum class Type { f32, f16, bf16 };

struct Place {
    int lane, item; ///< item: element of A or B within the lane, register of C or D
};

struct Shape {
    const char* kernel;
    Type type;
    int size, depth, blocks; ///< size: rows of A, which are as many as columns of B
    Place (*a)(int i, int k, int block);
    Place (*d)(int i, int j, int block);
    bool only_gfx90a = false;
};
void PrintTo(const Shape& s, std::ostream* out) { *out << s.kernel; }

Place d_32x32(int i, int j, int) { return {j + 32 * (i / 4 % 2), i % 4 + 4 * (i / 8)}; }
Place d_16x16(int i, int j, int) { return {j + 16 * (i / 4), i % 4}; }
Place d_32x32_2_blocks(int i, int j, int block) { return {j + 32 * (i / 4 % 2), 16 * block + i % 4 + 4 * (i / 8)}; }
Place d_16x16_4_blocks(int i, int j, int block) { return {j + 16 * (i / 4), 4 * block + i % 4}; }
Place d_4x4_16_blocks(int i, int j, int block) { return {j + 4 * block, i}; }

const Shape kShapes[] = {
    {"f32_32x32x1", Type::f32, 32, 1, 2, [](int i, int, int b) { return Place{i + 32 * b, 0}; }, d_32x32_2_blocks},
    {"f32_16x16x1", Type::f32, 16, 1, 4, [](int i, int, int b) { return Place{i + 16 * b, 0}; }, d_16x16_4_blocks},
    {"f32_4x4x1", Type::f32, 4, 1, 16, [](int i, int, int b) { return Place{i + 4 * b, 0}; }, d_4x4_16_blocks},
    {"f32_32x32x2", Type::f32, 32, 2, 1, [](int i, int k, int) { return Place{i + 32 * k, 0}; }, d_32x32},
    {"f32_16x16x4", Type::f32, 16, 4, 1, [](int i, int k, int) { return Place{i + 16 * k, 0}; }, d_16x16},
    {"f16_32x32x4", Type::f16, 32, 4, 2, [](int i, int k, int b) { return Place{i + 32 * b, k}; }, d_32x32_2_blocks},
    {"f16_16x16x4", Type::f16, 16, 4, 4, [](int i, int k, int b) { return Place{i + 16 * b, k}; }, d_16x16_4_blocks},
    {"f16_4x4x4", Type::f16, 4, 4, 16, [](int i, int k, int b) { return Place{i + 4 * b, k}; }, d_4x4_16_blocks},
    {"f16_32x32x8", Type::f16, 32, 8, 1, [](int i, int k, int) { return Place{i + 32 * (k / 4), k % 4}; }, d_32x32},
    {"f16_16x16x16", Type::f16, 16, 16, 1, [](int i, int k, int) { return Place{i + 16 * (k / 4), k % 4}; }, d_16x16},
    {"bf16_32x32x4_1k", Type::bf16, 32, 4, 2, [](int i, int k, int b) { return Place{i + 32 * b, k}; },
     d_32x32_2_blocks},
    {"bf16_16x16x4_1k", Type::bf16, 16, 4, 4, [](int i, int k, int b) { return Place{i + 16 * b, k}; },
     d_16x16_4_blocks},
    {"bf16_4x4x4_1k", Type::bf16, 4, 4, 16, [](int i, int k, int b) { return Place{i + 4 * b, k}; }, d_4x4_16_blocks},
    {"bf16_32x32x8_1k", Type::bf16, 32, 8, 1, [](int i, int k, int) { return Place{i + 32 * (k / 4), k % 4}; },
     d_32x32},
    {"bf16_16x16x16_1k", Type::bf16, 16, 16, 1, [](int i, int k, int) { return Place{i + 16 * (k / 4), k % 4}; },
     d_16x16},
    {"bf16_32x32x2", Type::bf16, 32, 2, 2, [](int i, int k, int b) { return Place{i + 32 * b, k}; }, d_32x32_2_blocks,
     true},
    {"bf16_16x16x2", Type::bf16, 16, 2, 4, [](int i, int k, int b) { return Place{i + 16 * b, k}; }, d_16x16_4_blocks,
     true},
    {"bf16_4x4x2", Type::bf16, 4, 2, 16, [](int i, int k, int b) { return Place{i + 4 * b, k}; }, d_4x4_16_blocks,
     true},
    {"bf16_32x32x4", Type::bf16, 32, 4, 1, [](int i, int k, int) { return Place{i + 32 * (k / 2), k % 2}; }, d_32x32,
     true},
    {"bf16_16x16x8", Type::bf16, 16, 8, 1, [](int i, int k, int) { return Place{i + 16 * (k / 2), k % 2}; }, d_16x16,
     true},
};

/// A's or B's registers: two dwords a lane.
struct Fragment {
    std::vector<uint32_t> dwords = std::vector<uint32_t>(128);
    void put(Type type, Place place, float value)
    {
        const auto first = static_cast<size_t>(2 * place.lane);
        if (type == Type::f32) {
            dwords[first] = amd_emulator::bit_cast<uint32_t>(value);
            return;
        }
        const uint32_t bits =
            type == Type::f16 ? amd_emulator::half_nearest(value).bits : amd_emulator::bfloat16_nearest(value).bits;
        dwords[first + static_cast<size_t>(place.item / 2)] |= bits << (16 * (place.item % 2));
    }
};

std::vector<float> multiply(const char* architecture, const char* kernel, const Fragment& a, const Fragment& b,
                            const std::vector<float>& c)
{
    DeviceArray<uint32_t> device_a(a.dwords), device_b(b.dwords);
    DeviceArray<float> device_c(c), device_d(std::vector<float>(2048));
    EXPECT_EQ(loaded_module("mfma_cases", architecture)
                  .launch(kernel, 1, 1, 64, device_a.device(), device_b.device(), device_c.device(), device_d.device()),
              hipSuccess)
        << ck_fmha_emulator_last_failure();
    return device_d.fetch();
}

class Mfma : public ::testing::TestWithParam<Shape> {};
INSTANTIATE_TEST_SUITE_P(Shapes, Mfma, ::testing::ValuesIn(kShapes),
                         [](const auto& info) { return std::string(info.param.kernel); });

TEST_P(Mfma, EveryElementIsWhereTheManualSays)
{
    const Shape& shape = GetParam();
    for (const char* architecture : kArchitectures) {
        if (shape.only_gfx90a && std::string(architecture) != "gfx90a") {
            continue;
        }
        std::mt19937 random(3);
        const auto draw = [&] { return static_cast<float>(static_cast<int>(random() % 33) - 16); };
        Fragment a, b;
        std::vector<float> c(2048), expected(2048, 0), rows, columns;
        for (int block = 0; block < shape.blocks; ++block) {
            for (int i = 0; i < shape.size; ++i) {
                for (int k = 0; k < shape.depth; ++k) {
                    rows.push_back(draw());
                    columns.push_back(draw());
                    a.put(shape.type, shape.a(i, k, block), rows.back());
                    b.put(shape.type, shape.a(i, k, block), columns.back()); // B's columns lie as A's rows do
                }
            }
        }
        for (float& value : c) {
            value = draw();
        }
        std::vector<bool> is_result(2048);
        for (int block = 0; block < shape.blocks; ++block) {
            for (int i = 0; i < shape.size; ++i) {
                for (int j = 0; j < shape.size; ++j) {
                    const Place place = shape.d(i, j, block);
                    const auto at = static_cast<size_t>(place.lane * 32 + place.item);
                    ASSERT_FALSE(is_result[at]) << "the table names a place twice";
                    is_result[at] = true;
                    expected[at] = c[at];
                    for (int k = 0; k < shape.depth; ++k) {
                        expected[at] += rows[static_cast<size_t>((block * shape.size + i) * shape.depth + k)] *
                                        columns[static_cast<size_t>((block * shape.size + j) * shape.depth + k)];
                    }
                }
            }
        }
        const auto actual = multiply(architecture, shape.kernel, a, b, c);
        for (size_t at = 0; at < 2048; ++at) {
            if (is_result[at]) {
                ASSERT_EQ(actual[at], expected[at]) << architecture << ", lane " << at / 32 << ", register " << at % 32;
            }
        }
    }
}

/// One product of A(0, 0) and B(0, 0): element (0, 0) of the result, which is in register 0 of lane 0.
float product(const char* architecture, const char* kernel, Type type, float x, float y, float addend = 0)
{
    Fragment a, b;
    a.put(type, {0, 0}, x);
    b.put(type, {0, 0}, y);
    std::vector<float> c(2048);
    c[0] = addend;
    return multiply(architecture, kernel, a, b, c)[0];
}

TEST(MfmaSubnormals, Gfx90aFlushesSubnormalsOf16BitInputs)
{
    for (const auto& [kernel, type, subnormal] :
         {std::tuple("f16_32x32x8", Type::f16, 0x1p-20f), std::tuple("f16_16x16x16", Type::f16, 0x1p-24f),
          std::tuple("bf16_32x32x8_1k", Type::bf16, 0x1p-130f)}) {
        EXPECT_EQ(product("gfx90a", kernel, type, subnormal, 1024), 0.0f) << kernel;
        EXPECT_EQ(product("gfx90a", kernel, type, 1024, subnormal), 0.0f) << kernel;
        EXPECT_EQ(product("gfx942", kernel, type, subnormal, 1024), subnormal * 1024) << kernel;
    }
    EXPECT_EQ(product("gfx90a", "f16_32x32x8", Type::f16, 0x1p-14f, 1024), 0x1p-4f) << "the smallest normal half";
}

TEST(MfmaSubnormals, Gfx90aFlushesSubnormalResultsOf16BitProducts)
{
    EXPECT_EQ(product("gfx90a", "bf16_16x16x16_1k", Type::bf16, 0x1p-100f, 0x1p-30f), 0.0f);
    EXPECT_EQ(product("gfx90a", "bf16_16x16x16_1k", Type::bf16, 1, 0, 0x1p-130f), 0.0f);
    EXPECT_EQ(product("gfx942", "bf16_16x16x16_1k", Type::bf16, 0x1p-100f, 0x1p-30f), 0x1p-130f);
}

TEST(MfmaSubnormals, ProductsOfFloatKeepThem)
{
    for (const char* architecture : kArchitectures) {
        EXPECT_EQ(product(architecture, "f32_32x32x2", Type::f32, 0x1p-140f, 2), 0x1p-139f);
    }
}

/// The case that makes the flush matter to attention: one score 0 and many of -10, whose exp2 a half holds as
/// subnormals.
TEST(MfmaSubnormals, SmallProbabilitiesVanishOnGfx90a)
{
    Fragment a, b;
    for (int k = 0; k < 8; ++k) {
        a.put(Type::f16, {32 * (k / 4), k % 4}, k == 0 ? 1.0f : 0x1p-15f);
        b.put(Type::f16, {32 * (k / 4), k % 4}, 1.0f);
    }
    const std::vector<float> c(2048);
    EXPECT_EQ(multiply("gfx90a", "f16_32x32x8", a, b, c)[0], 1.0f);
    EXPECT_EQ(multiply("gfx942", "f16_32x32x8", a, b, c)[0], 1.0f + 7 * 0x1p-15f);
}

} // namespace
