#pragma once

#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// tanh and its derivative 1 - tanh^2, each with a relative error of some 2^-22. With u = e^(-2|x|) and w = 2 u / (1 +
// u)
//
//     |tanh x| = 1 - w,   1 - tanh^2 = w (2 - w);   for |x| < 1/2, where 1 - w cancels, x + x^3 P(x^2) with P minimax
struct Tanh {
    float value;
    float derivative;

    CK_FMHA_DEVICE explicit Tanh(float x)
    {
        constexpr float kTwoLog2E = 2.88539008177792681f, kSmall = 0.5f;
        const float size = magnitude(x), square = x * x;
        const float u = exp2(-kTwoLog2E * size), w = 2.f * u * reciprocal(1.f + u);
        float p = 0x1.1a8074p-6f;
        p = multiply_add(p, square, -0x1.b28d9ap-5f);
        p = multiply_add(p, square, 0x1.10ea08p-3f);
        p = multiply_add(p, square, -0x1.5554d6p-2f);
        const float small = multiply_add(x * square, p, x), large = with_sign_of(1.f - w, x);
        value = size < kSmall ? small : large; // NaN is not small
        derivative = w * (2.f - w);
    }
};

} // namespace ck_fmha::gpu
