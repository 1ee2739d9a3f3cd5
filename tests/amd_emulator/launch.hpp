// One launch of a kernel: its arguments, how it is to run, and the run itself.
#pragma once

#include "code_object.hpp"
#include "memory_map.hpp"
#include "run_options.hpp"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace amd_emulator {

enum class Architecture : uint8_t { gfx90a, gfx942 };

/// How many times each instruction of a program was executed.
using ExecutionCounts = std::vector<uint64_t>;

struct Launch {
    const CodeObject* code = nullptr;
    const Program* program = nullptr;
    const Kernel* kernel = nullptr;
    Architecture architecture = Architecture::gfx942;
    uint32_t grid[3] = {1, 1, 1};  ///< work-groups
    uint32_t block[3] = {1, 1, 1}; ///< work-items of a work-group
    uint32_t dynamic_lds = 0;
    std::vector<uint8_t> kernarg; ///< with the hidden arguments filled in
    MemoryMap memory;
    RunOptions options;
    ExecutionCounts* counts = nullptr; ///< one for each instruction of the program

    // --- while it runs ---
    uint64_t num_executed = 0;
    std::minstd_rand random;
    std::vector<uint8_t> dispatch_packet;
    uint64_t kernarg_address = 0;

    uint64_t offset_of(const Instruction& instruction) const { return instruction.address - kernel->descriptor.entry; }
};

/// Runs all work-groups. @throws Fault whose text names the kernel, the place and the instruction.
void run(Launch& launch);

/// Fills in what the hardware and the runtime put behind a kernel's own arguments.
void fill_hidden_arguments(Launch& launch);

} // namespace amd_emulator
