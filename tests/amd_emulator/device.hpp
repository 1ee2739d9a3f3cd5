// The emulated machine behind the entry points: devices, allocations, modules, launches, the last failure.
#pragma once

#include "code_object.hpp"
#include "hip_types.hpp"
#include "launch.hpp"
#include "memory_map.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace amd_emulator {

/// An error of an entry point with its text.
struct ApiError {
    hipError_t code;
    std::string reason;
};

struct Module {
    Module(const void* data, int on) : device(on), code(data), counts(static_cast<size_t>(code.program().size())) {}
    int device;
    CodeObject code;
    ExecutionCounts counts;
    std::map<std::string, uint64_t> launches;
};

struct Function {
    Module* module;
    const Kernel* kernel;
};

class Machine {
public:
    static Machine& get();

    std::mutex mutex; ///< one call at a time
    const std::vector<std::string>& architectures() const { return architectures_; }
    /// That every device says it has, if it is not to be the processor's own number.
    std::optional<int> compute_units() const { return compute_units_; }

    void* allocate(size_t size);
    bool release(void* pointer);
    bool is_device_range(const void* pointer, size_t size) const;

    /// @throws ApiError
    Module* load(const void* image, int device);
    bool unload(Module* module);
    /// @throws ApiError
    Function* find(Module* module, const char* name);
    bool is_function(const Function* function) const;

    /// @throws ApiError
    void launch(const Function& function, const uint32_t grid[3], const uint32_t block[3], uint32_t dynamic_lds,
                std::vector<uint8_t> kernarg);

    const RunOptions& options() const { return options_; }
    void configure(const std::string& options); ///< @throws ApiError
    void set_next_extents(std::vector<Extent> extents);
    RangeSet host_memory;

    std::string counters() const;
    void reset_counters();

private:
    Machine();
    RunOptions options_, initial_options_;
    std::vector<std::string> architectures_;
    std::optional<int> compute_units_;
    struct Allocation {
        std::unique_ptr<uint8_t[]> storage;
        size_t size;
    };
    std::map<uint64_t, Allocation> allocations_;
    RangeSet device_memory_;
    std::vector<std::unique_ptr<Module>> modules_;
    std::map<std::pair<Module*, std::string>, std::unique_ptr<Function>> functions_;
    std::unique_ptr<std::vector<Extent>> next_extents_;
};

} // namespace amd_emulator
