#pragma once

#include "ck_tile_masks/index.hpp"

namespace ck_tile_masks {

using hash_t = unsigned int;
static_assert(sizeof(hash_t) == 4, "ck_tile_masks: unsigned int must have 32 bits on this target");

// Finaliser of MurmurHash3 (A. Appleby, public domain): every input bit flips every output bit with probability ~1/2.
CK_TILE_MASKS_HD constexpr hash_t mix(hash_t h)
{
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    h ^= h >> 16;
    return h;
}
CK_TILE_MASKS_HD constexpr hash_t combine(hash_t a, hash_t b) { return mix(a + 0x9e3779b9u + mix(b)); }

// A pseudo-random permutation of [0, n) that is computed, in both directions, without a table: a Feistel network on
// the grid height x width >= n, walked until the value falls inside [0, n) ("cycle walking", Black and Rogaway 2002).
// The grid has fewer than n + sqrt(n) + 1 cells, so nearly every value needs one pass.
// @post forward is a bijection of [0, n) and inverse(forward(x)) == x
class KeyedPermutation {
public:
    constexpr KeyedPermutation() = default;
    CK_TILE_MASKS_HD constexpr explicit KeyedPermutation(index_t n) : n_(n)
    {
        while (static_cast<long_index_t>(height_) * height_ < n)
            ++height_;
        width_ = max(div_up(n, height_), 1);
    }

    CK_TILE_MASKS_HD constexpr index_t forward(index_t x, hash_t key) const
    {
        cell_t cell = static_cast<cell_t>(x);
        do {
            index_t row = row_of(cell), col = col_of(cell);
            for (hash_t round = 0; round < kRounds; round += 2) {
                row = add_mod(row, draw(key, round, col, height_), height_);
                col = add_mod(col, draw(key, round + 1, row, width_), width_);
            }
            cell = cell_at(row, col);
        } while (cell >= static_cast<cell_t>(n_));
        return static_cast<index_t>(cell);
    }

    CK_TILE_MASKS_HD constexpr index_t inverse(index_t x, hash_t key) const
    {
        cell_t cell = static_cast<cell_t>(x);
        do {
            index_t row = row_of(cell), col = col_of(cell);
            for (hash_t round = kRounds; round > 0; round -= 2) {
                col = add_mod(col, width_ - draw(key, round - 1, row, width_), width_);
                row = add_mod(row, height_ - draw(key, round - 2, col, height_), height_);
            }
            cell = cell_at(row, col);
        } while (cell >= static_cast<cell_t>(n_));
        return static_cast<index_t>(cell);
    }

private:
    static constexpr hash_t kRounds = 4;

    // The grid may have more cells than index_t has values, though never more than 2^31 + 2^16.
    using cell_t = hash_t;
    CK_TILE_MASKS_HD constexpr index_t row_of(cell_t c) const
    {
        return static_cast<index_t>(c / static_cast<cell_t>(width_));
    }
    CK_TILE_MASKS_HD constexpr index_t col_of(cell_t c) const
    {
        return static_cast<index_t>(c % static_cast<cell_t>(width_));
    }
    CK_TILE_MASKS_HD constexpr cell_t cell_at(index_t row, index_t col) const
    {
        return static_cast<cell_t>(row) * static_cast<cell_t>(width_) + static_cast<cell_t>(col);
    }

    // A number in [0, range), a function of (key, round, value).
    CK_TILE_MASKS_HD static constexpr index_t draw(hash_t key, hash_t round, index_t value, index_t range)
    {
        // One product tells (round, value) pairs apart, one mix spreads them: a walk asks for many draws.
        const hash_t h = mix(key ^ ((static_cast<hash_t>(value) + round * 0x85ebca6bu) * 0x9e3779b9u));
        return static_cast<index_t>((static_cast<bits_t>(h) * static_cast<bits_t>(range)) >> 32);
    }
    CK_TILE_MASKS_HD static constexpr index_t add_mod(index_t a, index_t b, index_t m)
    {
        const long_index_t sum = static_cast<long_index_t>(a) + b;
        return static_cast<index_t>(sum >= m ? sum - m : sum);
    }

    index_t n_ = 1;
    index_t height_ = 1;
    index_t width_ = 1;
};

} // namespace ck_tile_masks
