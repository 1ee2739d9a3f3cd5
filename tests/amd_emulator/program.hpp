// The machine code of a loaded code object, decoded once.
#pragma once

#include "instruction.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace amd_emulator {

class Program {
public:
    /// Decodes `size` bytes of code at `code`. @throws std::runtime_error if LLVM does not know the processor.
    Program(const uint8_t* code, size_t size, const std::string& processor);

    const Instruction& operator[](int32_t index) const { return instructions_[static_cast<size_t>(index)]; }
    int32_t size() const { return static_cast<int32_t>(instructions_.size()); }
    /// The instruction at this address. @throws Fault if none begins there.
    int32_t index_of(uint64_t address) const;

private:
    uint64_t begin_;
    std::vector<Instruction> instructions_;
    std::vector<int32_t> index_of_dword_; ///< -1 inside an instruction
};

} // namespace amd_emulator
