// Operands as the disassembler prints them: registers, literals, signs.
#pragma once

#include "instruction.hpp"

#include <string>

namespace amd_emulator {

/// "v[4:5]", "-|s7|", "sext(v1)", "0x3f800000", "vcc", "off", ... @returns whether it was understood.
bool parse_operand(std::string text, Operand& operand);

} // namespace amd_emulator
