#pragma once

// The truth about the block layouts of DeepSpeed, block by block. test_masks_deepspeed.cpp compares these predicates
// with layouts that are painted range by range, as DeepSpeed's documentation describes them.

#include <algorithm>
#include <vector>

#include "block_matrix.hpp"
#include "mask_oracle.hpp"

namespace mask_tests {

using BlockPredicate = std::function<bool(element_t I, element_t J)>;

// A predicate of blocks seen at element level; `blocks_of(call, nq, nk)` makes it for a call.
template <class BlocksOf>
Oracle layout_oracle(index_t block, const BlocksOf& blocks_of)
{
    return [=](const MaskCall& call) -> Predicate {
        const BlockPredicate blocks = blocks_of(call, (element_t{call.seqlen_q} + block - 1) / block,
                                                (element_t{call.seqlen_k} + block - 1) / block);
        return [=](element_t i, element_t j) { return blocks(i / block, j / block); };
    };
}

struct DeepSpeedFixedParameters {
    index_t block = 16, local = 4, global = 1, patterns = 1;
    bool unidirectional = false, horizontal = false;
};

// Of n blocks, which run of global ones holds this block? Runs are told apart by their first block; kNone: no run.
struct GlobalRuns {
    element_t n, local, global, offset; // offset of the run in its group of `local` blocks

    // First block of the run of the incomplete last group, moved so that the run ends inside; n: no such group. With
    // fewer blocks than global ones it is negative, and Python, in which the layout is defined, counts it from the end.
    element_t last_run() const
    {
        const element_t group = n / local * local;
        if (group == n) return n;
        const element_t begin = std::min(group + offset, n - global);
        return begin >= 0 ? begin : std::max<element_t>(0, begin + n);
    }
    bool in_whole_group(element_t block) const
    {
        const element_t group = block / local * local;
        return group + local <= n && block >= group + offset && block < group + offset + global;
    }
    bool in_last_run(element_t block) const { return block >= last_run() && block < std::min(last_run() + global, n); }
    // Is the block in a run that begins at or before `end`?
    bool holds(element_t block, element_t end) const
    {
        return (in_whole_group(block) && block / local * local + offset <= end) ||
               (in_last_run(block) && last_run() <= end);
    }
};

inline Oracle deepspeed_fixed_oracle(const DeepSpeedFixedParameters& p)
{
    return layout_oracle(p.block, [=](const MaskCall& call, element_t nq, element_t nk) {
        const element_t l = p.local, offset = l - (1 + call.head % p.patterns) * element_t{p.global};
        const GlobalRuns cols{nk, l, p.global, offset}, rows{nq, l, p.global, offset};
        return [=](element_t I, element_t J) {
            const bool local = I / l == J / l && (!p.unidirectional || J <= I);
            const bool global_col = cols.holds(J, p.unidirectional ? I : nk);
            return local || global_col || (p.horizontal && rows.holds(I, nq));
        };
    });
}

// Blocks [begin, end), ascending and disjoint.
struct BlockRange {
    index_t begin, end;
};

inline const BlockRange* range_of(const std::vector<BlockRange>& ranges, element_t block)
{
    for (const BlockRange& range : ranges)
        if (block >= range.begin && block < range.end) return &range;
    return nullptr;
}

// Number of the local window that holds a block: windows of the listed sizes, the last size repeated.
inline element_t window_of(const std::vector<index_t>& sizes, element_t block)
{
    element_t number = 0;
    for (const element_t size : sizes) {
        if (block < size) return number;
        block -= size;
        ++number;
    }
    return number + block / sizes.back();
}

struct DeepSpeedVariableParameters {
    index_t block;
    std::vector<index_t> window_sizes;
    std::vector<BlockRange> global;
    bool unidirectional = false, horizontal = false;
};

inline Oracle deepspeed_variable_oracle(const DeepSpeedVariableParameters& p)
{
    return layout_oracle(p.block, [=](const MaskCall&, element_t, element_t) {
        return [=](element_t I, element_t J) {
            if (window_of(p.window_sizes, I) == window_of(p.window_sizes, J) && (!p.unidirectional || J <= I))
                return true;
            const BlockRange* const col = range_of(p.global, J);
            if (col && (!p.unidirectional || I >= col->begin)) return true;
            return p.horizontal && range_of(p.global, I) != nullptr;
        };
    });
}

inline Oracle deepspeed_longformer_oracle(index_t block, index_t window, const std::vector<BlockRange>& global,
                                          bool unidirectional)
{
    return layout_oracle(block, [=](const MaskCall&, element_t, element_t) {
        return [=](element_t I, element_t J) {
            const bool in_window = (I < J ? J - I : I - J) <= window / 2;
            return (in_window || range_of(global, I) || range_of(global, J)) && (!unidirectional || J <= I);
        };
    });
}

inline bool deepspeed_big_bird_block(element_t I, element_t J, index_t window, index_t num_global, bool drawn,
                                     bool unidirectional)
{
    const bool in_window = (I < J ? J - I : I - J) <= window / 2;
    return (in_window || I < num_global || J < num_global || drawn) && (!unidirectional || J <= I);
}

// The draws are those of BigBird: permutations of the larger count of blocks.
inline Oracle deepspeed_big_bird_oracle(const BigBirdParameters& p, bool unidirectional)
{
    return layout_oracle(p.block, [=](const MaskCall& call, element_t nq, element_t nk) {
        const auto random = std::make_shared<RandomBlocks>(index_t(std::max(nq, nk)), p.num_random, p.seed, call.head);
        return [=](element_t I, element_t J) {
            const bool drawn = random->drawn(index_t(I), index_t(J));
            return deepspeed_big_bird_block(I, J, p.window, p.num_global, drawn, unidirectional);
        };
    });
}

inline Oracle deepspeed_big_bird_table_oracle(index_t block, index_t window, index_t num_global,
                                              const BlockMatrix& random, bool unidirectional)
{
    return layout_oracle(block, [=](const MaskCall& call, element_t, element_t) {
        return [=, head = call.head](element_t I, element_t J) {
            const bool drawn = random.flag(head, index_t(I), index_t(J));
            return deepspeed_big_bird_block(I, J, window, num_global, drawn, unidirectional);
        };
    });
}

} // namespace mask_tests
