#pragma once

#include "ck_tile_masks/index.hpp"
#include "ck_tile_masks/meta.hpp"

namespace ck_tile_masks {

namespace detail {
template <class Next>
using knows_its_end_t = decltype(Next::kKnowsItsEnd);
}

// Walks the live tiles of one line (a row or a column of tiles) inside [start, end).
//
//     for (auto it = mask.GetTileIndexIteratorAlongX(i_y_tile); !it.at_end(); it.advance())
//         use(i_y_tile, it.current());
//
// `Next` maps `from` to the first live tile in [from, end), or `end`. It is never asked about `end` itself.
// A `Next` with a member kKnowsItsEnd takes any `from` and, past the last live tile, answers anything >= end: then a
// step is nothing but the question, which matters where it is answered in a handful of instructions.
// @post current() is ascending, visits each live tile of [start, end) once and never reaches end
template <class Next>
class IndexIterator {
public:
    CK_TILE_MASKS_HD constexpr IndexIterator(Next next, index_t start, index_t end)
        : next_(next), start_(start), end_(max(start, end)), current_(find(start))
    {
    }

    CK_TILE_MASKS_HD constexpr index_t start() const { return start_; }
    CK_TILE_MASKS_HD constexpr index_t end() const { return end_; }
    CK_TILE_MASKS_HD constexpr index_t current() const { return current_; }
    CK_TILE_MASKS_HD constexpr bool at_end() const { return current_ >= end_; }
    CK_TILE_MASKS_HD constexpr void advance()
    {
        if constexpr (kKnowsItsEnd)
            current_ = next_(current_ + 1, end_);
        else if (!at_end())
            current_ = find(current_ + 1);
    }

private:
    static constexpr bool kKnowsItsEnd = meta::detected<detail::knows_its_end_t, Next>;

    CK_TILE_MASKS_HD constexpr index_t find(index_t from) const
    {
        return from < end_ ? min(next_(from, end_), end_) : end_;
    }

    Next next_;
    index_t start_;
    index_t end_;
    index_t current_;
};

} // namespace ck_tile_masks
