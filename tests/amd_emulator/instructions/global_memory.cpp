// Global, generic (flat) and private (scratch) memory: loads, stores, atomics, loads straight into LDS.
#include "lane_memory.hpp"

#include "launch.hpp"
#include "wave.hpp"

namespace amd_emulator {
namespace {

using Action = MemoryAccess::Action;

/// Global: an address of 64 bits, or with a scalar base an offset of 32. Private: an offset of each of the two.
/// Generic: 64 bits.
void set_addresses(Wave& wave, MemoryOperation& operation, const Operand& address, const Operand* base)
{
    const bool has_base = base != nullptr && base->is_scalar();
    const bool is_scratch = operation.space == MemorySpace::scratch;
    uint64_t start = static_cast<uint64_t>(int64_t{operation.instruction->modifiers.offset});
    if (has_base) {
        for (int i = 0; i < (is_scratch ? 1 : 2); ++i) {
            if (wave.sgpr_undefined[base->index + i] != 0) {
                wave.throw_undefined("a scalar base address");
            }
        }
        start += is_scratch ? wave.sgpr[base->index] : wave.sgpr64(base->index);
    }
    if (!address.is_vector()) { // private memory only: "off"
        for (uint64_t& lane : operation.address) {
            lane = start;
        }
        return;
    }
    wave.require_defined(address.index, operation.lanes, "an address");
    const Lanes& low = wave.vgpr(address.index);
    if (has_base || is_scratch) {
        for (int lane = 0; lane < kLanes; ++lane) {
            operation.address[lane] = start + low[lane];
        }
        return;
    }
    wave.require_defined(address.index + 1, operation.lanes, "an address");
    const Lanes& high = wave.vgpr(address.index + 1);
    for (int lane = 0; lane < kLanes; ++lane) {
        operation.address[lane] = start + (low[lane] | uint64_t{high[lane]} << 32);
    }
}

template <MemorySpace space>
MemoryOperation& prepare(Wave& wave, const Instruction& instruction, int address_operand, int base_operand)
{
    constexpr WaitCounter kCounter = space == MemorySpace::flat ? WaitCounter::flat : WaitCounter::vector;
    MemoryOperation& operation = begin_access(wave, instruction, kCounter, space);
    set_addresses(wave, operation, instruction.operand(address_operand),
                  space == MemorySpace::flat ? nullptr : &instruction.operand(base_operand));
    return operation;
}

template <MemorySpace space>
void execute_load(Wave& wave, const Instruction& instruction)
{
    if (instruction.modifiers.to_lds) { // no destination
        send_to_lds(wave, prepare<space>(wave, instruction, 0, 1));
    } else {
        MemoryOperation& operation = prepare<space>(wave, instruction, 1, 2);
        set_destination(operation, instruction.operand(0), operation.access->num_registers());
    }
    wave.memory.issue(wave);
}

void execute_load_lds(Wave& wave, const Instruction& instruction)
{
    send_to_lds(wave, prepare<MemorySpace::global>(wave, instruction, 0, 1));
    wave.memory.issue(wave);
}

template <MemorySpace space>
void execute_store(Wave& wave, const Instruction& instruction)
{
    MemoryOperation& operation = prepare<space>(wave, instruction, 0, 2);
    take_data(wave, operation, instruction.operand(1).index, operation.access->num_registers());
    if (space != MemorySpace::scratch) {
        require_defined_data(wave, operation);
    }
    wave.memory.issue(wave);
}

/// Operands: [destination,] address, data, base.
template <MemorySpace space>
void execute_atomic(Wave& wave, const Instruction& instruction)
{
    const int first = instruction.modifiers.returns ? 1 : 0;
    issue_atomic(wave, prepare<space>(wave, instruction, first, first + 2), instruction.operand(first + 1));
}

Operation row(const MemoryAccess& access, Execute execute)
{
    return access_on_lanes(InstructionClass::vector_memory, access, execute);
}

template <MemorySpace space>
void add_space(InstructionTable& table, const std::string& prefix)
{
    for (const NamedAccess* load = begin_loads(); load != end_loads(); ++load) {
        MemoryAccess access;
        access.bytes = load->bytes;
        access.sign_extend = load->sign_extend;
        access.half = load->half;
        table.add(prefix + "load_" + load->name, row(access, execute_load<space>));
    }
    for (const NamedAccess* store = begin_stores(); store != end_stores(); ++store) {
        MemoryAccess access;
        access.action = Action::store;
        access.bytes = store->bytes;
        access.half = store->half;
        table.add(prefix + "store_" + store->name, row(access, execute_store<space>));
    }
    if (space == MemorySpace::scratch) {
        return;
    }
    for (const NamedAtomic* atomic = begin_atomics(); atomic != end_atomics(); ++atomic) {
        MemoryAccess access;
        access.action = Action::atomic;
        access.bytes = atomic->bytes;
        access.atomic = atomic->function;
        access.compares = atomic->compares;
        table.add(prefix + "atomic_" + atomic->name, row(access, execute_atomic<space>));
    }
}

} // namespace

void add_global_memory(InstructionTable& table)
{
    add_space<MemorySpace::global>(table, "global_");
    add_space<MemorySpace::flat>(table, "flat_");
    add_space<MemorySpace::scratch>(table, "scratch_");
    table.add("global_load_lds_dword", row(MemoryAccess(), execute_load_lds));
}

} // namespace amd_emulator
