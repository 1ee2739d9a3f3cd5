// LDS (local data share) instructions: loads, stores, atomics; permutations of lanes that go through it.
#include "lane_memory.hpp"

#include "lane_operation.hpp"
#include "launch.hpp"
#include "wave.hpp"

namespace amd_emulator {
namespace {

using Action = MemoryAccess::Action;
using HalfRegister = MemoryAccess::HalfRegister;

/// An operation with the instruction's addresses: `address_operand` plus offset, in the active lanes.
MemoryOperation& prepare(Wave& wave, const Instruction& instruction, int address_operand)
{
    MemoryOperation& operation = begin_access(wave, instruction, WaitCounter::lds, MemorySpace::lds);
    const Operand& address = instruction.operand(address_operand);
    wave.require_defined(address.index, operation.lanes, "an LDS address");
    const Modifiers& modifiers = instruction.modifiers;
    const MemoryAccess& access = *operation.access;
    uint32_t offset = static_cast<uint32_t>(modifiers.offset);
    if (access.num_addresses == 2) {
        offset = static_cast<uint32_t>(modifiers.offset0) * access.address_unit;
        operation.second_offset = int64_t{modifiers.offset1} * access.address_unit - int64_t{offset};
    }
    const Lanes& addresses = wave.vgpr(address.index);
    for (int lane = 0; lane < kLanes; ++lane) {
        operation.address[lane] = uint64_t{addresses[lane]} + offset;
    }
    return operation;
}

void execute_load(Wave& wave, const Instruction& instruction)
{
    MemoryOperation& operation = prepare(wave, instruction, 1);
    set_destination(operation, instruction.operand(0), operation.access->num_registers());
    wave.memory.issue(wave);
}

void execute_store(Wave& wave, const Instruction& instruction)
{
    MemoryOperation& operation = prepare(wave, instruction, 0);
    const int registers = (operation.access->bytes + 3) / 4;
    for (int part = 0; part < operation.access->num_addresses; ++part) {
        take_data(wave, operation, instruction.operand(1 + part).index, registers, part * registers);
    }
    wave.memory.issue(wave);
}

/// Operands: [destination,] address, data [, data]. Comparing ones have what to compare with first.
template <bool returns>
void execute_atomic(Wave& wave, const Instruction& instruction)
{
    const int address = returns ? 1 : 0;
    MemoryOperation& operation = prepare(wave, instruction, address);
    const int registers = operation.access->bytes / 4;
    if (operation.access->compares) {
        take_data(wave, operation, instruction.operand(address + 2).index, registers, 0);
        take_data(wave, operation, instruction.operand(address + 1).index, registers, registers);
    } else {
        take_data(wave, operation, instruction.operand(address + 1).index, registers, 0);
    }
    if (returns) {
        set_destination(operation, instruction.operand(0), registers);
    }
    wave.memory.issue(wave);
}

/// Lane moves: the result is known at once, but arrives like a load. `source_of` gives the lane to read from, or -1.
template <class F>
void move_lanes(Wave& wave, const Instruction& instruction, const Operand& source, F source_of)
{
    MemoryOperation& operation = begin_access(wave, instruction, WaitCounter::lds, MemorySpace::lds);
    operation.perform = [](Wave&, MemoryOperation&) {};
    operation.has_undefined = wave.vgpr_undefined_lanes(source.index) != 0;
    for (int lane = 0; lane < kLanes; ++lane) {
        const int from = source_of(lane);
        const bool is_valid = from >= 0 && (wave.exec() >> from & 1) != 0;
        operation.data[0][lane] = is_valid ? wave.vgpr(source.index)[from] : 0;
        operation.undefined[0][lane] = is_valid ? wave.undefined_bits(source.index, from) : 0;
    }
    set_destination(operation, instruction.operand(0), 1);
    wave.memory.issue(wave);
}

void execute_backward_permute(Wave& wave, const Instruction& instruction)
{
    const int addresses = instruction.operand(1).index;
    wave.require_defined(addresses, wave.exec(), "a lane number");
    move_lanes(wave, instruction, instruction.operand(2), [&](int lane) {
        return static_cast<int>((wave.vgpr(addresses)[lane] + static_cast<uint32_t>(instruction.modifiers.offset)) / 4 &
                                63);
    });
}

void execute_forward_permute(Wave& wave, const Instruction& instruction)
{
    const int addresses = instruction.operand(1).index;
    wave.require_defined(addresses, wave.exec(), "a lane number");
    int source[kLanes];
    for (int& lane : source) {
        lane = -1;
    }
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((wave.exec() >> lane & 1) == 0) {
            continue;
        }
        source[(wave.vgpr(addresses)[lane] + static_cast<uint32_t>(instruction.modifiers.offset)) / 4 & 63] = lane;
    }
    move_lanes(wave, instruction, instruction.operand(2), [&](int lane) { return source[lane]; });
}

/// The offset field says how: four lanes permuted, or and-, or-, xor-masks within 32 lanes.
void execute_swizzle(Wave& wave, const Instruction& instruction)
{
    const uint32_t pattern = instruction.encoding[0] & 0xffffu;
    move_lanes(wave, instruction, instruction.operand(1), [&](int lane) {
        if ((pattern & 0x8000u) != 0) {
            return (lane & ~3) | static_cast<int>(pattern >> (2 * (lane & 3)) & 3);
        }
        const uint32_t within = static_cast<uint32_t>(lane) & 31;
        return (lane & 32) | static_cast<int>(((within & (pattern & 31)) | (pattern >> 5 & 31)) ^ (pattern >> 10 & 31));
    });
}

Operation row(const MemoryAccess& access, Execute execute)
{
    return access_on_lanes(InstructionClass::lds, access, execute);
}

void add_loads_and_stores(InstructionTable& table)
{
    const struct {
        const char* name;
        uint8_t bytes;
        bool sign_extend;
        HalfRegister half;
    } loads[] = {{"u8", 1, false, HalfRegister::none},     {"i8", 1, true, HalfRegister::none},
                 {"u16", 2, false, HalfRegister::none},    {"i16", 2, true, HalfRegister::none},
                 {"b32", 4, false, HalfRegister::none},    {"b64", 8, false, HalfRegister::none},
                 {"b96", 12, false, HalfRegister::none},   {"b128", 16, false, HalfRegister::none},
                 {"u8_d16", 1, false, HalfRegister::low},  {"u8_d16_hi", 1, false, HalfRegister::high},
                 {"i8_d16", 1, true, HalfRegister::low},   {"i8_d16_hi", 1, true, HalfRegister::high},
                 {"u16_d16", 2, false, HalfRegister::low}, {"u16_d16_hi", 2, false, HalfRegister::high}};
    for (const auto& load : loads) {
        MemoryAccess access;
        access.bytes = load.bytes;
        access.sign_extend = load.sign_extend;
        access.half = load.half;
        table.add(std::string("ds_read_") + load.name, row(access, execute_load));
    }
    const struct {
        const char* name;
        uint8_t bytes;
        HalfRegister half;
    } stores[] = {{"b8", 1, HalfRegister::none},        {"b16", 2, HalfRegister::none},
                  {"b8_d16_hi", 1, HalfRegister::high}, {"b16_d16_hi", 2, HalfRegister::high},
                  {"b32", 4, HalfRegister::none},       {"b64", 8, HalfRegister::none},
                  {"b96", 12, HalfRegister::none},      {"b128", 16, HalfRegister::none}};
    for (const auto& store : stores) {
        MemoryAccess access;
        access.action = Action::store;
        access.bytes = store.bytes;
        access.half = store.half;
        table.add(std::string("ds_write_") + store.name, row(access, execute_store));
    }
    for (const int bytes : {4, 8}) {
        for (const bool by_64 : {false, true}) {
            MemoryAccess access;
            access.bytes = static_cast<uint8_t>(bytes);
            access.num_addresses = 2;
            access.address_unit = static_cast<uint16_t>(by_64 ? bytes * 64 : bytes);
            const std::string name = std::string(by_64 ? "2st64_b" : "2_b") + std::to_string(8 * bytes);
            table.add("ds_read" + name, row(access, execute_load));
            access.action = Action::store;
            table.add("ds_write" + name, row(access, execute_store));
        }
    }
}

void add_atomics(InstructionTable& table)
{
    for (const NamedAtomic* atomic = begin_atomics(); atomic != end_atomics(); ++atomic) {
        MemoryAccess access;
        access.action = Action::atomic;
        access.bytes = atomic->bytes;
        access.atomic = atomic->function;
        access.compares = atomic->compares;
        const std::string name = atomic->lds_name;
        const size_t underscore = name.rfind('_');
        const bool always_returns = name.rfind("wrxchg", 0) == 0;
        if (!always_returns) {
            table.add("ds_" + name, row(access, execute_atomic<false>));
        }
        table.add("ds_" + name.substr(0, underscore) + "_rtn" + name.substr(underscore),
                  row(access, execute_atomic<true>));
    }
}

} // namespace

void add_lds(InstructionTable& table)
{
    add_loads_and_stores(table);
    add_atomics(table);
    const MemoryAccess move;
    table.add("ds_bpermute_b32", row(move, execute_backward_permute));
    table.add("ds_permute_b32", row(move, execute_forward_permute));
    table.add("ds_swizzle_b32", row(move, execute_swizzle));
}

} // namespace amd_emulator
