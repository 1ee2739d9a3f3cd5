// What all entry points share: one call at a time, no exception leaves, the last failure is kept.
#pragma once

#include "device.hpp"

#include <exception>
#include <mutex>
#include <string>

#define EMULATOR_EXPORT extern "C" __attribute__((visibility("default")))

namespace amd_emulator {

/// Of this thread.
hipError_t& last_error();
/// Of the process; guarded by the machine's lock.
std::string& last_failure();

/// Runs an entry point's body under the lock; no exception leaves it. `entry_point` is the function that calls this.
template <class F>
hipError_t call(F body, const char* entry_point = __builtin_FUNCTION())
{
    Machine& machine = Machine::get();
    const std::lock_guard<std::mutex> lock(machine.mutex);
    try {
        if (machine.options().fail == entry_point) {
            throw ApiError{static_cast<hipError_t>(machine.options().error),
                           std::string(entry_point) + " is told to fail"};
        }
        body(machine);
        return hipSuccess;
    } catch (const ApiError& error) {
        last_failure() = error.reason;
        last_error() = error.code;
    } catch (const std::exception& error) {
        last_failure() = error.what();
        last_error() = hipErrorLaunchFailure;
    }
    return last_error();
}

inline void require(bool condition, hipError_t code, const char* reason)
{
    if (!condition) {
        throw ApiError{code, reason};
    }
}

} // namespace amd_emulator
