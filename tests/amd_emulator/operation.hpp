// What a mnemonic does: a row of the instruction table.
#pragma once

#include "instruction.hpp"
#include "memory_operation.hpp"

#include <string>
#include <unordered_map>

namespace amd_emulator {

enum class InstructionClass : uint8_t {
    scalar_alu,
    scalar_memory,
    vector_alu,
    transcendental,
    mfma,
    accumulator_move,
    lds,
    vector_memory,
    branch,
    wait,
    barrier,
    other
};
constexpr int kNumInstructionClasses = 12;
const char* class_name(InstructionClass instruction_class);

/// Sources and results of an operation that treats each lane alike. 64-bit values are split in two.
struct LaneArguments {
    const uint32_t* low[3];
    const uint32_t* high[3];
    uint64_t mask; ///< one bit a lane: carry in, selection
    alignas(64) uint32_t result_low[kLanes];
    alignas(64) uint32_t result_high[kLanes];
    alignas(64) uint32_t result_mask[kLanes]; ///< 0 or 1: carry out, comparison
};
using LaneFunction = void (*)(LaneArguments&);

struct ScalarArguments {
    uint64_t source[3];
    bool scc;
    uint64_t result;
    bool result_scc;
};
using ScalarFunction = void (*)(ScalarArguments&);

/// Which bits of a result are undefined if some of the sources' are. Compilers leave the upper halves of registers
/// undefined where only lower bits of the result matter.
enum class UndefinedRule : uint8_t {
    whole,   ///< all
    bitwise, ///< those that change with undefined bits of the sources: each depends on few of them
    upward,  ///< those from the lowest undefined bit on: sums and products
};

struct Operation {
    InstructionClass instruction_class = InstructionClass::other;
    Execute execute = nullptr;

    // --- operations on lanes (lane_operation.hpp), and scalar ones (scalar_operation.hpp) ---
    LaneFunction lanes = nullptr;
    ScalarFunction scalar = nullptr;
    ValueType result = ValueType::none;
    ValueType source[3] = {ValueType::none, ValueType::none, ValueType::none};
    uint8_t num_sources = 0;
    bool has_mask_in = false;
    bool has_mask_out = false;
    bool has_scc_in = false;
    bool has_scc_out = false;
    bool scc_is_nonzero = false; ///< the scalar condition code says whether the result is not zero
    UndefinedRule undefined_rule = UndefinedRule::whole;
    int8_t shift_source = -1;         ///< with `upward`: the source that says how far to shift, which must be defined
    bool accumulates = false;         ///< the destination is the last source too
    bool implicit_vcc = false;        ///< the mask that it reads is vcc, without being an operand
    bool writes_exec = false;         ///< v_cmpx
    bool preserves_high_half = false; ///< of the destination of a 16-bit operation; others clear it
    bool keeps_subnormals = false;    ///< whatever the mode says
    bool flushes_subnormals = false;  ///< whatever the mode says

    // --- memory ---
    const MemoryAccess* access = nullptr;

    // --- matrix products: see mfma.cpp ---
    const struct MatrixShape* matrix = nullptr;
};

class InstructionTable {
public:
    static const InstructionTable& get();
    /// @returns nullptr if there is none.
    const Operation* find(const std::string& mnemonic) const;
    void add(const std::string& mnemonic, const Operation& operation);
    size_t size() const { return operations_.size(); }
    const std::unordered_map<std::string, Operation>& operations() const { return operations_; }

private:
    InstructionTable();
    std::unordered_map<std::string, Operation> operations_;
};

// One function for each file in instructions/.
void add_scalar_alu(InstructionTable& table);
void add_scalar_compare(InstructionTable& table);
void add_scalar_memory(InstructionTable& table);
void add_control(InstructionTable& table);
void add_vector_integer(InstructionTable& table);
void add_vector_float(InstructionTable& table);
void add_vector_convert(InstructionTable& table);
void add_vector_compare(InstructionTable& table);
void add_division_steps(InstructionTable& table);
void add_cross_lane(InstructionTable& table);
void add_packed_math(InstructionTable& table);
void add_mfma(InstructionTable& table);
void add_lds(InstructionTable& table);
void add_global_memory(InstructionTable& table);
void add_buffer_memory(InstructionTable& table);

/// For forms that are known not to be modelled.
[[noreturn]] void throw_unsupported(const Instruction& instruction, const char* what);

} // namespace amd_emulator
