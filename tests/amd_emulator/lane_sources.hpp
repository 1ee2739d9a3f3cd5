// Reading the sources of an instruction in all lanes, and writing its result.
#pragma once

#include "instruction.hpp"

#include <cstdint>

namespace amd_emulator {

/// One 32-bit part of a source in all lanes: a pointer into the register file where possible, else to `buffer`.
const uint32_t* read_part(Wave& wave, const Operand& operand, int part, Lanes& buffer);
/// The same of the bits that are undefined.
const uint32_t* read_part_undefined(Wave& wave, const Operand& operand, int part, Lanes& buffer);
/// Lanes in which a source of so many registers has undefined bits.
uint64_t undefined_lanes(Wave& wave, const Operand& operand);
/// Writes a destination register, and marks some lanes as undefined altogether.
void write_result(Wave& wave, int index, const Lanes& values, uint64_t lanes, uint64_t undefined);
/// Bit l is whether flags[l] is not zero.
uint64_t pack_mask(const uint32_t* flags);

struct SourceView {
    const uint32_t* values;
    uint64_t writable; ///< lanes that DPP leaves writable
};

enum class Plane { values, undefined };

/// A source (counted from 0) of an operation on lanes with all of its modifiers.
SourceView read_source(Wave& wave, const Instruction& instruction, int operand_index, int source, int part, Plane plane,
                       Lanes& buffer);

} // namespace amd_emulator
