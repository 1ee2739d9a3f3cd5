// Makes table rows from plain functions of scalars, in the manner of lane_operation.hpp. (u)int32_t and (u)int64_t are
// sources; bool is the scalar condition code. A result of type bool is the new condition code, WithScc a value and
// that.
#pragma once

#include "float_formats.hpp"
#include "operation.hpp"

#include <type_traits>
#include <utility>

namespace amd_emulator {

template <class T>
struct WithScc {
    T value;
    bool scc;
};

namespace detail {

template <class T>
constexpr ValueType scalar_type()
{
    return std::is_same_v<T, bool> ? ValueType::none : sizeof(T) == 8 ? ValueType::u64 : ValueType::u32;
}

template <class T>
struct ScalarResult {
    using Value = T;
    static constexpr bool has_scc = false;
};
template <>
struct ScalarResult<bool> {
    using Value = bool;
    static constexpr bool has_scc = true;
};
template <class T>
struct ScalarResult<WithScc<T>> {
    using Value = T;
    static constexpr bool has_scc = true;
};

template <class T>
T load_scalar(const ScalarArguments& arguments, size_t index)
{
    if constexpr (std::is_same_v<T, bool>) {
        return arguments.scc;
    } else {
        return static_cast<T>(arguments.source[index]);
    }
}

template <class F, class R, class... A, size_t... I>
void run_scalar(ScalarArguments& arguments, const F& function, R (F::*)(A...) const, std::index_sequence<I...>)
{
    const R result = function(load_scalar<A>(arguments, I)...);
    if constexpr (std::is_same_v<R, bool>) {
        arguments.result_scc = result;
    } else if constexpr (ScalarResult<R>::has_scc) {
        arguments.result = static_cast<std::make_unsigned_t<decltype(result.value)>>(result.value);
        arguments.result_scc = result.scc;
    } else {
        arguments.result = static_cast<std::make_unsigned_t<R>>(result);
    }
}

/// The condition code comes last, if at all.
template <class F, class R, class... A>
Operation describe_scalar(R (F::*)(A...) const)
{
    Operation operation;
    operation.result = scalar_type<typename ScalarResult<R>::Value>();
    operation.has_scc_out = ScalarResult<R>::has_scc;
    operation.has_scc_in = (std::is_same_v<A, bool> || ...);
    const auto add_source = [&](ValueType type) {
        if (type != ValueType::none) {
            operation.source[operation.num_sources++] = type;
        }
    };
    (add_source(scalar_type<A>()), ...);
    return operation;
}

template <class F, class R, class... A>
ScalarFunction scalar_function(F f, R (F::*)(A...) const)
{
    static const F function = f;
    return [](ScalarArguments& arguments) {
        run_scalar(arguments, function, &F::operator(), std::index_sequence_for<A...>());
    };
}

} // namespace detail

/// Executes any row made by `scalar`.
void execute_scalar(Wave& wave, const Instruction& instruction);

template <class F>
Operation scalar(F function)
{
    Operation operation = detail::describe_scalar(&F::operator());
    operation.scalar = detail::scalar_function(function, &F::operator());
    operation.instruction_class = InstructionClass::scalar_alu;
    operation.execute = execute_scalar;
    return operation;
}

/// The condition code says whether the result is not zero.
inline Operation setting_scc(Operation operation)
{
    operation.scc_is_nonzero = true;
    operation.has_scc_out = true;
    return operation;
}
/// The first source is the destination.
inline Operation in_place(Operation operation)
{
    operation.accumulates = true;
    return operation;
}

} // namespace amd_emulator
