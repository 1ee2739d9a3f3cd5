#pragma once

// Which elements dropout keeps. Included by isa/*.cpp only.
//
// Counter-based, so that an element's fate is a function of (seed, batch, head, i, j) alone: no state, any order, any
// number of threads, any back end. Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011),
// key = the halves of the seed, counter = (g, i, head, batch), gives 128 bits, 16 for each of the eight keys j of group
//
//     g = 2 (j / 16) + (j / 4) mod 2,  its number in the group being n = 4 ((j / 8) mod 2) + j mod 4
//
// (bits 16 (n mod 2) of word n / 2). Two runs of four keys: what one lane of a GPU's matrix unit holds of a query.

#include "cpu/simd.hpp"
#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

struct Philox {
    vuint c0, c1, c2, c3;

    // The high and the low halves of the products x * y.
    static inline void multiply(vuint x, uint32_t y, vuint& high, vuint& low)
    {
        low = x * y;
#if defined(__AVX512F__)
        const __m512i a = reinterpret_cast<__m512i>(x), b = _mm512_set1_epi32(static_cast<int32_t>(y));
        const __m512i even = _mm512_maskz_mul_epu32(0xff, a, b);
        const __m512i odd = _mm512_maskz_mul_epu32(0xff, _mm512_maskz_srli_epi64(0xff, a, 32), b);
        high = reinterpret_cast<vuint>(_mm512_mask_mov_epi32(_mm512_maskz_srli_epi64(0xff, even, 32), 0xaaaa, odd));
#else
        for (int n = 0; n < kLanes<float>; ++n)
            high[n] = static_cast<uint32_t>((static_cast<uint64_t>(x[n]) * y) >> 32);
#endif
    }

    void run(uint32_t key0, uint32_t key1)
    {
        for (int round = 0; round < 10; ++round) {
            vuint high0, low0, high1, low1;
            multiply(c0, 0xD2511F53u, high0, low0);
            multiply(c2, 0xCD9E8D57u, high1, low1);
            c0 = high1 ^ c1 ^ key0;
            c2 = high0 ^ c3 ^ key1;
            c1 = low1;
            c3 = low0;
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
    }
};

// Bit n: is lane n at least `threshold`?
static inline bits_t at_least(vuint x, uint32_t threshold)
{
#if defined(__AVX512F__)
    return _mm512_cmpge_epu32_mask(reinterpret_cast<__m512i>(x), _mm512_set1_epi32(static_cast<int32_t>(threshold)));
#else
    bits_t bits = 0;
    for (int n = 0; n < kLanes<float>; ++n)
        bits |= static_cast<bits_t>(x[n] >= threshold) << n;
    return bits;
#endif
}

static void dropout_key_bits(const DropoutTile& t, bits_t* bits)
{
    vuint lane_number;
    for (int n = 0; n < kLanes<float>; ++n)
        lane_number[n] = static_cast<uint32_t>(n);
    for (int k = 0; k < kTileK; ++k)
        bits[k] = 0;
    for (uint32_t group = 0; group < kTileK / 8; ++group)
        for (int lane = 0; lane < kTileQ; lane += kLanes<float>) {
            Philox random{vuint{} + (t.key / 8 + group), lane_number + (t.query + static_cast<uint32_t>(lane)),
                          vuint{} + t.head, vuint{} + t.batch};
            random.run(static_cast<uint32_t>(t.seed), static_cast<uint32_t>(t.seed >> 32));
            const vuint words[4] = {random.c0, random.c1, random.c2, random.c3};
            bits_t* first = bits + 16 * (group / 2) + 4 * (group % 2);
            for (int n = 0; n < 8; ++n) {
                const vuint half = n % 2 ? words[n / 2] >> 16 : words[n / 2] & 0xffffu;
                first[8 * (n / 4) + n % 4] |= at_least(half, t.threshold) << lane;
            }
        }
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
