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

    // @post out[n] == forward(begin + n, key) for n in [0, count)
    CK_TILE_MASKS_HD void forward(index_t begin, index_t count, hash_t key, index_t* out) const
    {
        if (!tables_pay_off(count)) {
            for (index_t n = 0; n < count; ++n)
                out[n] = forward(begin + n, key);
            return;
        }
        const RoundTables rounds(*this, key);
        map_range(begin, count, out, [&](index_t& row, index_t& col) {
            for (int n = 0; n < 2; ++n) {
                row = wrap(row + rounds.of_col[n][col] - height_, height_);
                col = wrap(col + rounds.of_row[n][row] - width_, width_);
            }
        });
    }
    // @post out[n] == inverse(begin + n, key) for n in [0, count)
    CK_TILE_MASKS_HD void inverse(index_t begin, index_t count, hash_t key, index_t* out) const
    {
        if (!tables_pay_off(count)) {
            for (index_t n = 0; n < count; ++n)
                out[n] = inverse(begin + n, key);
            return;
        }
        const RoundTables rounds(*this, key);
        map_range(begin, count, out, [&](index_t& row, index_t& col) {
            for (int n = 2; n-- > 0;) {
                col = wrap(col - rounds.of_row[n][row], width_);
                row = wrap(row - rounds.of_col[n][col], height_);
            }
        });
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

    // @pre -m <= a < m
    // Without a branch, which would be mispredicted half of the time.
    CK_TILE_MASKS_HD static constexpr index_t wrap(index_t a, index_t m) { return a + (m & (a >> 31)); }

    // A round draws a number for every row or column of the grid: for many values it pays off to draw them all first.
    static constexpr index_t kLongestTable = 512;
    struct RoundTables {
        index_t of_col[2][kLongestTable]; // rounds 0 and 2
        index_t of_row[2][kLongestTable]; // rounds 1 and 3

        CK_TILE_MASKS_HD RoundTables(const KeyedPermutation& p, hash_t key)
        {
            for (hash_t n = 0; n < 2; ++n) {
                for (index_t col = 0; col < p.width_; ++col)
                    of_col[n][col] = draw(key, 2 * n, col, p.height_);
                for (index_t row = 0; row < p.height_; ++row)
                    of_row[n][row] = draw(key, 2 * n + 1, row, p.width_);
            }
        }
    };
    CK_TILE_MASKS_HD constexpr bool tables_pay_off(index_t count) const
    {
        return max(height_, width_) <= kLongestTable && height_ + width_ <= count;
    }
    // Maps the values from `begin` on, whose cells follow each other; `map` takes all rounds.
    template <class Map>
    CK_TILE_MASKS_HD void map_range(index_t begin, index_t count, index_t* out, Map map) const
    {
        index_t begin_row = row_of(static_cast<cell_t>(begin)), begin_col = col_of(static_cast<cell_t>(begin));
        for (index_t n = 0; n < count; ++n) {
            index_t row = begin_row, col = begin_col, cell;
            do {
                map(row, col);
                cell = row * width_ + col;
            } while (cell >= n_);
            out[n] = cell;
            if (++begin_col == width_) {
                begin_col = 0;
                ++begin_row;
            }
        }
    }

    index_t n_ = 1;
    index_t height_ = 1;
    index_t width_ = 1;
};

} // namespace ck_tile_masks
