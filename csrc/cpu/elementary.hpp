#pragma once

// exp and tanh of vectors, as softmax and softcap need them. Included by isa/*.cpp only.

#include "cpu/simd.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

template <class Real>
struct ExpConstants;
template <>
struct ExpConstants<float> {
    static constexpr float kLog2E = 0x1.715476p+0f;
    static constexpr float kShifter = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
    static constexpr float kSmallest = -127.0f;    // the power of two that counts as 0
    // (2^f - 1) / f for |f| <= 1/2, highest power first; minimax, relative error of 2^f below 2^-28
    static constexpr float kPolynomial[] = {0x1.41fbbap-13f, 0x1.5f3e54p-10f, 0x1.3b2d4cp-7f,
                                            0x1.c6aee8p-5f,  0x1.ebfbdcp-3f,  0x1.62e430p-1f};
};
template <>
struct ExpConstants<double> {
    static constexpr double kLog2E = 0x1.71547652b82fep+0;
    static constexpr double kShifter = 6755399441055744.0; // 1.5 * 2^52
    static constexpr double kSmallest = -1023.0;
    // The terms ln(2)^n / n! of the series; the first one left out is below 2^-57 of the sum.
    static constexpr double kPolynomial[] = {0x1.816193166d0f9p-40, 0x1.c3bd650fc2986p-36, 0x1.e8cac7351bb25p-32,
                                             0x1.e4cf5158b8ecap-28, 0x1.b5253d395e7c4p-24, 0x1.62c0223a5c824p-20,
                                             0x1.ffcbfc588b0c7p-17, 0x1.430912f86c787p-13, 0x1.5d87fe78a6731p-10,
                                             0x1.3b2ab6fba4e77p-7,  0x1.c6b08d704a0c0p-5,  0x1.ebfbdff82c58fp-3,
                                             0x1.62e42fefa39efp-1};
};

// 2^(unit x) with unit x = n + f, n an integer and |f| <= 1/2 (Cody and Waite): `power` = n, `fraction` = 2^f - 1.
template <class Real>
struct PowerOfTwo {
    vec<Real> power;
    vec<Real> fraction;

    PowerOfTwo(vec<Real> x, Real unit)
    {
        using C = ExpConstants<Real>;
        power = (x * unit + C::kShifter) - C::kShifter;
        const vec<Real> f = x * unit - power;
        vec<Real> p = splat(C::kPolynomial[0]);
#pragma GCC unroll 16
        for (size_t n = 1; n < sizeof C::kPolynomial / sizeof(Real); ++n)
            p = p * f + C::kPolynomial[n];
        fraction = p * f;
    }
};

// 2^(unit x) for the differences x of a softmax, which are seldom large: relative error below 2^-23, in double 2^-52,
// besides that of unit x. 0 below 2^-126 (2^-1022), for subnormal numbers would slow the products down; NaN for NaN.
template <class Real>
static inline vec<Real> power_of_two(vec<Real> x, Real unit)
{
    using C = ExpConstants<Real>;
#if defined(__AVX512F__)
    const PowerOfTwo<Real> e(x, unit);
    return scale_by_power_above(C::kSmallest, e.fraction + Real(1), e.power);
#else
    // The order of the operands keeps a NaN; the smallest power is a factor of zero.
    const PowerOfTwo<Real> e(max_or_second(splat(C::kSmallest / unit), x), unit);
    return scale_by_power(e.fraction + Real(1), e.power);
#endif
}
template <class Real>
static inline vec<Real> exp2(vec<Real> x)
{
    return power_of_two<Real>(x, 1);
}
template <class Real>
static inline vec<Real> exp(vec<Real> x)
{
    return power_of_two<Real>(x, ExpConstants<Real>::kLog2E);
}

// tanh and its derivative 1 - tanh^2, each with an error of its own size: with u = e^(-2|x|)
//
//     tanh |x| = (1 - u) / (1 + u), small ones by way of u - 1; large ones as 1 - 2 u / (1 + u)
//     1 - tanh^2 = 4 u / (1 + u)^2
template <class Real>
struct Tanh {
    vec<Real> value;
    vec<Real> derivative;

    explicit Tanh(vec<Real> x)
    {
        const vec<Real> zero{}, one = splat(Real(1));
        const vec<Real> y = x < zero ? x + x : -(x + x); // -2 |x|, NaN for NaN
        const PowerOfTwo<Real> e(max_or_second(splat(Real(-70)), y), ExpConstants<Real>::kLog2E);
        const vec<Real> u = scale_by_power(e.fraction + one, e.power), sum = one + u;
        const vec<Real> minus_one = scale_by_power(e.fraction, e.power) + (scale_by_power(one, e.power) - one);
        const vec<Real> small = -minus_one / (minus_one + Real(2)), large = one - 2 * u / sum;
        const vec<Real> t = u > splat(Real(0.4)) ? small : large;
        value = x < zero ? -t : t;
        derivative = 4 * u / (sum * sum);
    }
};

} // namespace ck_fmha::cpu::CK_FMHA_ISA
