#include "lane_operation.hpp"

#include "lane_modifiers.hpp"
#include "lane_sources.hpp"
#include "wave.hpp"

namespace amd_emulator {
namespace {

void flush(ValueType type, const FloatMode& mode, bool is_input, bool always, uint32_t* low, uint32_t* high)
{
    const bool flushes_32 = always || (is_input ? mode.flush_input_f32() : mode.flush_output_f32());
    const bool flushes_others = is_input ? mode.flush_input_f16_f64() : mode.flush_output_f16_f64();
    if (type == ValueType::f32 && flushes_32) {
        for (int lane = 0; lane < kLanes; ++lane) {
            low[lane] = bit_cast<uint32_t>(flush_subnormal(bit_cast<float>(low[lane])));
        }
    } else if (type == ValueType::f16 && flushes_others) {
        for (int lane = 0; lane < kLanes; ++lane) {
            low[lane] = flush_subnormal(Half{static_cast<uint16_t>(low[lane])}).bits;
        }
    } else if (type == ValueType::f64 && flushes_others) {
        for (int lane = 0; lane < kLanes; ++lane) {
            if ((high[lane] & 0x7ff00000u) == 0) {
                high[lane] &= 0x80000000u;
                low[lane] = 0;
            }
        }
    }
}

/// Output scale and clamp.
void scale_and_clamp(const Instruction& instruction, LaneArguments& arguments)
{
    const Modifiers& modifiers = instruction.modifiers;
    const ValueType type = instruction.operation->result;
    if (!is_float(type)) {
        throw_unsupported(instruction, "clamp of an integer");
    }
    const auto apply = [&](auto value) {
        using T = decltype(value);
        value = static_cast<T>(value * static_cast<T>(modifiers.output_scale));
        if (!modifiers.clamp) {
            return value;
        }
        return value > T{0} ? (value < T{1} ? value : T{1}) : T{0}; // NaN becomes 0, as with DX10_CLAMP
    };
    for (int lane = 0; lane < kLanes; ++lane) {
        uint32_t& low = arguments.result_low[lane];
        uint32_t& high = arguments.result_high[lane];
        if (type == ValueType::f32) {
            low = bit_cast<uint32_t>(apply(bit_cast<float>(low)));
        } else if (type == ValueType::f16) {
            low = half_nearest(apply(to_float(Half{static_cast<uint16_t>(low)}))).bits;
        } else {
            const auto bits = bit_cast<uint64_t>(apply(bit_cast<double>(low | uint64_t{high} << 32)));
            low = static_cast<uint32_t>(bits);
            high = static_cast<uint32_t>(bits >> 32);
        }
    }
}

/// Where the result of a 16-bit or SDWA operation goes within its register; `old` is the register.
void place_result(const Instruction& instruction, const uint32_t* old, uint32_t* values)
{
    const Modifiers& modifiers = instruction.modifiers;
    const Operation& operation = *instruction.operation;
    if (modifiers.sdwa) {
        for (int lane = 0; lane < kLanes; ++lane) {
            values[lane] = sdwa_merge(values[lane], old[lane], modifiers.sdwa_destination, modifiers.sdwa_unused);
        }
    } else if (is_16_bit(operation.result)) {
        const bool to_high = (modifiers.op_sel >> operation.num_sources & 1) != 0;
        if (to_high) {
            for (int lane = 0; lane < kLanes; ++lane) {
                values[lane] = (old[lane] & 0xffffu) | values[lane] << 16;
            }
        } else if (operation.preserves_high_half) {
            for (int lane = 0; lane < kLanes; ++lane) {
                values[lane] = (old[lane] & 0xffff0000u) | (values[lane] & 0xffffu);
            }
        }
    }
}

/// Which operands hold what.
struct OperandPlan {
    int first_source;
    int mask_out = -1;
    int mask_in = -1;
    explicit OperandPlan(const Operation& operation)
    {
        first_source = operation.result == ValueType::none ? 0 : 1;
        if (operation.has_mask_out) {
            mask_out = first_source++;
        }
        const int explicit_sources = operation.num_sources - (operation.accumulates ? 1 : 0);
        if (operation.has_mask_in && !operation.implicit_vcc) {
            mask_in = first_source + explicit_sources;
        }
    }
    int source(const Operation& operation, int k) const
    {
        return operation.accumulates && k == operation.num_sources - 1 ? 0 : first_source + k;
    }
};

/// What of the results is undefined. Only called if something of the sources is.
void follow_undefined(Wave& wave, const Instruction& instruction, const OperandPlan& plan,
                      const LaneArguments& arguments, uint64_t undefined_mask_in, LaneArguments& undefined)
{
    const Operation& operation = *instruction.operation;
    alignas(64) Lanes bits[3][2];
    for (int k = 0; k < operation.num_sources; ++k) {
        for (int part = 0; part < (is_64_bit(operation.source[k]) ? 2 : 1); ++part) {
            const uint32_t* view =
                read_source(wave, instruction, plan.source(operation, k), k, part, Plane::undefined, bits[k][part])
                    .values;
            if (view != bits[k][part]) {
                std::memcpy(bits[k][part], view, sizeof(Lanes));
            }
            if (is_16_bit(operation.source[k])) {
                for (uint32_t& lane : bits[k][part]) {
                    lane &= 0xffffu;
                }
            }
        }
        if (!is_64_bit(operation.source[k])) {
            std::memset(bits[k][1], 0, sizeof(Lanes));
        }
    }
    const uint64_t result_bits = is_16_bit(operation.result) ? 0xffffu : ~uint64_t{0};
    for (int lane = 0; lane < kLanes; ++lane) {
        uint64_t any = 0;
        bool decides = (undefined_mask_in >> lane & 1) != 0;
        for (int k = 0; k < operation.num_sources; ++k) {
            const uint64_t source = bits[k][0][lane] | uint64_t{bits[k][1][lane]} << 32;
            any |= source;
            decides |= source != 0 && k == operation.shift_source;
        }
        uint64_t result = any == 0 && !decides ? 0 : ~uint64_t{0};
        if (operation.undefined_rule == UndefinedRule::bitwise && !decides) {
            result = 0;
        }
        if (operation.undefined_rule == UndefinedRule::upward && !decides && any != 0) {
            result = ~uint64_t{0} << __builtin_ctzll(any);
        }
        undefined.result_low[lane] = static_cast<uint32_t>(result & result_bits);
        undefined.result_high[lane] = static_cast<uint32_t>(result >> 32);
        undefined.result_mask[lane] = any != 0 || decides ? 1 : 0;
    }
    if (operation.undefined_rule != UndefinedRule::bitwise) {
        return;
    }
    // Bits of the result that change when undefined bits of some of the sources are turned round.
    alignas(64) Lanes turned[3][2];
    LaneArguments other;
    for (int subset = 1; subset < 1 << operation.num_sources; ++subset) {
        for (int k = 0; k < operation.num_sources; ++k) {
            const uint32_t turn = (subset >> k & 1) != 0 ? ~uint32_t{0} : 0;
            for (int lane = 0; lane < kLanes; ++lane) {
                turned[k][0][lane] = arguments.low[k][lane] ^ (bits[k][0][lane] & turn);
                if (is_64_bit(operation.source[k])) {
                    turned[k][1][lane] = arguments.high[k][lane] ^ (bits[k][1][lane] & turn);
                }
            }
            other.low[k] = turned[k][0];
            other.high[k] = turned[k][1];
        }
        other.mask = arguments.mask;
        operation.lanes(other);
        for (int lane = 0; lane < kLanes; ++lane) {
            undefined.result_low[lane] |= other.result_low[lane] ^ arguments.result_low[lane];
            if (is_64_bit(operation.result)) {
                undefined.result_high[lane] |= other.result_high[lane] ^ arguments.result_high[lane];
            }
        }
    }
}

void write_mask(Wave& wave, const Instruction& instruction, int index, uint64_t mask, uint64_t undefined)
{
    const uint64_t exec = wave.exec();
    wave.set_sgpr64(index, mask & exec, undefined & exec);
    if (instruction.operation->writes_exec) {
        wave.set_sgpr64(kExec, mask & exec, undefined & exec);
    }
}

} // namespace

void execute_lanes(Wave& wave, const Instruction& instruction)
{
    const Operation& operation = *instruction.operation;
    const OperandPlan plan(operation);
    LaneArguments arguments;
    alignas(64) Lanes buffers[3][2];
    uint64_t writable = wave.exec();
    uint64_t undefined_sources = 0;
    const bool flushes = operation.flushes_subnormals || (wave.mode.flushes_anything() && !operation.keeps_subnormals);
    for (int k = 0; k < operation.num_sources; ++k) {
        const int index = plan.source(operation, k);
        const Operand& operand = instruction.operand(index);
        undefined_sources |= undefined_lanes(wave, operand);
        for (int part = 0; part < (is_64_bit(operation.source[k]) ? 2 : 1); ++part) {
            const SourceView view = read_source(wave, instruction, index, k, part, Plane::values, buffers[k][part]);
            (part == 0 ? arguments.low : arguments.high)[k] = view.values;
            if (k == 0) {
                writable &= view.writable;
            }
        }
        if (flushes && is_float(operation.source[k])) {
            for (int part = 0; part < (is_64_bit(operation.source[k]) ? 2 : 1); ++part) {
                const uint32_t*& values = (part == 0 ? arguments.low : arguments.high)[k];
                if (values != buffers[k][part]) {
                    std::memcpy(buffers[k][part], values, sizeof(Lanes));
                }
                values = buffers[k][part];
            }
            flush(operation.source[k], wave.mode, true, operation.flushes_subnormals, buffers[k][0], buffers[k][1]);
        }
    }
    uint64_t undefined_mask = 0;
    if (operation.has_mask_in) {
        if (plan.mask_in >= 0) {
            arguments.mask = wave.read_scalar(instruction.operand(plan.mask_in), true, undefined_mask);
        } else {
            arguments.mask = wave.sgpr64(kVcc);
            undefined_mask = wave.sgpr64_undefined(kVcc);
        }
    }
    operation.lanes(arguments);

    LaneArguments undefined;
    const bool has_undefined =
        ((undefined_sources | undefined_mask) & (instruction.is_plain ? writable : ~uint64_t{0})) != 0;
    if (has_undefined) {
        follow_undefined(wave, instruction, plan, arguments, undefined_mask, undefined);
    }
    if (plan.mask_out >= 0) {
        write_mask(wave, instruction, instruction.operand(plan.mask_out).index, pack_mask(arguments.result_mask),
                   has_undefined ? pack_mask(undefined.result_mask) : 0);
    }
    if (operation.result == ValueType::none) {
        return;
    }
    const int destination = instruction.operand(0).index;
    if (instruction.modifiers.clamp || instruction.modifiers.output_scale != 1) {
        scale_and_clamp(instruction, arguments);
    }
    if (flushes && is_float(operation.result)) {
        flush(operation.result, wave.mode, false, operation.flushes_subnormals, arguments.result_low,
              arguments.result_high);
    }
    if (!instruction.is_plain || operation.preserves_high_half) {
        place_result(instruction, wave.vgpr(destination), arguments.result_low);
    }
    const bool reads_old = !instruction.is_plain || operation.preserves_high_half;
    if (has_undefined || (reads_old && (wave.vgpr_undefined_lanes(destination) & writable) != 0)) {
        if (!has_undefined) {
            std::memset(undefined.result_low, 0, sizeof undefined.result_low);
            std::memset(undefined.result_high, 0, sizeof undefined.result_high);
        }
        if (reads_old) {
            Lanes old;
            Operand register_operand;
            register_operand.kind = Operand::Kind::vector;
            register_operand.index = static_cast<uint16_t>(destination);
            place_result(instruction, read_part_undefined(wave, register_operand, 0, old), undefined.result_low);
        }
        for (int part = 0; part < (is_64_bit(operation.result) ? 2 : 1); ++part) {
            for (int lane = 0; lane < kLanes; ++lane) {
                if ((writable >> lane & 1) == 0) {
                    continue;
                }
                wave.write_lane(destination + part, lane,
                                (part == 0 ? arguments.result_low : arguments.result_high)[lane],
                                (part == 0 ? undefined.result_low : undefined.result_high)[lane]);
            }
        }
        return;
    }
    wave.write_vgpr(destination, arguments.result_low, writable);
    if (is_64_bit(operation.result)) {
        wave.write_vgpr(destination + 1, arguments.result_high, writable);
    }
}

} // namespace amd_emulator
