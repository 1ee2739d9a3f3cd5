// Buffer instructions: addresses through a descriptor of four scalars, with range checks as the hardware does them.
#include "lane_memory.hpp"

#include "launch.hpp"
#include "wave.hpp"

#include <algorithm>

namespace amd_emulator {
namespace {

using Action = MemoryAccess::Action;

struct Descriptor {
    uint64_t base;
    uint32_t stride;
    uint32_t num_records;
    bool is_swizzled;

    Descriptor(Wave& wave, const Operand& operand)
    {
        for (int i = 0; i < 4; ++i) {
            if (wave.sgpr_undefined[operand.index + i] != 0) {
                wave.throw_undefined("a buffer descriptor");
            }
        }
        const uint32_t* words = wave.sgpr + operand.index;
        base = (words[0] | uint64_t{words[1]} << 32) & 0xffffffffffffu;
        stride = words[1] >> 16 & 0x3fff;
        is_swizzled = (words[1] >> 31) != 0;
        num_records = words[2];
    }
};

/// Sets addresses, drops lanes out of range (they load 0 and store nothing) and cuts those at the end.
void set_addresses(Wave& wave, MemoryOperation& operation, const Operand& address, const Descriptor& descriptor,
                   uint32_t scalar_offset)
{
    const Modifiers& modifiers = operation.instruction->modifiers;
    const int num_address_registers = (modifiers.offset_enable ? 1 : 0) + (modifiers.index_enable ? 1 : 0);
    for (int i = 0; i < num_address_registers; ++i) {
        wave.require_defined(address.index + i, operation.lanes, "a buffer offset");
    }
    const uint32_t bytes = operation.access->bytes;
    operation.clipped = true;
    for (int lane = 0; lane < kLanes; ++lane) {
        uint64_t index = 0;
        uint64_t offset = static_cast<uint64_t>(modifiers.offset);
        if (modifiers.index_enable) {
            index = wave.vgpr(address.index)[lane];
        }
        if (modifiers.offset_enable) {
            offset += wave.vgpr(address.index + (modifiers.index_enable ? 1 : 0))[lane];
        }
        uint64_t in_range = bytes;
        if (descriptor.stride != 0) { // structured: whole records
            in_range = index < descriptor.num_records ? bytes : 0;
        } else { // raw: each dword by itself; a part of a dword is out
            const uint64_t end = descriptor.num_records - std::min(descriptor.num_records, scalar_offset);
            in_range = offset < end ? std::min<uint64_t>(bytes, end - offset) : 0;
            in_range = bytes < 4 ? (in_range == bytes ? bytes : 0) : in_range / 4 * 4;
        }
        operation.bytes_in_range[lane] = static_cast<uint8_t>(in_range);
        operation.address[lane] = descriptor.base + scalar_offset + offset + index * descriptor.stride;
    }
}

MemoryOperation& prepare(Wave& wave, const Instruction& instruction, int address_operand)
{
    MemoryOperation& operation = begin_access(wave, instruction, WaitCounter::vector, MemorySpace::global);
    const Descriptor descriptor(wave, instruction.operand(address_operand + 1));
    const uint32_t scalar_offset =
        wave.read_defined_scalar(instruction.operand(address_operand + 2), "a buffer's scalar offset");
    set_addresses(wave, operation, instruction.operand(address_operand), descriptor, scalar_offset);
    if (descriptor.is_swizzled) {
        // Only the descriptor of private memory is: offsets are of the lane's own memory, whatever the base. The
        // scalar offset is not swizzled: it counts the bytes of all lanes. It is the stack pointer of functions that
        // are called.
        if (descriptor.base != kPrivateAperture >> 8 || scalar_offset % kLanes != 0) {
            throw_unsupported(instruction, "a swizzled buffer");
        }
        operation.space = MemorySpace::scratch;
        operation.clipped = false;
        for (uint64_t& address : operation.address) {
            address += scalar_offset / kLanes - (descriptor.base + scalar_offset);
        }
    }
    return operation;
}

void execute_load(Wave& wave, const Instruction& instruction)
{
    if (instruction.modifiers.to_lds) { // no destination
        send_to_lds(wave, prepare(wave, instruction, 0));
    } else {
        MemoryOperation& operation = prepare(wave, instruction, 1);
        set_destination(operation, instruction.operand(0), operation.access->num_registers());
    }
    wave.memory.issue(wave);
}

void execute_store(Wave& wave, const Instruction& instruction)
{
    MemoryOperation& operation = prepare(wave, instruction, 1);
    take_data(wave, operation, instruction.operand(0).index, operation.access->num_registers());
    if (operation.space == MemorySpace::global) {
        require_defined_data(wave, operation);
    }
    wave.memory.issue(wave);
}

/// The data registers receive the old value, if it is asked for.
void execute_atomic(Wave& wave, const Instruction& instruction)
{
    issue_atomic(wave, prepare(wave, instruction, 1), instruction.operand(0));
}

Operation row(const MemoryAccess& access, Execute execute)
{
    return access_on_lanes(InstructionClass::vector_memory, access, execute);
}

} // namespace

void add_buffer_memory(InstructionTable& table)
{
    for (const NamedAccess* load = begin_loads(); load != end_loads(); ++load) {
        MemoryAccess access;
        access.bytes = load->bytes;
        access.sign_extend = load->sign_extend;
        access.half = load->half;
        table.add(std::string("buffer_load_") + load->name, row(access, execute_load));
    }
    for (const NamedAccess* store = begin_stores(); store != end_stores(); ++store) {
        MemoryAccess access;
        access.action = Action::store;
        access.bytes = store->bytes;
        access.half = store->half;
        table.add(std::string("buffer_store_") + store->name, row(access, execute_store));
    }
    for (const NamedAtomic* atomic = begin_atomics(); atomic != end_atomics(); ++atomic) {
        MemoryAccess access;
        access.action = Action::atomic;
        access.bytes = atomic->bytes;
        access.atomic = atomic->function;
        access.compares = atomic->compares;
        table.add(std::string("buffer_atomic_") + atomic->name, row(access, execute_atomic));
    }
}

} // namespace amd_emulator
