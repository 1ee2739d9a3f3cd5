// Moves between lanes and between lanes and scalars, inside the vector ALU.
#include "operation.hpp"

#include "lane_operation.hpp"
#include "wave.hpp"

namespace amd_emulator {
namespace {

Operation row(Execute execute)
{
    Operation operation;
    operation.instruction_class = InstructionClass::vector_alu;
    operation.execute = execute;
    operation.source[0] = operation.source[1] = ValueType::u32;
    return operation;
}

void read_to_scalar(Wave& wave, const Instruction& instruction, int lane)
{
    const Operand& destination = instruction.operand(0);
    const Operand& source = instruction.operand(1);
    uint64_t undefined = 0;
    if (source.is_vector()) {
        wave.sgpr[destination.index] = wave.vgpr(source.index)[lane];
        undefined = wave.undefined_bits(source.index, lane);
    } else {
        wave.sgpr[destination.index] = static_cast<uint32_t>(wave.read_scalar(source, false, undefined));
    }
    wave.sgpr_undefined[destination.index] = static_cast<uint32_t>(undefined);
}

void read_first_lane(Wave& wave, const Instruction& instruction)
{
    read_to_scalar(wave, instruction, wave.exec() == 0 ? 0 : __builtin_ctzll(wave.exec()));
}

void read_lane(Wave& wave, const Instruction& instruction)
{
    read_to_scalar(wave, instruction,
                   static_cast<int>(wave.read_defined_scalar(instruction.operand(2), "a lane number") & 63));
}

void write_lane(Wave& wave, const Instruction& instruction)
{
    uint64_t undefined = 0;
    const uint64_t value = wave.read_scalar(instruction.operand(1), false, undefined);
    const uint32_t lane = wave.read_defined_scalar(instruction.operand(2), "a lane number") & 63;
    wave.write_lane(instruction.operand(0).index, static_cast<int>(lane), static_cast<uint32_t>(value),
                    static_cast<uint32_t>(undefined));
}

void swap(Wave& wave, const Instruction& instruction)
{
    const int a = instruction.operand(0).index;
    const int b = instruction.operand(1).index;
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((wave.exec() >> lane & 1) == 0) {
            continue;
        }
        const uint32_t value = wave.vgpr(a)[lane];
        const uint32_t undefined = wave.undefined_bits(a, lane);
        wave.write_lane(a, lane, wave.vgpr(b)[lane], wave.undefined_bits(b, lane));
        wave.write_lane(b, lane, value, undefined);
    }
}

} // namespace

void add_cross_lane(InstructionTable& table)
{
    table.add("v_readfirstlane_b32", row(read_first_lane));
    table.add("v_readlane_b32", row(read_lane));
    table.add("v_writelane_b32", row(write_lane));
    table.add("v_swap_b32", row(swap));
    table.add("v_nop", row([](Wave&, const Instruction&) {}));
}

} // namespace amd_emulator
