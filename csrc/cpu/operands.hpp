#pragma once

#include <cstdint>

// What the products of the CPU back end multiply: numbers, or pairs of bfloat16 on processors that multiply and add
// these in pairs. Sums, statistics and results are `RealOf` the operands.

namespace ck_fmha::cpu {

// Two numbers that are neighbours along the dimension that a product sums over.
struct Bf16Pair {
    uint16_t first, second;
};

// Two such numbers of float16: each is the sum of two of bfloat16, of which the first is the number rounded. A product
// is the sum of the four of their parts, see kTerms in product_amx.hpp (Henry, Tang and Heinecke, "Leveraging the
// bfloat16 artificial intelligence datatype for higher-precision computations", 2019). Infinities and NaN are no such
// sums.
//
// In memory sixteen neighbours of a row keep their parts apart, a cache line of pairs for each part:
//
//     row:  [ 16 first parts ][ 16 second parts ][ the next 16 first parts ] ...
//
// so that a row is whole groups of sixteen, and a pointer to Float16Pair points to the beginning of a group.
struct Float16Pair {
    Bf16Pair parts[2];
};
inline constexpr int kSplitGroup = 16;

// dS = P (dP - delta) is the sum of its parts where dO and V are and no delta is larger.
inline constexpr float kLargestDelta = 0x1p68f;

template <class Operand>
struct OperandTraits {
    using Real = Operand;
    static constexpr int kPack = 1, kParts = 1, kGroup = 1;
};
template <>
struct OperandTraits<Bf16Pair> {
    using Real = float;
    static constexpr int kPack = 2, kParts = 1, kGroup = 1;
};
template <>
struct OperandTraits<Float16Pair> {
    using Real = float;
    static constexpr int kPack = 2, kParts = 2, kGroup = kSplitGroup;
};
template <class Operand>
using RealOf = typename OperandTraits<Operand>::Real;
// Numbers in an operand, and operands that hold n of them: n numbers along the dimension of the sum are packed(n) rows
// or columns of operands, the last one filled up with a zero.
template <class Operand>
inline constexpr int kPack = OperandTraits<Operand>::kPack;
template <class Operand>
inline constexpr int kParts = OperandTraits<Operand>::kParts;
template <class Operand, class Int>
inline constexpr Int packed(Int n)
{
    return (n + kPack<Operand> - 1) / kPack<Operand>;
}

// Leading dimension of staged rows: the widest vector (16 floats) divides it.
inline constexpr int padded_head_dim(int head_dim) { return (head_dim + 15) / 16 * 16; }
// The same of rows of operands that are neighbours in a row: whole groups.
template <class Operand>
inline constexpr int packed_head_dim(int head_dim)
{
    constexpr int kGroup = OperandTraits<Operand>::kGroup;
    return (padded_head_dim(head_dim) / kPack<Operand> + kGroup - 1) / kGroup * kGroup;
}

} // namespace ck_fmha::cpu
