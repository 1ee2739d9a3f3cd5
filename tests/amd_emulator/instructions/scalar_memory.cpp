// Scalar loads. They return in any order: only a wait for lgkmcnt(0) makes their results visible.
#include "operation.hpp"

#include "lane_memory.hpp"
#include "launch.hpp"
#include "memory_map.hpp"
#include "wave.hpp"

#include <cstring>

namespace amd_emulator {
namespace {

void load_dwords(Wave& wave, MemoryOperation& operation)
{
    for (uint32_t i = 0; i < operation.num_destinations; ++i) {
        operation.data[i][0] = 0;
        if (operation.clipped && i * 4 >= operation.bytes_in_range[0]) {
            continue;
        }
        const uint64_t address = operation.address[0] + 4 * i;
        wave.launch().memory.check(address, 4, false);
        std::memcpy(&operation.data[i][0], reinterpret_cast<const void*>(address),
                    4); // NOLINT: addresses are the host's
    }
}

MemoryOperation& prepare(Wave& wave, const Instruction& instruction, uint64_t base)
{
    MemoryOperation& operation = wave.memory.prepare();
    operation.instruction = &instruction;
    operation.access = nullptr;
    operation.perform = load_dwords;
    operation.counter = WaitCounter::scalar;
    operation.space = MemorySpace::global;
    operation.lanes = 0;
    operation.to_scalar = true;
    operation.destination = instruction.operand(0).index;
    operation.num_destinations = instruction.operand(0).num_registers;
    const uint32_t offset =
        instruction.num_operands > 2 ? wave.read_defined_scalar(instruction.operand(2), "a scalar offset") : 0;
    const int64_t total =
        int64_t{instruction.modifiers.offset} +
        (instruction.operand(2).is_scalar() ? int64_t{offset} : int64_t{static_cast<int32_t>(offset)});
    operation.address[0] = (base + static_cast<uint64_t>(total)) & ~uint64_t{3};
    return operation;
}

void execute_load(Wave& wave, const Instruction& instruction)
{
    const Operand& base = instruction.operand(1);
    if (wave.sgpr64_undefined(base.index) != 0) {
        wave.throw_undefined("a scalar base address");
    }
    prepare(wave, instruction, wave.sgpr64(base.index));
    wave.memory.issue(wave);
}

/// Through a buffer descriptor: dwords beyond its end are 0.
void execute_buffer_load(Wave& wave, const Instruction& instruction)
{
    const Operand& descriptor = instruction.operand(1);
    for (int i = 0; i < 4; ++i) {
        if (wave.sgpr_undefined[descriptor.index + i] != 0) {
            wave.throw_undefined("a buffer descriptor");
        }
    }
    const uint64_t base = wave.sgpr64(descriptor.index) & 0xffffffffffffu;
    const uint32_t stride = wave.sgpr[descriptor.index + 1] >> 16 & 0x3fff;
    const uint64_t size = uint64_t{wave.sgpr[descriptor.index + 2]} * (stride == 0 ? 1 : stride);
    MemoryOperation& operation = prepare(wave, instruction, base);
    const uint64_t offset = operation.address[0] - base;
    const uint64_t left = offset < size ? (size - offset) / 4 * 4 : 0;
    operation.clipped = true;
    operation.bytes_in_range[0] = static_cast<uint8_t>(left < 64 ? left : 64);
    wave.memory.issue(wave);
}

void execute_time(Wave& wave, const Instruction& instruction)
{
    MemoryOperation& operation = prepare(wave, instruction, 0);
    operation.perform = [](Wave& w, MemoryOperation& time) {
        time.data[0][0] = static_cast<uint32_t>(w.launch().num_executed);
        time.data[1][0] = static_cast<uint32_t>(w.launch().num_executed >> 32);
    };
    wave.memory.issue(wave);
}

} // namespace

void add_scalar_memory(InstructionTable& table)
{
    const auto add = [&](const std::string& name, Execute execute) {
        Operation operation;
        operation.instruction_class = InstructionClass::scalar_memory;
        operation.execute = execute;
        table.add(name, operation);
    };
    for (const char* size : {"dword", "dwordx2", "dwordx4", "dwordx8", "dwordx16"}) {
        add(std::string("s_load_") + size, execute_load);
        add(std::string("s_buffer_load_") + size, execute_buffer_load);
    }
    add("s_memtime", execute_time);
    add("s_memrealtime", execute_time);
}

} // namespace amd_emulator
