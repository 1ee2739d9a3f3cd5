#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "ck_tile_masks/tile_schedule.hpp"
#include "cpu/masked_heads.hpp"
#include "cpu/parallel.hpp"

namespace ck_fmha::cpu {

using ck_tile_masks::Axis;
using ck_tile_masks::TileRange;

// Live tiles of every line of every distinct mask, and how long a range of them may be. Definitions count by runs of
// live tiles; compositions walk them once, which costs far less than computing them.
template <Axis kAxis>
class LineCounts {
public:
    LineCounts(const MaskedHeads& masks, const ck_fmha_problem& p) : counts_(masks.num_distinct())
    {
        struct Chunk {
            int mask;
            index_t begin, end;
        };
        std::vector<Chunk> chunks;
        for (int m = 0; m < masks.num_distinct(); ++m) {
            const index_t lines = ck_tile_masks::num_lines<kAxis>(masks.distinct(m));
            counts_[m].resize(lines);
            // A few chunks for each thread; in a larger one, lines share more of their work.
            const index_t chunk = p.num_threads <= 1 ? lines : std::max(lines / (4 * p.num_threads), kMinChunk);
            for (index_t begin = 0; begin < lines; begin += chunk)
                chunks.push_back({m, begin, std::min(begin + chunk, lines)});
        }
        parallel_for(p.num_threads, chunks.size(), [&](size_t n, int) {
            const Chunk& c = chunks[n];
            masks.count_lines(c.mask, kAxis, c.begin, c.end, counts_[c.mask].data() + c.begin);
        });
        std::vector<int64_t> totals;
        for (const std::vector<index_t>& counts : counts_)
            totals.push_back(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
        for (int64_t b = 0; b < p.batch; ++b)
            for (int64_t head = 0; head < p.num_heads; ++head)
                total_ += totals[masks.index(b, head)];
        limit_ = ck_tile_masks::balanced_limit(total_, kTargetRanges, kMinLive);
    }

    // Calls emit(TileRange) for the ranges of one line of the mask with this index.
    template <class Emit>
    void cut(const MaskedHeads& masks, int index, index_t line, const Emit& emit) const
    {
        ck_tile_masks::cut_line<kAxis>(masks.distinct(index), line, counts_[index][line], limit_, emit);
    }
    index_t limit() const { return limit_; }
    // Live tiles of the whole call.
    int64_t total() const { return total_; }

private:
    // Not a function of the number of threads, so that results are not either: a line is cut where it would hold more
    // than 1/256 of all the work, which also bounds the memory of partial results.
    static constexpr index_t kTargetRanges = 256;
    static constexpr index_t kMinLive = 16;
    static constexpr index_t kMinChunk = 256; // lines that a thread counts at a time

    std::vector<std::vector<index_t>> counts_;
    int64_t total_ = 0;
    index_t limit_;
};

} // namespace ck_fmha::cpu
