// From a line of disassembly to an Instruction.
#pragma once

#include "instruction.hpp"

#include <string>

namespace amd_emulator {

/// Takes `instruction.text` apart and finds its operation. What is not known gets a function that throws a Fault with
/// the text.
void decode(Instruction& instruction);

} // namespace amd_emulator
