// Makes table rows from plain functions of one lane. The function's signature says how the instruction reads and
// writes:
//
//     add("v_add_f32", lanes([](float a, float b) { return a + b; }));
//
// float, double, Half, (u)int16_t, (u)int32_t, (u)int64_t are sources in the order of the operands; bool is the lane's
// bit of the mask that the instruction reads, LaneIndex the number of the lane. A result of type bool is the lane's bit
// of the mask that is written; WithMask is a value and such a bit.
#pragma once

#include "float_formats.hpp"
#include "lane_sources.hpp"
#include "operation.hpp"

#include <type_traits>
#include <utility>

namespace amd_emulator {

struct LaneIndex {
    int lane;
};

template <class T>
struct WithMask {
    T value;
    bool mask;
};

namespace detail {

template <class T>
constexpr ValueType value_type()
{
    if constexpr (std::is_same_v<T, float>) {
        return ValueType::f32;
    } else if constexpr (std::is_same_v<T, double>) {
        return ValueType::f64;
    } else if constexpr (std::is_same_v<T, Half>) {
        return ValueType::f16;
    } else if constexpr (sizeof(T) == 2) {
        return ValueType::u16;
    } else if constexpr (sizeof(T) == 4) {
        return ValueType::u32;
    } else {
        static_assert(sizeof(T) == 8, "a lane's value has 16, 32 or 64 bits");
        return ValueType::u64;
    }
}

template <class T>
constexpr bool is_source = !std::is_same_v<T, bool> && !std::is_same_v<T, LaneIndex>;

template <class T>
struct Result {
    using Value = T;
    static constexpr bool has_mask = false;
};
template <>
struct Result<bool> {
    using Value = void;
    static constexpr bool has_mask = true;
};
template <class T>
struct Result<WithMask<T>> {
    using Value = T;
    static constexpr bool has_mask = true;
};

template <class T>
T load(const LaneArguments& arguments, int source, int lane)
{
    if constexpr (std::is_same_v<T, bool>) {
        return (arguments.mask >> lane & 1) != 0;
    } else if constexpr (std::is_same_v<T, LaneIndex>) {
        return {lane};
    } else if constexpr (std::is_same_v<T, Half>) {
        return {static_cast<uint16_t>(arguments.low[source][lane])};
    } else if constexpr (sizeof(T) == 2) {
        return static_cast<T>(arguments.low[source][lane]);
    } else if constexpr (sizeof(T) == 4) {
        return bit_cast<T>(arguments.low[source][lane]);
    } else {
        return bit_cast<T>(arguments.low[source][lane] | uint64_t{arguments.high[source][lane]} << 32);
    }
}

template <class T>
void store(LaneArguments& arguments, int lane, T value)
{
    if constexpr (std::is_same_v<T, Half>) {
        arguments.result_low[lane] = value.bits;
    } else if constexpr (sizeof(T) == 2) {
        arguments.result_low[lane] = static_cast<uint16_t>(value);
    } else if constexpr (sizeof(T) == 4) {
        arguments.result_low[lane] = bit_cast<uint32_t>(value);
    } else {
        const auto bits = bit_cast<uint64_t>(value);
        arguments.result_low[lane] = static_cast<uint32_t>(bits);
        arguments.result_high[lane] = static_cast<uint32_t>(bits >> 32);
    }
}

/// The position among the sources of argument `index`.
template <class... A>
constexpr int source_position(size_t index)
{
    const bool flags[] = {is_source<A>..., false};
    int position = 0;
    for (size_t i = 0; i < index; ++i) {
        position += flags[i] ? 1 : 0;
    }
    return position;
}

template <class F, class R, class... A, size_t... I>
void run_lanes(LaneArguments& arguments, const F& function, R (F::*)(A...) const, std::index_sequence<I...>)
{
    for (int lane = 0; lane < kLanes; ++lane) {
        const R result = function(load<A>(arguments, source_position<A...>(I), lane)...);
        if constexpr (std::is_same_v<R, bool>) {
            arguments.result_mask[lane] = result ? 1 : 0;
        } else if constexpr (Result<R>::has_mask) {
            store(arguments, lane, result.value);
            arguments.result_mask[lane] = result.mask ? 1 : 0;
        } else {
            store(arguments, lane, result);
        }
    }
}

template <class F, class R, class... A>
Operation describe_lanes(R (F::*)(A...) const)
{
    Operation operation;
    if constexpr (!std::is_void_v<typename Result<R>::Value>) {
        operation.result = value_type<typename Result<R>::Value>();
    }
    operation.has_mask_out = Result<R>::has_mask;
    operation.has_mask_in = (std::is_same_v<A, bool> || ...);
    const auto add_source = [&](bool is_value, ValueType type) {
        if (is_value) {
            operation.source[operation.num_sources++] = type;
        }
    };
    (add_source(is_source<A>, value_type<std::conditional_t<is_source<A>, A, uint32_t>>()), ...);
    return operation;
}

template <class R, class F, class... A>
constexpr size_t arity(R (F::*)(A...) const)
{
    return sizeof...(A);
}

/// The loop over lanes of a function without state.
template <class F>
LaneFunction lane_function(F f)
{
    static const F function = f;
    return [](LaneArguments& arguments) {
        run_lanes(arguments, function, &F::operator(), std::make_index_sequence<arity(&F::operator())>());
    };
}

} // namespace detail

/// Executes any row made by `lanes`.
void execute_lanes(Wave& wave, const Instruction& instruction);

template <class F>
Operation lanes(F function)
{
    Operation operation = detail::describe_lanes(&F::operator());
    operation.lanes = detail::lane_function(function);
    operation.instruction_class = InstructionClass::vector_alu;
    operation.execute = execute_lanes;
    return operation;
}

inline Operation bitwise(Operation operation)
{
    operation.undefined_rule = UndefinedRule::bitwise;
    return operation;
}
inline Operation upward(Operation operation, int shift_source = -1)
{
    operation.undefined_rule = UndefinedRule::upward;
    operation.shift_source = static_cast<int8_t>(shift_source);
    return operation;
}
inline Operation transcendental(Operation operation)
{
    operation.instruction_class = InstructionClass::transcendental;
    return operation;
}
inline Operation accumulating(Operation operation)
{
    operation.accumulates = true;
    return operation;
}
inline Operation preserving_high_half(Operation operation)
{
    operation.preserves_high_half = true;
    return operation;
}
inline Operation flushing_subnormals(Operation operation)
{
    operation.flushes_subnormals = true;
    return operation;
}
inline Operation keeping_subnormals(Operation operation)
{
    operation.keeps_subnormals = true;
    return operation;
}

} // namespace amd_emulator
