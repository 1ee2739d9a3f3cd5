#include "operation.hpp"

#include "fault.hpp"

#include <stdexcept>

namespace amd_emulator {

const char* class_name(InstructionClass instruction_class)
{
    static const char* const names[kNumInstructionClasses] = {
        "scalar_alu", "scalar_memory", "vector_alu", "transcendental", "mfma",    "accumulator_move",
        "lds",        "vector_memory", "branch",     "wait",           "barrier", "other"};
    return names[static_cast<int>(instruction_class)];
}

InstructionTable::InstructionTable()
{
    add_scalar_alu(*this);
    add_scalar_compare(*this);
    add_scalar_memory(*this);
    add_control(*this);
    add_vector_integer(*this);
    add_vector_float(*this);
    add_vector_convert(*this);
    add_vector_compare(*this);
    add_division_steps(*this);
    add_cross_lane(*this);
    add_packed_math(*this);
    add_mfma(*this);
    add_lds(*this);
    add_global_memory(*this);
    add_buffer_memory(*this);
}

const InstructionTable& InstructionTable::get()
{
    static const InstructionTable table;
    return table;
}

const Operation* InstructionTable::find(const std::string& mnemonic) const
{
    const auto found = operations_.find(mnemonic);
    return found == operations_.end() ? nullptr : &found->second;
}

void InstructionTable::add(const std::string& mnemonic, const Operation& operation)
{
    if (!operations_.emplace(mnemonic, operation).second) {
        throw std::logic_error("the instruction table has two rows for " + mnemonic);
    }
}

void throw_unsupported(const Instruction& instruction, const char* what)
{
    throw Fault(FaultKind::unknown_instruction, instruction.text + ": " + what + " is not modelled");
}

} // namespace amd_emulator
