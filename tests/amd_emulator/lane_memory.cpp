#include "lane_memory.hpp"

#include "launch.hpp"
#include "memory_map.hpp"
#include "wave.hpp"

#include <deque>
#include <iterator>

namespace amd_emulator {
namespace {

using HalfRegister = MemoryAccess::HalfRegister;

struct Location {
    uint8_t* data;
    uint8_t* undefined; ///< of LDS: what was never written
};

Location locate_lds(Wave& wave, uint64_t address, uint32_t bytes, bool write)
{
    WorkGroup& group = wave.group();
    if (address + bytes > group.lds.size()) {
        throw Fault(FaultKind::lds_out_of_bounds,
                    format("%s of %u bytes at LDS address %lld; the work-group has %zu bytes", write ? "write" : "read",
                           bytes, static_cast<long long>(address), group.lds.size()));
    }
    for (const MemoryOperation* dma : group.lds_dma) {
        if (address < dma->lds_base + 4u * kLanes && dma->lds_base < address + bytes) {
            throw Fault(FaultKind::missing_wait,
                        format("LDS bytes at %llu are used while '%s' is in flight to them",
                               static_cast<unsigned long long>(address), dma->instruction->text.c_str()));
        }
    }
    return {group.lds.data() + address, group.lds_undefined.data() + address};
}

Location locate_scratch(Wave& wave, int lane, uint64_t address, uint32_t bytes)
{
    if (address + bytes > wave.scratch_size()) {
        throw Fault(FaultKind::out_of_bounds, format("%u bytes at private address %llu; a lane has %u bytes", bytes,
                                                     static_cast<unsigned long long>(address), wave.scratch_size()));
    }
    return {wave.scratch(lane) + address, nullptr};
}

Location locate(Wave& wave, MemorySpace space, int lane, uint64_t address, uint32_t bytes, bool write)
{
    switch (space) {
    case MemorySpace::lds: // a sum of 32 bits, which wraps round
        return locate_lds(wave, address & 0xffffffffu, bytes, write);
    case MemorySpace::scratch:
        return locate_scratch(wave, lane, address, bytes);
    case MemorySpace::flat:
        if (address >> 32 == kSharedAperture >> 32) {
            return locate_lds(wave, address & 0xffffffffu, bytes, write);
        }
        if (address >> 32 == kPrivateAperture >> 32) {
            return locate_scratch(wave, lane, address & 0xffffffffu, bytes);
        }
        break;
    case MemorySpace::global:
        break;
    }
    wave.launch().memory.check(address, bytes, write);
    return {reinterpret_cast<uint8_t*>(address), nullptr}; // NOLINT: the device's addresses are the host's
}

uint32_t extend(uint32_t value, const MemoryAccess& access)
{
    if (!access.sign_extend) {
        return value;
    }
    return access.bytes == 1 ? static_cast<uint32_t>(static_cast<int8_t>(value))
                             : static_cast<uint32_t>(static_cast<int16_t>(value));
}

/// How many registers' worth of bytes at an address a lane may access: all, but where a buffer ends.
uint32_t bytes_of(const MemoryOperation& operation, int lane)
{
    return operation.clipped ? operation.bytes_in_range[lane] : operation.access->bytes;
}

void note_undefined_read(Wave& wave, const MemoryOperation& operation, int lane, uint64_t address)
{
    std::string& note = wave.group().undefined_read;
    if (note.empty()) {
        note =
            format("LDS address %llu, never written, read by '%s' in lane %d of wave %u",
                   static_cast<unsigned long long>(address), operation.instruction->text.c_str(), lane, wave.number());
    }
}

template <int bytes>
void load_lanes(Wave& wave, MemoryOperation& operation)
{
    constexpr int registers = (bytes + 3) / 4;
    for (int part = 0; part < operation.access->num_addresses; ++part) {
        const auto offset = static_cast<uint64_t>(part == 0 ? 0 : operation.second_offset);
        for (int lane = 0; lane < kLanes; ++lane) {
            if ((operation.lanes >> lane & 1) == 0) {
                continue;
            }
            uint32_t value[registers] = {};
            uint32_t undefined[registers] = {};
            const uint64_t address = operation.address[lane] + offset;
            const uint32_t size = bytes_of(operation, lane);
            if (size != 0) {
                const Location location = locate(wave, operation.space, lane, address, size, false);
                if (size == bytes) {
                    std::memcpy(value, location.data, bytes);
                    if (location.undefined != nullptr) {
                        std::memcpy(undefined, location.undefined, bytes);
                    }
                } else {
                    std::memcpy(value, location.data, size);
                }
            }
            for (int i = 0; i < registers; ++i) {
                const int index = part * registers + i;
                operation.data[index][lane] = bytes < 4 ? extend(value[i], *operation.access) : value[i];
                if (undefined[i] != 0 || operation.has_undefined) {
                    if (!operation.has_undefined) {
                        std::memset(operation.undefined, 0, sizeof operation.undefined);
                        operation.has_undefined = true;
                        note_undefined_read(wave, operation, lane, address);
                    }
                    operation.undefined[index][lane] =
                        bytes < 4 ? extend(undefined[i], *operation.access) : undefined[i];
                }
            }
        }
    }
}

template <int bytes>
void store_lanes(Wave& wave, MemoryOperation& operation)
{
    constexpr int registers = (bytes + 3) / 4;
    const int shift = operation.access->half == HalfRegister::high ? 16 : 0;
    for (int part = 0; part < operation.access->num_addresses; ++part) {
        const auto offset = static_cast<uint64_t>(part == 0 ? 0 : operation.second_offset);
        for (int lane = 0; lane < kLanes; ++lane) {
            const uint32_t size = bytes_of(operation, lane);
            if ((operation.lanes >> lane & 1) == 0 || size == 0) {
                continue;
            }
            uint32_t value[registers];
            uint32_t undefined[registers];
            for (int i = 0; i < registers; ++i) {
                value[i] = operation.data[part * registers + i][lane] >> shift;
                undefined[i] = operation.has_undefined ? operation.undefined[part * registers + i][lane] >> shift : 0;
            }
            const Location location = locate(wave, operation.space, lane, operation.address[lane] + offset, size, true);
            std::memcpy(location.data, value, size);
            if (location.undefined != nullptr) {
                std::memcpy(location.undefined, undefined, size);
            }
        }
    }
}

void do_atomics(Wave& wave, MemoryOperation& operation)
{
    const MemoryAccess& access = *operation.access;
    const int registers = access.bytes / 4;
    const auto joined = [&](int first, int lane) {
        return registers == 1 ? operation.data[first][lane]
                              : operation.data[first][lane] | uint64_t{operation.data[first + 1][lane]} << 32;
    };
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((operation.lanes >> lane & 1) == 0) {
            continue;
        }
        uint64_t old = 0;
        if (bytes_of(operation, lane) != 0) {
            const Location location = locate(wave, operation.space, lane, operation.address[lane], access.bytes, true);
            std::memcpy(&old, location.data, access.bytes);
            const uint64_t result = access.atomic(old, joined(0, lane), access.compares ? joined(registers, lane) : 0);
            std::memcpy(location.data, &result, access.bytes);
        }
        for (int i = 0; i < registers; ++i) {
            operation.data[i][lane] = static_cast<uint32_t>(old >> (32 * i));
        }
    }
    operation.has_undefined = false; // that was of the operands
}

/// LDS-DMA: each lane's dword goes to the next place in LDS.
void copy_to_lds(Wave& wave, MemoryOperation& operation)
{
    WorkGroup& group = wave.group();
    load_lanes<4>(wave, operation);
    for (int lane = 0; lane < kLanes; ++lane) {
        if ((operation.lanes >> lane & 1) == 0) {
            continue;
        }
        const uint64_t address = operation.lds_base + 4u * static_cast<uint32_t>(lane);
        if (address + 4 > group.lds.size()) {
            throw Fault(FaultKind::lds_out_of_bounds,
                        format("LDS-DMA to LDS address %llu; the work-group has %zu bytes",
                               static_cast<unsigned long long>(address), group.lds.size()));
        }
        std::memcpy(group.lds.data() + address, &operation.data[0][lane], 4);
        std::memset(group.lds_undefined.data() + address, 0, 4);
    }
}

constexpr auto kWhole = HalfRegister::none;
const NamedAccess kLoads[] = {
    {"ubyte", 1, false, kWhole},
    {"sbyte", 1, true, kWhole},
    {"ushort", 2, false, kWhole},
    {"sshort", 2, true, kWhole},
    {"dword", 4, false, kWhole},
    {"dwordx2", 8, false, kWhole},
    {"dwordx3", 12, false, kWhole},
    {"dwordx4", 16, false, kWhole},
    {"ubyte_d16", 1, false, HalfRegister::low},
    {"ubyte_d16_hi", 1, false, HalfRegister::high},
    {"sbyte_d16", 1, true, HalfRegister::low},
    {"sbyte_d16_hi", 1, true, HalfRegister::high},
    {"short_d16", 2, false, HalfRegister::low},
    {"short_d16_hi", 2, false, HalfRegister::high},
};
const NamedAccess kStores[] = {
    {"byte", 1, false, kWhole},     {"byte_d16_hi", 1, false, HalfRegister::high},
    {"short", 2, false, kWhole},    {"short_d16_hi", 2, false, HalfRegister::high},
    {"dword", 4, false, kWhole},    {"dwordx2", 8, false, kWhole},
    {"dwordx3", 12, false, kWhole}, {"dwordx4", 16, false, kWhole},
};

} // namespace

const NamedAccess* begin_loads() { return std::begin(kLoads); }
const NamedAccess* end_loads() { return std::end(kLoads); }
const NamedAccess* begin_stores() { return std::begin(kStores); }
const NamedAccess* end_stores() { return std::end(kStores); }

Operation access_on_lanes(InstructionClass instruction_class, const MemoryAccess& access, Execute execute)
{
    static std::deque<MemoryAccess> kept; // operations point to them
    kept.push_back(access);
    Operation operation;
    operation.instruction_class = instruction_class;
    operation.execute = execute;
    operation.access = &kept.back();
    return operation;
}

MemoryOperation& begin_access(Wave& wave, const Instruction& instruction, WaitCounter counter, MemorySpace space)
{
    MemoryOperation& operation = wave.memory.prepare();
    operation.instruction = &instruction;
    operation.access = instruction.operation->access;
    operation.perform = perform_on_lanes;
    operation.counter = counter;
    operation.space = space;
    operation.lanes = wave.exec();
    return operation;
}

void perform_on_lanes(Wave& wave, MemoryOperation& operation)
{
    const MemoryAccess& access = *operation.access;
    if (operation.writes_lds) {
        return copy_to_lds(wave, operation);
    }
    if (access.action == MemoryAccess::Action::atomic) {
        return do_atomics(wave, operation);
    }
    const bool is_load = access.action == MemoryAccess::Action::load;
    switch (access.bytes) {
    case 1:
        return is_load ? load_lanes<1>(wave, operation) : store_lanes<1>(wave, operation);
    case 2:
        return is_load ? load_lanes<2>(wave, operation) : store_lanes<2>(wave, operation);
    case 4:
        return is_load ? load_lanes<4>(wave, operation) : store_lanes<4>(wave, operation);
    case 8:
        return is_load ? load_lanes<8>(wave, operation) : store_lanes<8>(wave, operation);
    case 12:
        return is_load ? load_lanes<12>(wave, operation) : store_lanes<12>(wave, operation);
    default:
        return is_load ? load_lanes<16>(wave, operation) : store_lanes<16>(wave, operation);
    }
}

void take_data(Wave& wave, MemoryOperation& operation, int first, int count, int position)
{
    for (int i = 0; i < count; ++i) {
        std::memcpy(operation.data[position + i], wave.vgpr(first + i), sizeof(Lanes));
        if ((wave.vgpr_undefined_lanes(first + i) & operation.lanes) == 0) {
            if (operation.has_undefined) {
                std::memset(operation.undefined[position + i], 0, sizeof(Lanes));
            }
            continue;
        }
        if (!operation.has_undefined) {
            std::memset(operation.undefined, 0, sizeof operation.undefined);
            operation.has_undefined = true;
        }
        for (int lane = 0; lane < kLanes; ++lane) {
            operation.undefined[position + i][lane] = wave.undefined_bits(first + i, lane);
        }
    }
}

void set_destination(MemoryOperation& operation, const Operand& operand, int count)
{
    operation.destination = operand.index;
    operation.num_destinations = static_cast<uint8_t>(count);
}

void send_to_lds(Wave& wave, MemoryOperation& operation)
{
    if (operation.access->bytes != 4) {
        throw_unsupported(*operation.instruction, "LDS-DMA of anything but dwords");
    }
    if (wave.sgpr_undefined[kM0] != 0) {
        wave.throw_undefined("M0, the LDS address");
    }
    operation.writes_lds = true;
    operation.lds_base = (wave.sgpr[kM0] & 0xffffu) + static_cast<uint32_t>(operation.instruction->modifiers.offset);
}

void issue_atomic(Wave& wave, MemoryOperation& operation, const Operand& data)
{
    const int registers = operation.access->bytes / 4;
    take_data(wave, operation, data.index, operation.access->compares ? 2 * registers : registers);
    require_defined_data(wave, operation);
    if (operation.instruction->modifiers.returns) {
        set_destination(operation, operation.instruction->operand(0), registers);
    }
    wave.memory.issue(wave);
}

void require_defined_data(Wave& wave, const MemoryOperation& operation)
{
    if (!operation.has_undefined || !wave.launch().options.check_stores) {
        return;
    }
    const MemoryAccess& access = *operation.access;
    uint32_t stored = access.bytes == 1 ? 0xffu : access.bytes == 2 ? 0xffffu : ~uint32_t{0};
    if (access.half == HalfRegister::high) {
        stored <<= 16;
    }
    for (int i = 0; i < access.num_registers() * (access.compares ? 2 : 1); ++i) {
        for (int lane = 0; lane < kLanes; ++lane) {
            if ((operation.lanes >> lane & 1) == 0 || bytes_of(operation, lane) == 0) {
                continue;
            }
            if ((operation.undefined[i][lane] & stored) != 0) {
                wave.throw_undefined(format("dword %d that lane %d stores", i, lane).c_str());
            }
        }
    }
}

} // namespace amd_emulator
