#pragma once

#include <array>
#include <vector>

#include "cpu/ranges.hpp"
#include "fmha/plan_cache.hpp"

namespace ck_fmha::cpu {

// What the backward pass computes of a call: columns of tiles of every pair (batch, head_kv), long ones in parts.
class ColumnPlan final : public Plan {
public:
    // Rows [begin, end) of tiles, of one query head that shares the key/value head.
    struct Segment {
        int32_t head_in_group;
        index_t begin, end;
    };
    // A run of segments of one column of tiles.
    struct Task {
        index_t line;
        int32_t first_segment, num_segments;
        int32_t part, num_parts; // of the column
        int32_t column, slot;    // number of the cut column and of this part's partial sums, counted over the pair
    };
    // The tasks of one pair; shared by those with the same masks.
    struct List {
        std::vector<Segment> segments;
        std::vector<Task> tasks; // ascending in line
        int32_t num_columns = 0; // cut columns
        int32_t num_slots = 0;
    };
    // Numbers of a pair's first cut column, slot and segment, counted over the call.
    struct First {
        int32_t column = 0, slot = 0;
        int64_t segment = 0;
    };

    static constexpr Axis kAxis = Axis::cols;
    static std::array<int64_t, 6> sizes(const ck_fmha_problem& p)
    {
        return {p.batch, p.num_heads, p.num_heads_kv, p.seqlen_q, p.seqlen_k};
    }

    ColumnPlan(const MaskExpr& mask, const ck_fmha_problem& p)
        : masks_(mask, p), num_heads_kv_(p.num_heads_kv), group_(p.num_heads / p.num_heads_kv)
    {
        const LineCounts<kAxis> counts(masks_, p);
        num_live_ = counts.total();
        for (int64_t b = 0; b < (masks_.varies_by_batch() ? p.batch : 1); ++b)
            for (int64_t head_kv = 0; head_kv < (masks_.varies_by_head() ? p.num_heads_kv : 1); ++head_kv)
                lists_.push_back(cut(counts, b, head_kv));
        pairs_.resize(p.batch * p.num_heads_kv + 1);
        for (int64_t pair = 0; pair < num_pairs(); ++pair) {
            const List& l = list(pair);
            const First& f = pairs_[pair];
            pairs_[pair + 1] = {f.column + l.num_columns, f.slot + l.num_slots,
                                f.segment + static_cast<int64_t>(l.segments.size())};
            num_tasks_ += static_cast<int64_t>(l.tasks.size());
        }
    }

    const MaskedHeads& masks() const { return masks_; }
    int64_t num_live() const { return num_live_; }
    int64_t num_tasks() const { return num_tasks_; }
    int64_t num_pairs() const { return static_cast<int64_t>(pairs_.size()) - 1; }
    const First& first(int64_t pair) const { return pairs_[pair]; }
    // Numbers of cut columns, slots and segments of the call.
    const First& end() const { return pairs_.back(); }

    const List& list(int64_t pair) const
    {
        const int64_t b = masks_.varies_by_batch() ? pair / num_heads_kv_ : 0;
        const int64_t head_kv = masks_.varies_by_head() ? pair % num_heads_kv_ : 0;
        return lists_[b * (masks_.varies_by_head() ? num_heads_kv_ : 1) + head_kv];
    }

    size_t bytes() const override
    {
        size_t bytes = sizeof *this + masks_.bytes() + pairs_.size() * sizeof(First);
        for (const List& l : lists_)
            bytes += sizeof l + l.segments.size() * sizeof(Segment) + l.tasks.size() * sizeof(Task);
        return bytes;
    }

private:
    List cut(const LineCounts<kAxis>& counts, int64_t b, int64_t head_kv) const
    {
        List list;
        for (index_t line = 0; line < masks_.distinct(0).num_tiles_x(); ++line) {
            const size_t first_task = list.tasks.size();
            index_t live = 0;
            for (int32_t g = 0; g < group_; ++g)
                counts.cut(masks_, masks_.index(b, head_kv * group_ + g), line, [&](const TileRange& r) {
                    const bool fresh = list.tasks.size() == first_task || live + r.num_live > counts.limit();
                    if (fresh) {
                        const auto part = static_cast<int32_t>(list.tasks.size() - first_task);
                        list.tasks.push_back({line, static_cast<int32_t>(list.segments.size()), 0, part, 1, 0, 0});
                        live = 0;
                    }
                    list.segments.push_back({g, r.begin, r.end});
                    ++list.tasks.back().num_segments;
                    live += r.num_live;
                });
            const auto parts = static_cast<int32_t>(list.tasks.size() - first_task);
            if (parts == 1) continue;
            for (size_t t = first_task; t < list.tasks.size(); ++t) {
                list.tasks[t].num_parts = parts;
                list.tasks[t].column = list.num_columns;
                list.tasks[t].slot = list.num_slots + list.tasks[t].part;
            }
            ++list.num_columns;
            list.num_slots += parts;
        }
        return list;
    }

    const MaskedHeads masks_;
    const int64_t num_heads_kv_;
    const int64_t group_; // query heads per key/value head
    std::vector<List> lists_;
    std::vector<First> pairs_; // and the ends of the last one
    int64_t num_live_ = 0, num_tasks_ = 0;
};

} // namespace ck_fmha::cpu
