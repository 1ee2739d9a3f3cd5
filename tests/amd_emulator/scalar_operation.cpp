#include "scalar_operation.hpp"

#include "wave.hpp"

namespace amd_emulator {
namespace {

/// Undefined bits of the result.
uint64_t follow_undefined(const Operation& operation, const ScalarArguments& arguments, const uint64_t* undefined,
                          bool scc_undefined)
{
    const uint64_t all = operation.result == ValueType::u64 ? ~uint64_t{0} : 0xffffffffu;
    if (operation.undefined_rule == UndefinedRule::whole) {
        return all;
    }
    if (operation.undefined_rule == UndefinedRule::upward) {
        const uint64_t any = undefined[0] | undefined[1] | undefined[2];
        return any == 0 ? all : all & ~uint64_t{0} << __builtin_ctzll(any);
    }
    uint64_t bits = 0;
    const bool any_scc = operation.has_scc_in && scc_undefined;
    for (int subset = 1; subset < 1 << (operation.num_sources + any_scc); ++subset) {
        ScalarArguments other = arguments;
        if ((subset >> operation.num_sources & 1) != 0) {
            other.scc = !other.scc;
        }
        for (int k = 0; k < operation.num_sources; ++k) {
            if ((subset >> k & 1) != 0) {
                other.source[k] ^= undefined[k];
            }
        }
        operation.scalar(other);
        bits |= other.result ^ arguments.result;
    }
    return bits & all;
}

} // namespace

void execute_scalar(Wave& wave, const Instruction& instruction)
{
    const Operation& operation = *instruction.operation;
    ScalarArguments arguments{};
    arguments.scc = wave.scc;
    uint64_t undefined[3] = {0, 0, 0};
    const bool is_compare = operation.result == ValueType::none;
    const int first = is_compare || operation.accumulates ? 0 : 1;
    bool any_undefined = operation.has_scc_in && wave.scc_undefined;
    for (int k = 0; k < operation.num_sources; ++k) {
        arguments.source[k] =
            wave.read_scalar(instruction.operand(first + k), is_64_bit(operation.source[k]), undefined[k]);
        any_undefined |= undefined[k] != 0;
    }
    operation.scalar(arguments);
    const uint64_t undefined_result =
        any_undefined ? follow_undefined(operation, arguments, undefined, wave.scc_undefined) : 0;
    if (!is_compare) {
        const int destination = instruction.operand(0).index;
        if (operation.result == ValueType::u64) {
            wave.set_sgpr64(destination, arguments.result, undefined_result);
        } else {
            wave.sgpr[destination] = static_cast<uint32_t>(arguments.result);
            wave.sgpr_undefined[destination] = static_cast<uint32_t>(undefined_result);
        }
    }
    if (operation.has_scc_out) {
        wave.scc = operation.scc_is_nonzero ? arguments.result != 0 : arguments.result_scc;
        wave.scc_undefined =
            operation.undefined_rule == UndefinedRule::bitwise && !is_compare ? undefined_result != 0 : any_undefined;
    }
}

} // namespace amd_emulator
