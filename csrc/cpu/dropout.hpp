#pragma once

#include <array>
#include <cstdint>

namespace ck_fmha::cpu {

// Probabilities are multiples of 1 / kDropoutSteps.
inline constexpr uint32_t kDropoutSteps = 1u << 16;

// dropout_p as the number of 2^-16ths that attention works with.
uint32_t dropout_threshold(double dropout_p);

// Writes out which elements attention keeps: out (batch, num_heads, seqlen_q, seqlen_k), 1 = kept. For tests and peers.
void dropout_mask(uint8_t* out, const std::array<int64_t, 4>& sizes, double dropout_p, uint64_t seed, int num_threads);

} // namespace ck_fmha::cpu
