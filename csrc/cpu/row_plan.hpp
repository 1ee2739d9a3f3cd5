#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "cpu/ranges.hpp"
#include "fmha/plan_cache.hpp"

namespace ck_fmha::cpu {

// What the forward pass computes of a call: rows of tiles, long ones in parts.
class RowPlan final : public Plan {
public:
    struct Part {
        TileRange range;
        int32_t row;  // number of the cut row and ...
        int32_t slot; // ... place of this part's partial result, both counted over the head
    };
    // A part of one head, with its numbers counted over the call.
    struct Item {
        int32_t batch, head, row, slot;
        const TileRange* range;
    };

    static constexpr Axis kAxis = Axis::rows;
    static std::array<int64_t, 6> sizes(const ck_fmha_problem& p)
    {
        return {p.batch, p.num_heads, p.seqlen_q, p.seqlen_k};
    }

    RowPlan(const MaskExpr& mask, const ck_fmha_problem& p)
        : masks_(mask, p), num_heads_(p.num_heads), lists_(masks_.num_distinct())
    {
        const LineCounts<kAxis> counts(masks_, p);
        num_live_ = counts.total();
        for (int m = 0; m < masks_.num_distinct(); ++m)
            lists_[m] = cut(counts, m);
        heads_.reserve(p.batch * p.num_heads + 1);
        heads_.push_back({});
        for (int64_t b = 0; b < p.batch; ++b)
            for (int64_t h = 0; h < p.num_heads; ++h) {
                const List& list = lists_[masks_.index(b, h)];
                const First& first = heads_.back();
                heads_.push_back({first.item + static_cast<int64_t>(list.parts.size()), first.row + list.num_rows,
                                  first.slot + list.num_slots});
            }
    }

    const MaskedHeads& masks() const { return masks_; }
    int64_t num_live() const { return num_live_; }
    int64_t num_items() const { return heads_.back().item; }
    int32_t num_cut_rows() const { return heads_.back().row; }
    int32_t num_slots() const { return heads_.back().slot; }

    // The n-th item: one head after the other, the longest parts of each first.
    Item item(int64_t n) const
    {
        const auto after = std::upper_bound(heads_.begin(), heads_.end(), n,
                                            [](int64_t number, const First& first) { return number < first.item; });
        const First& first = *std::prev(after);
        const int64_t bh = after - heads_.begin() - 1, b = bh / num_heads_, h = bh % num_heads_;
        const Part& part = lists_[masks_.index(b, h)].parts[n - first.item];
        return {static_cast<int32_t>(b), static_cast<int32_t>(h), first.row + part.row, first.slot + part.slot,
                &part.range};
    }

    size_t bytes() const override
    {
        size_t bytes = sizeof *this + masks_.bytes() + heads_.size() * sizeof(First);
        for (const List& list : lists_)
            bytes += sizeof list + list.parts.size() * sizeof(Part);
        return bytes;
    }

private:
    // The parts of one distinct mask.
    struct List {
        std::vector<Part> parts;
        int32_t num_rows = 0; // that are cut
        int32_t num_slots = 0;
    };
    // Numbers of a head's first item, cut row and slot.
    struct First {
        int64_t item = 0;
        int32_t row = 0, slot = 0;
    };

    List cut(const LineCounts<kAxis>& counts, int m) const
    {
        List list;
        list.parts.reserve(masks_.distinct(m).num_tiles_y());
        for (index_t line = 0; line < masks_.distinct(m).num_tiles_y(); ++line) {
            int32_t num_parts = 1;
            counts.cut(masks_, m, line, [&](const TileRange& range) {
                list.parts.push_back({range, list.num_rows, list.num_slots + range.part});
                num_parts = range.num_parts;
            });
            if (num_parts == 1) continue;
            ++list.num_rows;
            list.num_slots += num_parts;
        }
        put_longest_first(list.parts);
        return list;
    }

    // Orders the parts by falling power of two of their live tiles, so that the last ones to finish are short. Linear,
    // for there are as many parts as rows of tiles.
    static void put_longest_first(std::vector<Part>& parts)
    {
        const auto power = [](const Part& part) { return std::ilogb(static_cast<float>(part.range.num_live + 1)); };
        std::array<size_t, 33> place{}; // of the next part of each power, the highest first
        for (const Part& part : parts)
            ++place[32 - power(part)];
        std::exclusive_scan(place.begin(), place.end(), place.begin(), size_t{0});
        std::vector<Part> ordered(parts.size());
        for (const Part& part : parts)
            ordered[place[32 - power(part)]++] = part;
        parts = std::move(ordered);
    }

    const MaskedHeads masks_;
    const int64_t num_heads_;
    std::vector<List> lists_;
    std::vector<First> heads_; // and the ends of the last one
    int64_t num_live_ = 0;
};

} // namespace ck_fmha::cpu
