#pragma once

#include "gpu/tile/platform.hpp"

// The matrix atom of NVIDIA GPUs from sm_80 on: a warp multiplies 16 x 16 by 16 x 8 (mma.sync.m16n8k16). With
// g = lane / 4 and t = lane mod 4, lane l holds
//
//     A    rows g, g + 8; k = 2 t + {0, 1}, 2 t + {8, 9}      dwords: (g, 2 t), (g + 8, 2 t), (g, 2 t + 8), (g + 8,
//     ...) B    column g;      k = 2 t + {0, 1}, 2 t + {8, 9}      dwords: (2 t), (2 t + 8) C    rows g, g + 8; columns
//     2 t + {0, 1}                floats: (g, 2 t), (g, 2 t + 1), (g + 8, 2 t), ...
//
// Orientation: scores as they are, S = Q K^T. Two neighbouring blocks of 8 keys of S, rounded, are the A of P V as they
// lie in registers; a lane holds scores of two queries, each of which four lanes share.

namespace ck_fmha::gpu {

// A lane's share of A and of the result; that of B comes as two dwords.
using MmaA = Dword4;
using MmaAcc = Float4;

// 16-bit elements: products, and the rounding of probabilities.
template <class T>
struct MatrixElement;

template <>
struct MatrixElement<f16> {
    // See the CDNA atom: 2^15 fits, and small probabilities stay normal numbers.
    static constexpr float kProbabilityExponent = 14.f;
    static constexpr float kExponentSlack = 1.f;
    static constexpr float kGradientExponent = 4.f; // as there

    CK_FMHA_DEVICE static void multiply_add(MmaAcc& c, const MmaA& a, unsigned b0, unsigned b1)
    {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
    // Two elements in a dword, each rounded to the nearest.
    CK_FMHA_DEVICE static unsigned pack(float low, float high)
    {
        unsigned both;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
    CK_FMHA_DEVICE static Float8 unpack(const Dword4& eight)
    {
        Float8 x;
        unroll<4>([&](auto n) {
            asm("{.reg .f16 low, high;\n mov.b32 {low, high}, %2;\n cvt.f32.f16 %0, low;\n cvt.f32.f16 %1, high;}"
                : "=f"(x[2 * n]), "=f"(x[2 * n + 1])
                : "r"(eight[n]));
        });
        return x;
    }
};

template <>
struct MatrixElement<bf16> {
    static constexpr float kProbabilityExponent = 0.f;
    static constexpr float kExponentSlack = 8.f;
    static constexpr float kGradientExponent = 0.f;

    CK_FMHA_DEVICE static void multiply_add(MmaAcc& c, const MmaA& a, unsigned b0, unsigned b1)
    {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
    CK_FMHA_DEVICE static unsigned pack(float low, float high)
    {
        unsigned both;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
        return both;
    }
    CK_FMHA_DEVICE static Float8 unpack(const Dword4& eight)
    {
        Float8 x;
        unroll<4>([&](auto n) {
            x[2 * n] = __uint_as_float(eight[n] << 16);
            x[2 * n + 1] = __uint_as_float(eight[n] & 0xffff0000u);
        });
        return x;
    }
};

struct MmaAtom {
    static constexpr index_t kRows = 16;
    static constexpr index_t kColumns = 8;
    static constexpr index_t kDepth = 16;

    CK_FMHA_DEVICE static index_t row_of_lane() { return lane_index() / 4; }        // and that + 8
    CK_FMHA_DEVICE static index_t column_of_lane() { return lane_index() % 4 * 2; } // and that + 1
};

} // namespace ck_fmha::gpu
