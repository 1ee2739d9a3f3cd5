// Packed operations: two halves or two floats a lane, each picked by op_sel; mixed precision; dot products.
#include "lane_operation.hpp"

#include "launch.hpp"
#include "wave.hpp"

#include <algorithm>
#include <cmath>

namespace amd_emulator {
namespace {

/// A source of one of the two results: for 16-bit types in the low half of each value.
void read_half(Wave& wave, const Instruction& instruction, int source, int which, Lanes& values, Lanes& undefined)
{
    const Operation& operation = *instruction.operation;
    const Modifiers& modifiers = instruction.modifiers;
    const Operand& operand = instruction.operand(source + 1);
    const bool selects_high = ((which == 0 ? modifiers.op_sel : modifiers.op_sel_hi) >> source & 1) != 0;
    const bool negates = ((which == 0 ? modifiers.neg_lo : modifiers.neg_hi) >> source & 1) != 0;
    const bool is_32_bit = operation.source[source] == ValueType::f32 || operation.source[source] == ValueType::u32;
    if (is_32_bit && !operand.is_register() && selects_high) {
        throw_unsupported(instruction, "the high half of a constant");
    }
    Lanes buffer;
    const int part = is_32_bit && selects_high ? 1 : 0;
    std::memcpy(values, read_part(wave, operand, part, buffer), sizeof values);
    std::memcpy(undefined, read_part_undefined(wave, operand, part, buffer), sizeof undefined);
    const int shift = !is_32_bit && selects_high ? 16 : 0;
    const uint32_t mask = is_32_bit ? ~uint32_t{0} : 0xffffu;
    const uint32_t sign = !negates ? 0 : is_32_bit ? 0x80000000u : 0x8000u;
    for (int lane = 0; lane < kLanes; ++lane) {
        values[lane] = (values[lane] >> shift & mask) ^ sign;
        undefined[lane] = undefined[lane] >> shift & mask;
    }
}

void flush(const Operation& operation, ValueType type, const FloatMode& mode, bool is_input, Lanes& values)
{
    if (!mode.flushes_anything() || operation.keeps_subnormals) {
        return;
    }
    if (type == ValueType::f32 && (is_input ? mode.flush_input_f32() : mode.flush_output_f32())) {
        for (uint32_t& lane : values) {
            lane = bit_cast<uint32_t>(flush_subnormal(bit_cast<float>(lane)));
        }
    } else if (type == ValueType::f16 && (is_input ? mode.flush_input_f16_f64() : mode.flush_output_f16_f64())) {
        for (uint32_t& lane : values) {
            lane = flush_subnormal(Half{static_cast<uint16_t>(lane)}).bits;
        }
    }
}

void execute_packed(Wave& wave, const Instruction& instruction)
{
    const Operation& operation = *instruction.operation;
    if (instruction.modifiers.clamp) {
        throw_unsupported(instruction, "clamp of a packed operation");
    }
    const bool is_32_bit = operation.result == ValueType::f32 || operation.result == ValueType::u32;
    LaneArguments results[2];
    uint32_t undefined[2][kLanes] = {};
    for (int which = 0; which < 2; ++which) {
        Lanes values[3];
        Lanes bits;
        for (int k = 0; k < operation.num_sources; ++k) {
            read_half(wave, instruction, k, which, values[k], bits);
            flush(operation, operation.source[k], wave.mode, true, values[k]);
            for (int lane = 0; lane < kLanes; ++lane) {
                undefined[which][lane] |= bits[lane] != 0 ? ~uint32_t{0} : 0;
            }
            results[which].low[k] = values[k];
        }
        operation.lanes(results[which]);
        flush(operation, operation.result, wave.mode, false, results[which].result_low);
    }
    const int destination = instruction.operand(0).index;
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((wave.exec() >> lane & 1) == 0) {
            continue;
        }
        if (is_32_bit) {
            wave.write_lane(destination, lane, results[0].result_low[lane], undefined[0][lane]);
            wave.write_lane(destination + 1, lane, results[1].result_low[lane], undefined[1][lane]);
        } else {
            wave.write_lane(destination, lane,
                            (results[0].result_low[lane] & 0xffffu) | results[1].result_low[lane] << 16,
                            (undefined[0][lane] & 0xffffu) | undefined[1][lane] << 16);
        }
    }
}

template <class F>
Operation packed(F function)
{
    Operation operation = lanes(function);
    operation.execute = execute_packed;
    return operation;
}

/// The low result comes from the first source, the high one from the second; op_sel picks a part of each.
Operation packed_move()
{
    Operation operation;
    operation.instruction_class = InstructionClass::vector_alu;
    operation.source[0] = operation.source[1] = ValueType::u32;
    operation.num_sources = 2;
    operation.execute = [](Wave& wave, const Instruction& instruction) {
        Lanes values[2], undefined[2], buffer;
        for (int k = 0; k < 2; ++k) {
            const int part = instruction.modifiers.op_sel >> k & 1;
            std::memcpy(values[k], read_part(wave, instruction.operand(1 + k), part, buffer), sizeof(Lanes));
            std::memcpy(undefined[k], read_part_undefined(wave, instruction.operand(1 + k), part, buffer),
                        sizeof(Lanes));
        }
        for (int lane = 0; lane < kLanes; ++lane) {
            if ((wave.exec() >> lane & 1) == 0) {
                continue;
            }
            for (int k = 0; k < 2; ++k) {
                wave.write_lane(instruction.operand(0).index + k, lane, values[k][lane], undefined[k][lane]);
            }
        }
    };
    return operation;
}

/// Sources are halves where op_sel_hi says so, which op_sel then picks; else floats.
void read_mixed(Wave& wave, const Instruction& instruction, int source, Lanes& values, Lanes& undefined)
{
    const Operand& operand = instruction.operand(source + 1);
    const Modifiers& modifiers = instruction.modifiers;
    Lanes buffer;
    std::memcpy(values, read_part(wave, operand, 0, buffer), sizeof values);
    std::memcpy(undefined, read_part_undefined(wave, operand, 0, buffer), sizeof undefined);
    const bool is_half = (modifiers.op_sel_hi >> source & 1) != 0;
    const int shift = is_half && (modifiers.op_sel >> source & 1) != 0 ? 16 : 0;
    for (int lane = 0; lane < kLanes; ++lane) {
        float value = bit_cast<float>(values[lane]);
        if (is_half) {
            value = to_float(Half{static_cast<uint16_t>(values[lane] >> shift)});
            undefined[lane] = undefined[lane] >> shift & 0xffffu;
        }
        if (operand.absolute) {
            value = std::fabs(value);
        }
        if (operand.negate) {
            value = -value;
        }
        values[lane] = bit_cast<uint32_t>(value);
    }
    if (!is_half && wave.mode.flush_input_f32()) {
        for (uint32_t& lane : values) {
            lane = bit_cast<uint32_t>(flush_subnormal(bit_cast<float>(lane)));
        }
    }
}

enum class MixResult { float32, low_half, high_half };

template <MixResult kind>
void execute_mixed(Wave& wave, const Instruction& instruction)
{
    Lanes values[3];
    Lanes undefined[3];
    for (int k = 0; k < 3; ++k) {
        read_mixed(wave, instruction, k, values[k], undefined[k]);
    }
    const int destination = instruction.operand(0).index;
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((wave.exec() >> lane & 1) == 0) {
            continue;
        }
        const auto a = bit_cast<float>(values[0][lane]);
        const auto b = bit_cast<float>(values[1][lane]);
        const auto c = bit_cast<float>(values[2][lane]);
        const bool any = (undefined[0][lane] | undefined[1][lane] | undefined[2][lane]) != 0;
        float result = std::fma(a, b, c);
        if (instruction.modifiers.clamp) {
            result = result > 0 ? std::min(result, 1.0f) : 0.0f;
        }
        if (kind == MixResult::float32) {
            if (wave.mode.flush_output_f32()) {
                result = flush_subnormal(result);
            }
            wave.write_lane(destination, lane, bit_cast<uint32_t>(result), any ? ~uint32_t{0} : 0);
            continue;
        }
        const uint32_t half = half_nearest(result).bits;
        const uint32_t old = wave.vgpr(destination)[lane];
        const uint32_t old_undefined = wave.undefined_bits(destination, lane);
        if (kind == MixResult::low_half) {
            wave.write_lane(destination, lane, (old & 0xffff0000u) | half,
                            (old_undefined & 0xffff0000u) | (any ? 0xffffu : 0));
        } else {
            wave.write_lane(destination, lane, (old & 0xffffu) | half << 16,
                            (old_undefined & 0xffffu) | (any ? 0xffff0000u : 0));
        }
    }
}

template <MixResult kind>
Operation mixed()
{
    Operation operation;
    operation.instruction_class = InstructionClass::vector_alu;
    operation.execute = execute_mixed<kind>;
    operation.result = kind == MixResult::float32 ? ValueType::f32 : ValueType::f16;
    operation.source[0] = operation.source[1] = operation.source[2] = ValueType::f32;
    operation.num_sources = 3;
    return operation;
}

/// Two products of halves and a float. gfx90a knows no subnormals here.
void execute_dot2(Wave& wave, const Instruction& instruction)
{
    const bool flushes = wave.launch().architecture == Architecture::gfx90a;
    const bool accumulates = instruction.operation->accumulates;
    const Modifiers& modifiers = instruction.modifiers;
    if (modifiers.neg_lo != 0 || modifiers.neg_hi != 0 || modifiers.clamp || modifiers.has_op_sel ||
        modifiers.has_op_sel_hi || modifiers.dpp != DppMove::none) {
        throw_unsupported(instruction, "a modifier of a dot product");
    }
    Lanes buffer[3], undefined_buffer[3];
    const uint32_t* sources[3];
    const uint32_t* undefined[3];
    for (int k = 0; k < 3; ++k) {
        const Operand& operand = instruction.operand(k == 2 && accumulates ? 0 : k + 1);
        sources[k] = read_part(wave, operand, 0, buffer[k]);
        undefined[k] = read_part_undefined(wave, operand, 0, undefined_buffer[k]);
    }
    const auto half = [&](uint32_t pair, int which) {
        const Half value{static_cast<uint16_t>(pair >> (16 * which))};
        return static_cast<double>(to_float(flushes ? flush_subnormal(value) : value));
    };
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((wave.exec() >> lane & 1) == 0) {
            continue;
        }
        const uint32_t a = sources[0][lane];
        const uint32_t b = sources[1][lane];
        const double products = half(a, 0) * half(b, 0) + half(a, 1) * half(b, 1);
        const auto sum = static_cast<float>(products + static_cast<double>(bit_cast<float>(sources[2][lane])));
        const bool any = (undefined[0][lane] | undefined[1][lane] | undefined[2][lane]) != 0;
        wave.write_lane(instruction.operand(0).index, lane, bit_cast<uint32_t>(flushes ? flush_subnormal(sum) : sum),
                        any ? ~uint32_t{0} : 0);
    }
}

Operation dot2()
{
    Operation operation;
    operation.instruction_class = InstructionClass::vector_alu;
    operation.execute = execute_dot2;
    operation.source[0] = operation.source[1] = ValueType::u32;
    operation.source[2] = ValueType::f32;
    operation.num_sources = 3;
    return operation;
}

uint32_t dot4_unsigned(uint32_t a, uint32_t b, uint32_t c)
{
    for (int i = 0; i < 32; i += 8) {
        c += (a >> i & 0xff) * (b >> i & 0xff);
    }
    return c;
}
int32_t dot4_signed(uint32_t a, uint32_t b, uint32_t c)
{
    for (int i = 0; i < 32; i += 8) {
        c += static_cast<uint32_t>(static_cast<int8_t>(a >> i) * static_cast<int8_t>(b >> i));
    }
    return static_cast<int32_t>(c);
}

} // namespace

void add_packed_math(InstructionTable& table)
{
    using u16 = uint16_t;
    using i16 = int16_t;
    table.add("v_pk_add_f32", packed([](float a, float b) { return a + b; }));
    table.add("v_pk_mul_f32", packed([](float a, float b) { return a * b; }));
    table.add("v_pk_fma_f32", packed([](float a, float b, float c) { return std::fma(a, b, c); }));
    table.add("v_pk_mov_b32", packed_move());
    table.add("v_pk_add_f16", packed([](Half a, Half b) { return half_nearest(to_float(a) + to_float(b)); }));
    table.add("v_pk_mul_f16", packed([](Half a, Half b) { return half_nearest(to_float(a) * to_float(b)); }));
    table.add("v_pk_fma_f16", packed([](Half a, Half b, Half c) { return fused_multiply_add(a, b, c); }));
    table.add("v_pk_min_f16", packed([](Half a, Half b) { return half_nearest(std::fmin(to_float(a), to_float(b))); }));
    table.add("v_pk_max_f16", packed([](Half a, Half b) { return half_nearest(std::fmax(to_float(a), to_float(b))); }));
    table.add("v_pk_add_u16", packed([](u16 a, u16 b) { return static_cast<u16>(a + b); }));
    table.add("v_pk_add_i16", packed([](u16 a, u16 b) { return static_cast<u16>(a + b); }));
    table.add("v_pk_sub_u16", packed([](u16 a, u16 b) { return static_cast<u16>(a - b); }));
    table.add("v_pk_sub_i16", packed([](u16 a, u16 b) { return static_cast<u16>(a - b); }));
    table.add("v_pk_mul_lo_u16", packed([](u16 a, u16 b) { return static_cast<u16>(uint32_t{a} * b); }));
    table.add("v_pk_mad_u16", packed([](u16 a, u16 b, u16 c) { return static_cast<u16>(uint32_t{a} * b + c); }));
    table.add("v_pk_mad_i16", packed([](u16 a, u16 b, u16 c) { return static_cast<u16>(uint32_t{a} * b + c); }));
    table.add("v_pk_lshlrev_b16", packed([](u16 a, u16 b) { return static_cast<u16>(b << (a & 15)); }));
    table.add("v_pk_lshrrev_b16", packed([](u16 a, u16 b) { return static_cast<u16>(b >> (a & 15)); }));
    table.add("v_pk_ashrrev_i16", packed([](u16 a, i16 b) { return static_cast<i16>(b >> (a & 15)); }));
    table.add("v_pk_min_u16", packed([](u16 a, u16 b) { return std::min(a, b); }));
    table.add("v_pk_max_u16", packed([](u16 a, u16 b) { return std::max(a, b); }));
    table.add("v_pk_min_i16", packed([](i16 a, i16 b) { return std::min(a, b); }));
    table.add("v_pk_max_i16", packed([](i16 a, i16 b) { return std::max(a, b); }));
    table.add("v_fma_mix_f32", mixed<MixResult::float32>());
    table.add("v_fma_mixlo_f16", mixed<MixResult::low_half>());
    table.add("v_fma_mixhi_f16", mixed<MixResult::high_half>());
    table.add("v_dot2_f32_f16", dot2());
    table.add("v_dot2c_f32_f16", accumulating(dot2()));
    table.add("v_dot4_u32_u8", lanes([](uint32_t a, uint32_t b, uint32_t c) { return dot4_unsigned(a, b, c); }));
    table.add("v_dot4_i32_i8", lanes([](uint32_t a, uint32_t b, uint32_t c) { return dot4_signed(a, b, c); }));
    table.add("v_dot4c_i32_i8",
              accumulating(lanes([](uint32_t a, uint32_t b, uint32_t c) { return dot4_signed(a, b, c); })));
}

} // namespace amd_emulator
