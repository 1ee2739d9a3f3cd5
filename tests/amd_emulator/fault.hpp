// Why a kernel was stopped.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace amd_emulator {

/// The kinds of faults; `fault_name` gives the words that a failure's text starts with.
enum class FaultKind {
    unknown_instruction, ///< or one that is known, in a form that is not modelled
    out_of_bounds,       ///< an address outside what the launch may access
    lds_out_of_bounds,
    missing_wait,    ///< a register or LDS byte is used that a memory operation in flight is about to write
    undefined_value, ///< an address, a branch or a stored value rests on something that was never written
    register_range,  ///< a register that the kernel's descriptor does not allocate
    instruction_limit,
};

inline const char* fault_name(FaultKind kind)
{
    switch (kind) {
    case FaultKind::unknown_instruction:
        return "unknown instruction";
    case FaultKind::out_of_bounds:
        return "out of bounds";
    case FaultKind::lds_out_of_bounds:
        return "LDS out of bounds";
    case FaultKind::missing_wait:
        return "missing wait";
    case FaultKind::undefined_value:
        return "undefined value";
    case FaultKind::register_range:
        return "register out of range";
    case FaultKind::instruction_limit:
        return "instruction limit";
    }
    return "fault";
}

class Fault : public std::runtime_error {
public:
    Fault(FaultKind kind, const std::string& reason) : std::runtime_error(reason), kind_(kind) {}
    FaultKind kind() const { return kind_; }

private:
    FaultKind kind_;
};

__attribute__((format(printf, 1, 2))) inline std::string format(const char* pattern, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

} // namespace amd_emulator
