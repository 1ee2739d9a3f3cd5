// What all memory instructions on lanes share: their beginning, taking over the data to store, and the access itself.
#pragma once

#include "memory_operation.hpp"
#include "operation.hpp"

namespace amd_emulator {

/// The wave's next memory operation, an access by the active lanes; its addresses and data are still to be set.
MemoryOperation& begin_access(Wave& wave, const Instruction& instruction, WaitCounter counter, MemorySpace space);

/// Loads, stores or atomics at the addresses of an operation, in the order of lanes.
void perform_on_lanes(Wave& wave, MemoryOperation& operation);

/// What is loaded goes to `count` registers from the operand's on.
void set_destination(MemoryOperation& operation, const Operand& operand, int count);

/// What is loaded goes to LDS, from M0 on, a dword a lane.
void send_to_lds(Wave& wave, MemoryOperation& operation);

/// Issues an atomic outside LDS. Comparing ones have what to compare with after the new value, which `data` begins
/// with; operand 0 receives the old value if that is asked for.
void issue_atomic(Wave& wave, MemoryOperation& operation, const Operand& data);

/// Copies `count` registers from `first` on to the operation's data from `position` on.
void take_data(Wave& wave, MemoryOperation& operation, int first, int count, int position = 0);

/// @throws Fault if data that would be stored to global memory is undefined (in the lanes and bits that are stored).
void require_defined_data(Wave& wave, const MemoryOperation& operation);

/// Addresses of generic pointers to LDS and to private memory have these upper halves.
constexpr uint64_t kSharedAperture = 0x00010000'00000000u;
constexpr uint64_t kPrivateAperture = 0x00020000'00000000u;

/// The atomic with this name after the prefix of its memory ("add", "smax_x2", "pk_add_f16"); for LDS the names differ.
struct NamedAtomic {
    const char* name;     ///< of global and buffer instructions
    const char* lds_name; ///< of LDS instructions, without the "rtn"; nullptr: there is none
    uint8_t bytes;
    bool compares;
    MemoryAccess::Atomic function;
};
const NamedAtomic* begin_atomics();
const NamedAtomic* end_atomics();

/// The sizes and extensions in the names of loads and stores.
struct NamedAccess {
    const char* name;
    uint8_t bytes;
    bool sign_extend;
    MemoryAccess::HalfRegister half;
};
const NamedAccess* begin_loads();
const NamedAccess* end_loads();
const NamedAccess* begin_stores();
const NamedAccess* end_stores();

/// The operation of the instruction table for an access on lanes.
Operation access_on_lanes(InstructionClass instruction_class, const MemoryAccess& access, Execute execute);

} // namespace amd_emulator
