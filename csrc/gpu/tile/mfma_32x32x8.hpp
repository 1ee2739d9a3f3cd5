#pragma once

#include "gpu/tile/platform.hpp"

// The matrix atom of CDNA: a wave multiplies 32 x 8 by 8 x 32 (v_mfma_f32_32x32x8_f16, ..._bf16). Operands: lane l
// holds row (column) l mod 32, k = 4 (l / 32) + 0..3. Result: lane l holds column l mod 32, rows 8 j + 4 (l / 32) +
// 0..3 in elements 4 j + 0..3.
//
// Orientation: scores are computed transposed, S^T = K Q^T, so that a lane holds 16 keys of ONE query. Then the
// statistics of a row are numbers of a lane, four elements of P^T are the operand of O^T = V^T P^T as they lie in
// registers, and the rescale of O^T multiplies by a number of the lane.

namespace ck_fmha::gpu {

// 16-bit elements: products, and the rounding of probabilities.
template <class T>
struct MatrixElement;

template <>
struct MatrixElement<_Float16> {
    // 2^x with x <= 14 + 1 fits; the probabilities of far smaller scores stay above 2^-14, below which gfx90a's
    // products take them for zero.
    static constexpr float kProbabilityExponent = 14.f; // of the largest probability when it is computed ...
    static constexpr float kExponentSlack = 1.f;        // ... and by how much a later one may exceed it
    // The backward keeps probabilities and gradients of scores 2^4 times larger for the same reason: gradients past
    // 2^12 would overflow.
    static constexpr float kGradientExponent = 4.f;

    using Operand = _Float16 __attribute__((ext_vector_type(4)));
    template <class Acc>
    CK_FMHA_DEVICE static Acc multiply(Dword2 a, Dword2 b, const Acc& c)
    {
        return __builtin_amdgcn_mfma_f32_32x32x8f16(__builtin_bit_cast(Operand, a), __builtin_bit_cast(Operand, b), c,
                                                    0, 0, 0);
    }
    // Two elements in a dword, each rounded to the nearest.
    CK_FMHA_DEVICE static unsigned pack(float low, float high)
    {
        using Pair = _Float16 __attribute__((ext_vector_type(2)));
        const Pair pair = {static_cast<_Float16>(low), static_cast<_Float16>(high)};
        return __builtin_bit_cast(unsigned, pair);
    }
    CK_FMHA_DEVICE static Float8 unpack(Dword4 eight)
    {
        using Eight = _Float16 __attribute__((ext_vector_type(8)));
        return __builtin_convertvector(__builtin_bit_cast(Eight, eight), Float8);
    }
};

template <>
struct MatrixElement<__bf16> {
    static constexpr float kProbabilityExponent = 0.f;
    static constexpr float kExponentSlack = 8.f;
    static constexpr float kGradientExponent = 0.f;

    using Operand = short __attribute__((ext_vector_type(4)));
    template <class Acc>
    CK_FMHA_DEVICE static Acc multiply(Dword2 a, Dword2 b, const Acc& c)
    {
        return __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(__builtin_bit_cast(Operand, a), __builtin_bit_cast(Operand, b),
                                                        c, 0, 0, 0);
    }
    // To the nearest, ties away from zero: an addition each, and a permutation for both. NaN stays NaN.
    CK_FMHA_DEVICE static unsigned pack(float low, float high)
    {
        const unsigned a = __builtin_bit_cast(unsigned, low) + 0x8000u;
        const unsigned b = __builtin_bit_cast(unsigned, high) + 0x8000u;
        return __builtin_amdgcn_perm(b, a, 0x07060302u);
    }
    CK_FMHA_DEVICE static Float8 unpack(Dword4 eight)
    {
        using Eight = __bf16 __attribute__((ext_vector_type(8)));
        return __builtin_convertvector(__builtin_bit_cast(Eight, eight), Float8);
    }
};

template <class T>
struct MfmaAtom {
    using Element = MatrixElement<T>;
    using Acc = float __attribute__((ext_vector_type(16)));

    static constexpr index_t kWaveRows = 32;  // queries of a wave
    static constexpr index_t kBlockKeys = 32; // of one Acc of scores
    static constexpr index_t kBlockDims = 32; // of one Acc of the output
    static constexpr index_t kChunkDims = 16; // of Q and K that a lane loads at once: operands of two products
    static constexpr index_t kChunkKeys = 16; // of P and V likewise

    CK_FMHA_DEVICE static index_t query_of_lane() { return lane_index() % 32; }
    CK_FMHA_DEVICE static index_t half() { return lane_index() / 32; }
};

} // namespace ck_fmha::gpu
