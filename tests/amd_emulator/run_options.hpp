// In which order work-groups, waves and memory operations run: everything that real hardware leaves open.
#pragma once

#include <cstdint>
#include <string>

namespace amd_emulator {

enum class Order : uint8_t { forward, reverse, random };
/// When a memory operation takes effect between its issue and the wait for it. Results reach registers at the wait in
/// any case.
enum class Completion : uint8_t { late, early, random };

struct RunOptions {
    Order work_groups = Order::forward;
    Order waves = Order::forward;
    uint32_t interleave = 0; ///< switch waves every so many instructions; 0: only at barriers and ends
    uint32_t resident = 1;   ///< work-groups that run at the same time
    Completion completion = Completion::late;
    uint64_t seed = 0;
    bool check_stores = true;                  ///< a fault if an undefined value is stored to global memory
    uint64_t max_instructions = 4'000'000'000; ///< of a launch
    std::string fail;                          ///< the entry point that fails, whatever it is called with
    int error = 0;                             ///< what it returns
};

/// Reads "waves=reverse,interleave=7": names and values with '=' between them, separated by commas or spaces; names
/// that are not given keep their values. @returns "" or what is wrong.
std::string parse_run_options(const std::string& text, RunOptions& options);

} // namespace amd_emulator
