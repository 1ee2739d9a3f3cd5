#pragma once

#include <algorithm>
#include <vector>

#include "ck_tile_masks/tile_schedule.hpp"
#include "cpu/masked_heads.hpp"

namespace ck_fmha::cpu {

using ck_tile_masks::Axis;
using ck_tile_masks::TileRange;

// Live tiles of every line of every distinct mask, and how long a range of them may be. Counting walks the live tiles
// once, which costs far less than computing them.
template <Axis kAxis>
class LineCounts {
public:
    LineCounts(const MaskedHeads& masks, const ck_fmha_problem& p) : counts_(masks.num_distinct())
    {
        std::vector<int64_t> totals;
        for (int m = 0; m < masks.num_distinct(); ++m) {
            const TiledMask& mask = masks.distinct(m);
            int64_t total = 0;
            for (index_t line = 0; line < ck_tile_masks::num_lines<kAxis>(mask); ++line) {
                counts_[m].push_back(kAxis == Axis::rows ? mask.num_live_tiles_in_row(line)
                                                         : mask.num_live_tiles_in_col(line));
                total += counts_[m].back();
            }
            totals.push_back(total);
        }
        int64_t total = 0;
        for (int64_t head = 0; head < p.num_heads; ++head)
            total += totals[masks.index(head)];
        limit_ = ck_tile_masks::balanced_limit(total * p.batch, kTargetRanges, kMinLive);
    }

    // The ranges of one line of the mask with this index.
    std::vector<TileRange> cut(const MaskedHeads& masks, int index, index_t line) const
    {
        std::vector<TileRange> ranges;
        ck_tile_masks::cut_line<kAxis>(masks.distinct(index), line, counts_[index][line], limit_,
                                       [&](const TileRange& r) { ranges.push_back(r); });
        return ranges;
    }
    index_t limit() const { return limit_; }

private:
    // Not a function of the number of threads, so that results are not either: a line is cut where it would hold more
    // than 1/256 of all the work, which also bounds the memory of partial results.
    static constexpr index_t kTargetRanges = 256;
    static constexpr index_t kMinLive = 64;

    std::vector<std::vector<index_t>> counts_;
    index_t limit_;
};

} // namespace ck_fmha::cpu
