#include "lane_sources.hpp"

#include "lane_modifiers.hpp"
#include "operation.hpp"
#include "wave.hpp"

#include <cstring>

namespace amd_emulator {
namespace {

void fill(Lanes& buffer, uint32_t value)
{
    for (uint32_t& lane : buffer) {
        lane = value;
    }
}

uint32_t part_of(uint64_t bits, int part) { return static_cast<uint32_t>(bits >> (32 * part)); }

/// The bit of the part (0 low, 1 high) that signs and absolute values change. Untyped operands have it too: selections
/// and moves take them as floating-point numbers.
uint32_t sign_bit(ValueType type, int part)
{
    if (is_64_bit(type)) {
        return part == 1 ? 0x80000000u : 0;
    }
    return is_16_bit(type) ? 0x8000u : 0x80000000u;
}

} // namespace

const uint32_t* read_part(Wave& wave, const Operand& operand, int part, Lanes& buffer)
{
    if (operand.is_vector()) {
        return wave.vgpr(operand.index + part);
    }
    uint64_t undefined = 0;
    fill(buffer, part_of(wave.read_scalar(operand, part != 0, undefined), part));
    return buffer;
}

const uint32_t* read_part_undefined(Wave& wave, const Operand& operand, int part, Lanes& buffer)
{
    if (operand.is_vector()) {
        for (int lane = 0; lane < kLanes; ++lane) {
            buffer[lane] = wave.undefined_bits(operand.index + part, lane);
        }
    } else {
        uint64_t undefined = 0;
        wave.read_scalar(operand, part != 0, undefined);
        fill(buffer, part_of(undefined, part));
    }
    return buffer;
}

uint64_t undefined_lanes(Wave& wave, const Operand& operand)
{
    uint64_t lanes = 0;
    if (operand.is_vector()) {
        for (int i = 0; i < operand.num_registers; ++i) {
            lanes |= wave.vgpr_undefined_lanes(operand.index + i);
        }
    } else if (operand.is_scalar()) {
        for (int i = 0; i < operand.num_registers; ++i) {
            lanes |= wave.sgpr_undefined[operand.index + i] != 0 ? ~uint64_t{0} : 0;
        }
    }
    return lanes;
}

void write_result(Wave& wave, int index, const Lanes& values, uint64_t lanes, uint64_t undefined)
{
    wave.write_vgpr(index, values, lanes);
    undefined &= lanes;
    if (undefined == 0) {
        return;
    }
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((undefined >> lane & 1) != 0) {
            wave.vgpr_undefined(index)[lane] = ~uint32_t{0};
        }
    }
    wave.vgpr_undefined_lanes(index) |= undefined;
}

uint64_t pack_mask(const uint32_t* flags)
{
    uint8_t bytes[kLanes];
    for (int lane = 0; lane < kLanes; ++lane) {
        bytes[lane] = static_cast<uint8_t>(flags[lane]);
    }
    uint64_t mask = 0;
    for (int i = 0; i < 8; ++i) {
        uint64_t eight;
        std::memcpy(&eight, bytes + 8 * i, 8);
        mask |= (eight * 0x0102040810204080u >> 56) << (8 * i); // gathers the lowest bits of eight bytes
    }
    return mask;
}

SourceView read_source(Wave& wave, const Instruction& instruction, int operand_index, int source, int part, Plane plane,
                       Lanes& buffer)
{
    const Operand& operand = instruction.operand(operand_index);
    const ValueType type = instruction.operation->source[source];
    const uint32_t* values = plane == Plane::values ? read_part(wave, operand, part, buffer)
                                                    : read_part_undefined(wave, operand, part, buffer);
    if (instruction.is_plain) {
        return {values, wave.exec()};
    }
    const Modifiers& modifiers = instruction.modifiers;
    if (values != buffer) {
        std::memcpy(buffer, values, sizeof buffer);
    }
    uint64_t writable = wave.exec();
    if (modifiers.dpp != DppMove::none && source == 0) {
        writable = apply_dpp(modifiers, wave.exec(), buffer);
    }
    if (modifiers.sdwa && source < 2) {
        for (uint32_t& lane : buffer) {
            lane = sdwa_select(lane, modifiers.sdwa_source[source], operand.sign_extend);
        }
    }
    if (is_16_bit(type) && (modifiers.op_sel >> source & 1) != 0) {
        for (uint32_t& lane : buffer) {
            lane >>= 16;
        }
    }
    if (plane == Plane::values) {
        const uint32_t sign = sign_bit(type, part);
        if (operand.absolute) {
            for (uint32_t& lane : buffer) {
                lane &= ~sign;
            }
        }
        if (operand.negate) {
            for (uint32_t& lane : buffer) {
                lane ^= sign;
            }
        }
    }
    return {buffer, writable};
}

} // namespace amd_emulator
