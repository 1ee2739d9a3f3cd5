#include "program.hpp"

#include "decoder.hpp"
#include "fault.hpp"

#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>

#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>

namespace amd_emulator {
namespace {

struct DisposeDisassembler {
    void operator()(void* context) const { LLVMDisasmDispose(context); }
};
using Disassembler = std::unique_ptr<void, DisposeDisassembler>;

Disassembler make_disassembler(const std::string& processor)
{
    static std::once_flag once;
    std::call_once(once, [] {
        LLVMInitializeAMDGPUTargetInfo();
        LLVMInitializeAMDGPUTargetMC();
        LLVMInitializeAMDGPUDisassembler();
    });
    Disassembler result(LLVMCreateDisasmCPU("amdgcn-amd-amdhsa", processor.c_str(), nullptr, 0, nullptr, nullptr));
    if (!result) {
        throw std::runtime_error("this LLVM cannot disassemble for " + processor);
    }
    return result;
}

/// Relative to the next instruction, in dwords.
int64_t branch_distance(const Instruction& instruction) { return int64_t{instruction.immediate16()} * 4; }

bool is_relative_branch(const Instruction& instruction)
{
    return instruction.mnemonic == "s_branch" || instruction.mnemonic == "s_call_b64" ||
           instruction.mnemonic.rfind("s_cbranch_", 0) == 0;
}

} // namespace

Program::Program(const uint8_t* code, size_t size, const std::string& processor)
    : begin_(reinterpret_cast<uint64_t>(code)), index_of_dword_(size / 4, -1)
{
    const Disassembler disassembler = make_disassembler(processor);
    for (size_t offset = 0; offset + 4 <= size;) {
        Instruction instruction;
        instruction.address = begin_ + offset;
        std::memcpy(instruction.encoding, code + offset, size - offset < 8 ? 4 : 8);
        char text[512];
        const size_t length = LLVMDisasmInstruction(disassembler.get(), const_cast<uint8_t*>(code + offset),
                                                    size - offset, instruction.address, text, sizeof text);
        instruction.size = static_cast<uint8_t>(length == 0 ? 4 : length);
        if (length == 0) {
            instruction.text = format(".long 0x%08x", instruction.encoding[0]);
        } else {
            instruction.text = text + std::strspn(text, " \t");
        }
        decode(instruction);
        index_of_dword_[offset / 4] = this->size();
        offset += instruction.size;
        instructions_.push_back(std::move(instruction));
    }
    for (Instruction& instruction : instructions_) {
        if (!is_relative_branch(instruction)) {
            continue;
        }
        const uint64_t target =
            instruction.address + instruction.size + static_cast<uint64_t>(branch_distance(instruction)) - begin_;
        if (target < size) {
            instruction.branch_target = index_of_dword_[target / 4];
        }
    }
}

int32_t Program::index_of(uint64_t address) const
{
    const uint64_t offset = address - begin_;
    if (address < begin_ || offset % 4 != 0 || offset / 4 >= index_of_dword_.size() ||
        index_of_dword_[offset / 4] < 0) {
        throw Fault(FaultKind::unknown_instruction,
                    format("a jump to 0x%llx, where no instruction begins", static_cast<unsigned long long>(address)));
    }
    return index_of_dword_[offset / 4];
}

} // namespace amd_emulator
