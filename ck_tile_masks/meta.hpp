#pragma once

// The few type traits the library needs, written out because NVRTC and hiprtc offer no <type_traits>.

namespace ck_tile_masks::meta {

template <class...>
using void_t = void;

template <bool kCondition>
struct enable_if {};
template <>
struct enable_if<true> {
    using type = void;
};
template <bool kCondition>
using enable_if_t = typename enable_if<kCondition>::type;

template <class T>
T&& declval() noexcept;

// detected<Op, T>: is the expression Op<T> well formed?
template <class Void, template <class> class Op, class T>
inline constexpr bool detected_impl = false;
template <template <class> class Op, class T>
inline constexpr bool detected_impl<void_t<Op<T>>, Op, T> = true;
template <template <class> class Op, class T>
inline constexpr bool detected = detected_impl<void, Op, T>;

} // namespace ck_tile_masks::meta
