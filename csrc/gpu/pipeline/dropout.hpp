#pragma once

#include "gpu/kernel/extras_args.hpp"
#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// Which elements dropout keeps: a function of (seed, batch, head, i, j), the same as on the CPU. Philox4x32-10 (Salmon
// et al., 2011) with key = seed, counter = (g, i, head, batch) gives 16 bits for each of eight keys j,
//
//     g = 2 (j / 16) + (j / 4) mod 2,   number in the group: n = 4 ((j / 8) mod 2) + j mod 4
class Dropout {
public:
    CK_FMHA_DEVICE Dropout(unsigned threshold, const unsigned (&seed)[2], index_t batch, index_t head)
        : threshold_(threshold),
          seed_{seed[0], seed[1]},
          batch_(static_cast<unsigned>(batch)),
          head_(static_cast<unsigned>(head))
    {
    }

    // Bit n: key first_key + n of the query is kept, for kKeys keys. first_key is a multiple of 16. Where kLanes = 2
    // lanes share a query, lane `share` of them knows the keys of groups with g mod 2 = share only.
    template <index_t kKeys, index_t kLanes>
    CK_FMHA_DEVICE bits_t kept(index_t query, index_t first_key, index_t share) const
    {
        // Else the compiler keeps the keys of all rounds, and what of them is the same for all tiles.
        const Seed seed = {anew(seed_.low), anew(seed_.high)};
        const unsigned row = of_lane_anew(static_cast<unsigned>(query));
        bits_t dropped = 0;
        unroll<kKeys / 16>([&](auto chunk) {
            no_load_crosses(); // all groups at once take too many registers
            unroll<2 / kLanes>([&](auto n) {
                const index_t parity = kLanes == 2 ? share : static_cast<index_t>(n);
                const unsigned group = static_cast<unsigned>(first_key) / 8 + 2 * chunk + parity;
                const unsigned of_group = this->dropped(group, row, seed) << (4 * parity);
                dropped |= static_cast<bits_t>(of_group) << (16 * chunk);
            });
        });
        no_load_crosses();
        return ~dropped;
    }

private:
    struct Seed {
        unsigned low, high;
    };

    // The eight keys of a group: bits 0..3 and 8..11.
    CK_FMHA_DEVICE unsigned dropped(unsigned group, unsigned query, Seed seed) const
    {
        unsigned c[4] = {group, query, head_, batch_}, key[2] = {seed.low, seed.high};
        unroll<10>([&](auto) {
            const bits_t a = bits_t{0xD2511F53u} * c[0], b = bits_t{0xCD9E8D57u} * c[2];
            c[0] = static_cast<unsigned>(b >> 32) ^ c[1] ^ key[0];
            c[2] = static_cast<unsigned>(a >> 32) ^ c[3] ^ key[1];
            c[1] = static_cast<unsigned>(b);
            c[3] = static_cast<unsigned>(a);
            key[0] += 0x9E3779B9u;
            key[1] += 0xBB67AE85u;
        });
        unsigned bits = 0;
        unroll<8>([&](auto from_last) {
            constexpr index_t kNumber = 7 - from_last;
            const unsigned word = c[kNumber / 2], random = kNumber % 2 == 0 ? word & 0xffffu : word >> 16;
            bits = bits << 1 | (random - threshold_) >> 31; // less than the threshold: negative
            if constexpr (kNumber == 4) bits <<= 4;
        });
        return bits;
    }

    unsigned threshold_;
    Seed seed_;
    unsigned batch_;
    unsigned head_;
};

} // namespace ck_fmha::gpu
