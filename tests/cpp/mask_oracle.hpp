#pragma once

// The truth that the mask library is compared with: element predicates written from the definitions of the patterns,
// in 64 bits and for one element at a time. Nothing here asks the library, except BigBird's oracle, which tabulates
// KeyedPermutation::forward (test_masks_permutation.cpp checks the permutation itself). Patterns that are data are in
// mask_oracle_data.hpp, DeepSpeed's layouts in mask_oracle_deepspeed.hpp.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "ck_tile_masks/mask_def.hpp"
#include "ck_tile_masks/permutation.hpp"

namespace mask_tests {

using ck_tile_masks::index_t;
using ck_tile_masks::MaskCall;

using element_t = long long;
using Predicate = std::function<bool(element_t i, element_t j)>; // is (i, j), inside the bounds, attended?
using Oracle = std::function<Predicate(const MaskCall&)>;        // ... in this call

// Rows [i0, i1) x columns [j0, j1).
struct Rect {
    index_t i0, i1, j0, j1;
    index_t area() const { return i1 > i0 && j1 > j0 ? (i1 - i0) * (j1 - j0) : 0; }
};

// A predicate evaluated on [0, rows) x [0, cols), with prefix sums.
class Elements {
public:
    Elements(const Predicate& attended, index_t rows, index_t cols)
        : rows_(rows), cols_(cols), attended_(cell_count(0)), sums_(cell_count(1))
    {
        for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < cols; ++j) {
                const bool a = attended(i, j);
                attended_[cell(i, j)] = a;
                sum(i + 1, j + 1) = a + sum(i, j + 1) + sum(i + 1, j) - sum(i, j);
            }
    }

    index_t rows() const { return rows_; }
    index_t cols() const { return cols_; }
    bool at(index_t i, index_t j) const { return i >= 0 && j >= 0 && i < rows_ && j < cols_ && attended_[cell(i, j)]; }
    // Attended elements of a rectangle inside the bounds.
    index_t count(const Rect& r) const
    {
        if (r.area() == 0) return 0;
        return sum(r.i1, r.j1) - sum(r.i0, r.j1) - sum(r.i1, r.j0) + sum(r.i0, r.j0);
    }

private:
    std::size_t cell_count(index_t border) const { return std::size_t(rows_ + border) * std::size_t(cols_ + border); }
    std::size_t cell(index_t i, index_t j) const { return std::size_t(i) * std::size_t(cols_) + std::size_t(j); }
    std::size_t sum_cell(index_t i, index_t j) const
    {
        return std::size_t(i) * std::size_t(cols_ + 1) + std::size_t(j);
    }
    index_t& sum(index_t i, index_t j) { return sums_[sum_cell(i, j)]; }
    index_t sum(index_t i, index_t j) const { return sums_[sum_cell(i, j)]; }

    index_t rows_, cols_;
    std::vector<char> attended_;
    std::vector<index_t> sums_;
};

// --- The definitions -----------------------------------------------------------------------------------------------

inline Oracle full_oracle()
{
    return [](const MaskCall&) { return [](element_t, element_t) { return true; }; };
}

// (j < sinks or j >= i + d - left) and j <= i + d + right; d = 0 or seqlen_k - seqlen_q; negative = unbounded.
inline Oracle diagonal_oracle(element_t left, element_t right, bool bottom_right, element_t sinks)
{
    return [=](const MaskCall& call) {
        const element_t d = bottom_right ? element_t{call.seqlen_k} - call.seqlen_q : 0;
        return [=](element_t i, element_t j) {
            const bool left_ok = left < 0 || j >= i + d - left;
            const bool right_ok = right < 0 || j <= i + d + right;
            return (j < sinks || left_ok) && right_ok;
        };
    };
}

// j < p or j <= i + d.
inline Oracle prefix_lm_oracle(element_t prefix, bool bottom_right)
{
    return [=](const MaskCall& call) {
        const element_t d = bottom_right ? element_t{call.seqlen_k} - call.seqlen_q : 0;
        return [=](element_t i, element_t j) { return j < prefix || j <= i + d; };
    };
}

// i in G, or j in G, or m | (j - i) and |i - j| <= (window / 2) m; G = [0, num_global).
inline Oracle longformer_oracle(element_t window, element_t num_global, element_t dilation)
{
    return [=](const MaskCall&) {
        return [=](element_t i, element_t j) {
            const element_t distance = i < j ? j - i : i - j;
            const bool in_window = distance % dilation == 0 && distance <= window / 2 * dilation;
            return i < num_global || j < num_global || in_window;
        };
    };
}

// The last `local` positions, and of those before them each whose distance is a multiple of `stride`.
inline Oracle strided_oracle(element_t local, element_t stride)
{
    return [=](const MaskCall&) {
        return [=](element_t i, element_t j) { return j <= i && (i - j < local || (i - j) % stride == 0); };
    };
}

// j <= i, and j is in the stretch of `local` positions that holds i or among the last `summary` ones of any stretch.
inline Oracle fixed_oracle(element_t local, element_t summary)
{
    return [=](const MaskCall&) {
        return [=](element_t i, element_t j) {
            return j <= i && (j / local == i / local || j % local >= local - summary);
        };
    };
}

struct GridAxis {
    index_t size, window = 1, dilation = 1;
    bool causal = false;
};

// Is coordinate y in the window of coordinate x? Both count the members of their residue class mod dilation.
inline bool in_neighborhood(const GridAxis& axis, bool clip, element_t x, element_t y)
{
    const element_t m = axis.dilation, window = axis.window;
    if (x % m != y % m) return false;
    const element_t p = x / m, q = y / m, members = (axis.size - x % m + m - 1) / m;
    if (axis.causal) return q <= p && q > p - window;
    if (clip) return p - window / 2 <= q && q <= p + window / 2;
    const element_t begin = std::min(std::max<element_t>(p - window / 2, 0), std::max<element_t>(members - window, 0));
    return begin <= q && q < begin + window;
}

// Positions are the row-major numbers of a grid; (i, j) iff each coordinate of j is in the window of that of i.
inline Oracle neighborhood_oracle(const std::vector<GridAxis>& axes, bool clip)
{
    return [=](const MaskCall&) {
        return [=](element_t i, element_t j) {
            for (std::size_t n = axes.size(); n-- > 0;) { // the last axis is the fastest
                const element_t size = axes[n].size;
                if (!in_neighborhood(axes[n], clip, i % size, j % size)) return false;
                i /= size;
                j /= size;
            }
            return i == 0 && j == 0; // else past the grid
        };
    };
}

// --- Big Bird ------------------------------------------------------------------------------------------------------

// R(I) as a table: draws(t, I) = pi_t(I), the permutation of max(nq, nk) blocks keyed by (seed, head, t).
class RandomBlocks {
public:
    RandomBlocks(index_t num_blocks, index_t num_random, long long seed, index_t head) : n_(num_blocks), r_(num_random)
    {
        using namespace ck_tile_masks;
        const hash_t low = hash_t(static_cast<unsigned long long>(seed));
        const hash_t high = hash_t(static_cast<unsigned long long>(seed) >> 32);
        const hash_t key = combine(combine(low, high), hash_t(head));
        const KeyedPermutation permutation(num_blocks);
        for (index_t t = 0; t < r_; ++t)
            for (index_t block = 0; block < n_; ++block)
                draws_.push_back(permutation.forward(block, combine(key, hash_t(t))));
    }

    index_t draw(index_t t, index_t row) const { return draws_[std::size_t(t) * std::size_t(n_) + std::size_t(row)]; }
    bool drawn(index_t row, index_t col) const
    {
        for (index_t t = 0; t < r_; ++t)
            if (draw(t, row) == col) return true;
        return false;
    }

private:
    index_t n_, r_;
    std::vector<index_t> draws_;
};

struct BigBirdParameters {
    index_t block, window, num_global, num_random;
    long long seed;
};

// Block (I, J) of nq x nk: the predicate on block level, for the call's head.
inline std::function<bool(index_t I, index_t J)> big_bird_blocks(const BigBirdParameters& p, const MaskCall& call)
{
    const auto count = [&](element_t seqlen) { return index_t((seqlen + p.block - 1) / p.block); };
    const index_t nq = count(call.seqlen_q), nk = count(call.seqlen_k);
    const auto random = std::make_shared<RandomBlocks>(std::max(nq, nk), p.num_random, p.seed, call.head);
    return [=](index_t I, index_t J) {
        const index_t g = p.num_global;
        const bool global = I < g || J < g || I >= nq - g || J >= nk - g;
        const bool window = std::max(I, J) - std::min(I, J) <= (p.window - 1) / 2;
        return global || window || random->drawn(I, J);
    };
}

inline Oracle big_bird_oracle(const BigBirdParameters& p)
{
    return [=](const MaskCall& call) {
        const auto blocks = big_bird_blocks(p, call);
        return [=](element_t i, element_t j) { return blocks(index_t(i / p.block), index_t(j / p.block)); };
    };
}

} // namespace mask_tests
