// What DPP and SDWA do to the sources and results of an instruction on lanes.
#pragma once

#include "instruction.hpp"

#include <cstdint>

namespace amd_emulator {

/// Moves a source between lanes. @returns the lanes that may be written.
uint64_t apply_dpp(const Modifiers& modifiers, uint64_t exec, Lanes& values);

/// A part of a register as a number of 32 bits.
uint32_t sdwa_select(uint32_t value, SdwaPart part, bool sign_extend);

/// A register that held `old` after a part of it was written.
uint32_t sdwa_merge(uint32_t value, uint32_t old, SdwaPart part, SdwaUnused unused);

} // namespace amd_emulator
