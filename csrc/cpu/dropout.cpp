#include "cpu/dropout.hpp"

#include <algorithm>
#include <cmath>

#include "cpu/parallel.hpp"
#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu {

uint32_t dropout_threshold(double dropout_p) { return static_cast<uint32_t>(std::lround(dropout_p * kDropoutSteps)); }

void dropout_mask(uint8_t* out, const std::array<int64_t, 4>& sizes, double dropout_p, uint64_t seed, int num_threads)
{
    const int64_t batch = sizes[0], num_heads = sizes[1], seqlen_q = sizes[2], seqlen_k = sizes[3];
    const int64_t row_tiles = (seqlen_q + kTileQ - 1) / kTileQ, num_items = batch * num_heads * row_tiles;
    const uint32_t threshold = dropout_threshold(dropout_p);
    parallel_for(num_threads, num_items, [&](size_t n, int) {
        const int64_t bh = static_cast<int64_t>(n) / row_tiles, i0 = static_cast<int64_t>(n) % row_tiles * kTileQ;
        const int64_t num_q = std::min<int64_t>(kTileQ, seqlen_q - i0);
        for (int64_t j0 = 0; j0 < seqlen_k; j0 += kTileK) {
            bits_t bits[kTileK];
            isa_kernels().dropout_key_bits({seed, threshold, static_cast<uint32_t>(bh / num_heads),
                                            static_cast<uint32_t>(bh % num_heads), static_cast<uint32_t>(i0),
                                            static_cast<uint32_t>(j0)},
                                           bits);
            for (int64_t q = 0; q < num_q; ++q)
                for (int64_t k = 0; k < std::min<int64_t>(kTileK, seqlen_k - j0); ++k)
                    out[((bh * seqlen_q) + i0 + q) * seqlen_k + j0 + k] = (bits[k] >> q) & 1;
        }
    });
}

} // namespace ck_fmha::cpu
