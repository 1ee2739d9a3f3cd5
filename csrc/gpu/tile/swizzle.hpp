#pragma once

#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// Rows of kPieces pieces of 16 bytes in shared memory: which rows share banks, and the permutation that keeps them
// apart. 8 pieces are all 32 banks.
template <index_t kPieces>
struct Swizzle {
    static constexpr index_t kCycle = kPieces < 8 ? kPieces : 8;
    static constexpr index_t kRowsPerBankLine = 8 / kCycle;
    // Neighbouring rows differ; so do rows 8 apart if `kAlsoByEight`.
    template <bool kAlsoByEight>
    CK_FMHA_DEVICE static index_t of_row(index_t row)
    {
        const index_t near = row / kRowsPerBankLine;
        return (kAlsoByEight ? near ^ (row / 8) : near) % kCycle;
    }
};

} // namespace ck_fmha::gpu
