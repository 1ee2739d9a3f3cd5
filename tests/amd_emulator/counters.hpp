// What was executed, kernel by kernel.
#pragma once

#include "launch.hpp"

#include <map>
#include <string>

namespace amd_emulator {

/// The JSON text that ck_fmha_emulator_counters gives, for the kernels of one or more code objects.
class CounterReport {
public:
    void add(const CodeObject& code, const Kernel& kernel, const ExecutionCounts& counts, uint64_t launches);
    std::string text() const { return "{\"kernels\": [" + kernels_ + "]}"; }

private:
    std::string kernels_;
};

} // namespace amd_emulator
