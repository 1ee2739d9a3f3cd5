#pragma once

// What happens to the scores of a tile between the product and the softmax. Included by isa/*.cpp only.

#include "cpu/elementary.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

template <class Real>
static constexpr Real kInfinity = static_cast<Real>(__builtin_inff());

static inline uint32_t lane_bits(bits_t bits, int lane) { return static_cast<uint32_t>(bits >> lane); }

// A vector of scores after softcap and bias, and what the derivative of the former multiplies.
template <class Real>
struct ChangedScores {
    vec<Real> s;
    vec<Real> slope; // 1 - tanh(S / softcap)^2

    ChangedScores(const ScoreChanges<Real>& changes, vec<Real> scores, int element) : s(scores), slope(splat(Real(1)))
    {
        if (changes.softcap != 0) {
            const Tanh<Real> t(s / changes.softcap);
            s = changes.softcap * t.value;
            slope = t.derivative;
        }
        if (changes.bias) s += load(changes.bias + element);
    }
};

} // namespace ck_fmha::cpu::CK_FMHA_ISA
