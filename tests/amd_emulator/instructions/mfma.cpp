// Matrix products of a wave: D = A B + C in float, for one or more blocks at a time.
//
// Of A (m x k) a lane holds `k_per_lane` consecutive k of one row; lanes go over rows first, then over k, then over
// blocks. B (k x n) is held alike, by columns. C and D: a lane holds one column; groups of four rows go over groups of
// n lanes first, then over registers, and so do the blocks.
#include "operation.hpp"

#include "lane_operation.hpp"
#include "launch.hpp"
#include "wave.hpp"

#include <cmath>

namespace amd_emulator {

enum class MatrixElement : uint8_t { f32, f16, bf16 };

struct MatrixShape {
    int m, n, k, blocks;
    MatrixElement element;
    int k_per_lane;
    int num_result_registers() const { return m * n * blocks / kLanes; }
    int lane_of(int row, int k_index, int block) const
    {
        return row + m * (k_index / k_per_lane + k / k_per_lane * block);
    }
};

namespace {

constexpr int kMaxRows = 32;
constexpr int kMaxDepth = 16;
constexpr int kMaxBlocks = 16;

/// The rows of A, or the columns of B, of all blocks as floats: vectors[block][k][row].
struct Fragments {
    alignas(64) float elements[kMaxBlocks * kMaxDepth * kMaxRows];
    uint64_t undefined_lanes = 0;
};

float element(const MatrixShape& shape, uint32_t bits, bool is_high, bool flushes)
{
    if (shape.element == MatrixElement::f32) {
        return bit_cast<float>(bits);
    }
    const auto half_bits = static_cast<uint16_t>(is_high ? bits >> 16 : bits);
    if (shape.element == MatrixElement::f16) {
        const Half value{half_bits};
        return to_float(flushes ? flush_subnormal(value) : value);
    }
    const BFloat16 value{half_bits};
    return to_float(flushes ? flush_subnormal(value) : value);
}

void gather(Wave& wave, const Operand& operand, const MatrixShape& shape, bool flushes, Fragments& fragments)
{
    const int registers_per_element = shape.element == MatrixElement::f32 ? 1 : 2;
    const int lanes_per_block = shape.m * (shape.k / shape.k_per_lane);
    for (int i = 0; i < shape.k_per_lane; ++i) {
        const Lanes& lanes = wave.vgpr(operand.index + i / registers_per_element);
        alignas(64) float values[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) {
            values[lane] = element(shape, lanes[lane], i % registers_per_element != 0, flushes);
        }
        for (int lane = 0; lane < kLanes; lane += shape.m) {
            const int block = lane / lanes_per_block;
            const int k = lane % lanes_per_block / shape.m * shape.k_per_lane + i;
            std::memcpy(fragments.elements + (block * shape.k + k) * shape.m, values + lane,
                        sizeof(float) * static_cast<size_t>(shape.m));
        }
    }
    fragments.undefined_lanes = undefined_lanes(wave, operand);
}

/// One row of one block: sum += row of A times B. A loop with a fixed width vectorises.
template <int columns>
void multiply_row(const float* a, int a_stride, const float* b, int depth, float* sum)
{
    float total[columns];
    for (int j = 0; j < columns; ++j) {
        total[j] = sum[j];
    }
    for (int k = 0; k < depth; ++k) {
        const float factor = a[k * a_stride];
        for (int j = 0; j < columns; ++j) {
            total[j] = std::fma(factor, b[k * columns + j], total[j]);
        }
    }
    for (int j = 0; j < columns; ++j) {
        sum[j] = total[j];
    }
}

void mark_undefined(Wave& wave, const MatrixShape& shape, int destination, const Fragments& a, const Fragments& b)
{
    const auto any = [&](const Fragments& fragments, int row, int block) {
        for (int k = 0; k < shape.k; k += shape.k_per_lane) {
            if ((fragments.undefined_lanes >> shape.lane_of(row, k, block) & 1) != 0) {
                return true;
            }
        }
        return false;
    };
    const int groups = kLanes / shape.n;
    for (int block = 0; block < shape.blocks; ++block) {
        for (int row = 0; row < shape.m; ++row) {
            const int group = block * (shape.m / 4) + row / 4;
            const int index = destination + 4 * (group / groups) + row % 4;
            for (int column = 0; column < shape.n; ++column) {
                const int lane = column + shape.n * (group % groups);
                if (any(a, row, block) || any(b, column, block)) {
                    wave.write_lane(index, lane, wave.vgpr(index)[lane], ~uint32_t{0});
                }
            }
        }
    }
}

void execute_mfma(Wave& wave, const Instruction& instruction)
{
    const MatrixShape& shape = *instruction.operation->matrix;
    if (instruction.modifiers.matrix_broadcast) {
        throw_unsupported(instruction, "broadcasting blocks (cbsz, abid, blgp)");
    }
    const bool flushes = wave.launch().architecture == Architecture::gfx90a && shape.element != MatrixElement::f32;
    Fragments a, b;
    gather(wave, instruction.operand(1), shape, flushes, a);
    gather(wave, instruction.operand(2), shape, flushes, b);
    const Operand& addend = instruction.operand(3);
    const int destination = instruction.operand(0).index;
    const int num_registers = shape.num_result_registers();
    alignas(64) float results[32][kLanes];
    uint64_t undefined_addend[32] = {};
    for (int i = 0; i < num_registers; ++i) {
        Lanes buffer;
        const uint32_t* values = addend.is_vector() ? wave.vgpr(addend.index + i) : read_part(wave, addend, 0, buffer);
        std::memcpy(results[i], values, sizeof(Lanes));
        if (addend.is_vector()) {
            undefined_addend[i] = wave.vgpr_undefined_lanes(addend.index + i);
        }
        if (flushes) {
            for (float& value : results[i]) {
                value = flush_subnormal(value);
            }
        }
    }
    const int groups = kLanes / shape.n;
    for (int block = 0; block < shape.blocks; ++block) {
        const float* rows = a.elements + block * shape.k * shape.m;
        const float* columns = b.elements + block * shape.k * shape.n;
        for (int row = 0; row < shape.m; ++row) {
            const int group = block * (shape.m / 4) + row / 4;
            float* sum = &results[4 * (group / groups) + row % 4][shape.n * (group % groups)];
            switch (shape.n) {
            case 32:
                multiply_row<32>(rows + row, shape.m, columns, shape.k, sum);
                break;
            case 16:
                multiply_row<16>(rows + row, shape.m, columns, shape.k, sum);
                break;
            default:
                multiply_row<4>(rows + row, shape.m, columns, shape.k, sum);
                break;
            }
        }
    }
    for (int i = 0; i < num_registers; ++i) {
        Lanes bits;
        if (flushes) {
            for (float& value : results[i]) {
                value = flush_subnormal(value);
            }
        }
        std::memcpy(bits, results[i], sizeof bits);
        write_result(wave, destination + i, bits, ~uint64_t{0}, undefined_addend[i]); // EXEC has no say
    }
    if ((a.undefined_lanes | b.undefined_lanes) != 0) {
        mark_undefined(wave, shape, destination, a, b);
    }
}

/// Names as gfx90a prints them (32x32x8f16, 32x32x8bf16_1k, 16x16x4f16) and as gfx942 does (32x32x8_f16,
/// 16x16x4_4b_f16).
void add_shape(InstructionTable& table, const MatrixShape& shape, const std::string& old_type,
               const std::string& new_type)
{
    static MatrixShape shapes[32];
    static int num_shapes = 0;
    shapes[num_shapes] = shape;
    Operation operation;
    operation.instruction_class = InstructionClass::mfma;
    operation.execute = execute_mfma;
    operation.matrix = &shapes[num_shapes++];
    operation.source[0] = operation.source[1] = ValueType::u32;
    operation.source[2] = ValueType::f32;
    operation.num_sources = 3;
    const std::string size = std::to_string(shape.m) + "x" + std::to_string(shape.n) + "x" + std::to_string(shape.k);
    const std::string blocks = shape.blocks == 1 ? "" : "_" + std::to_string(shape.blocks) + "b";
    table.add("v_mfma_f32_" + size + old_type, operation);
    if (!new_type.empty()) {
        table.add("v_mfma_f32_" + size + blocks + "_" + new_type, operation);
    }
}

} // namespace

void add_mfma(InstructionTable& table)
{
    constexpr auto f32 = MatrixElement::f32;
    constexpr auto f16 = MatrixElement::f16;
    constexpr auto bf16 = MatrixElement::bf16;
    add_shape(table, {32, 32, 1, 2, f32, 1}, "f32", "f32");
    add_shape(table, {16, 16, 1, 4, f32, 1}, "f32", "f32");
    add_shape(table, {4, 4, 1, 16, f32, 1}, "f32", "f32");
    add_shape(table, {32, 32, 2, 1, f32, 1}, "f32", "f32");
    add_shape(table, {16, 16, 4, 1, f32, 1}, "f32", "f32");
    add_shape(table, {32, 32, 4, 2, f16, 4}, "f16", "f16");
    add_shape(table, {16, 16, 4, 4, f16, 4}, "f16", "f16");
    add_shape(table, {4, 4, 4, 16, f16, 4}, "f16", "f16");
    add_shape(table, {32, 32, 8, 1, f16, 4}, "f16", "f16");
    add_shape(table, {16, 16, 16, 1, f16, 4}, "f16", "f16");
    // The first generation's bfloat16 products hold two k a lane; gfx942 has dropped them and their names.
    add_shape(table, {32, 32, 2, 2, bf16, 2}, "bf16", "");
    add_shape(table, {16, 16, 2, 4, bf16, 2}, "bf16", "");
    add_shape(table, {4, 4, 2, 16, bf16, 2}, "bf16", "");
    add_shape(table, {32, 32, 4, 1, bf16, 2}, "bf16", "");
    add_shape(table, {16, 16, 8, 1, bf16, 2}, "bf16", "");
    add_shape(table, {32, 32, 4, 2, bf16, 4}, "bf16_1k", "bf16");
    add_shape(table, {16, 16, 4, 4, bf16, 4}, "bf16_1k", "bf16");
    add_shape(table, {4, 4, 4, 16, bf16, 4}, "bf16_1k", "bf16");
    add_shape(table, {32, 32, 8, 1, bf16, 4}, "bf16_1k", "bf16");
    add_shape(table, {16, 16, 16, 1, bf16, 4}, "bf16_1k", "bf16");
}

} // namespace amd_emulator
