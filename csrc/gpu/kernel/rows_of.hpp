#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/tile/load_uniform.hpp"
#include "gpu/tile/rows_in_memory.hpp"

namespace ck_fmha::gpu {

// One (batch, head) of a work item: see FwdArgs. All heads of an item follow each other, or, if the heads take turns,
// all items of a head: pieces of a global line, which come first and read everything, are then few at a time.
struct WorkIndex {
    index_t item;
    index_t shared;
    template <class Args>
    CK_FMHA_DEVICE explicit WorkIndex(const Args& args) : WorkIndex(args, block_index())
    {
        if constexpr (kKnowsNumGroups) {
            if (args.heads_in_turn == 0) return;
            const index_t num_items = num_groups() / args.num_shared;
            item = block_index() % num_items;
            shared = block_index() / num_items;
        }
    }
    template <class Args>
    CK_FMHA_DEVICE WorkIndex(const Args& args, index_t number)
        : item(number / args.num_shared), shared(number % args.num_shared)
    {
    }
    template <class Args>
    CK_FMHA_DEVICE index_t batch(const Args& args, index_t first) const
    {
        return first + shared / args.shared_heads;
    }
    template <class Args>
    CK_FMHA_DEVICE index_t head(const Args& args, index_t first) const
    {
        return first + shared % args.shared_heads;
    }
    template <class Args>
    CK_FMHA_DEVICE index_t slot(const Args& args, index_t slot) const
    {
        return slot * args.num_shared + shared;
    }
};

// A work item's mask, and the place of its list of live tiles.
template <class Mask, class Args>
CK_FMHA_DEVICE Mask mask_of(const Args& args, const FwdWork& work)
{
    return Mask(args.images + work.image, args.seqlen_q, args.seqlen_k, work.row);
}
template <class Args>
CK_FMHA_DEVICE TileCode* tiles_of(const Args& args, index_t item)
{
    return args.tiles + static_cast<long_index_t>(item) * args.num_stored;
}

// The rows of one (batch, head).
CK_FMHA_DEVICE RowsInMemory rows_of(const Tensor& t, index_t batch, index_t head, index_t num_rows, index_t head_dim,
                                    index_t element_size)
{
    const long_index_t first = batch * t.stride_batch + head * t.stride_head;
    return {static_cast<const char*>(t.data) + first * element_size, static_cast<unsigned>(t.stride_seq * element_size),
            head_dim * element_size, num_rows};
}

// The rows of Q of a work-group that takes kBwdRowsPerGroup of them.
struct RowsOfGroup {
    index_t batch;
    index_t head;
    index_t first;
    index_t count;
    long_index_t first_number; // among the rows of all heads and samples
    long_index_t first_sum;    // among those of the sums of dQ

    CK_FMHA_DEVICE explicit RowsOfGroup(const BwdArgs& args)
    {
        const index_t groups = ck_tile_masks::div_up(args.seqlen_q, kBwdRowsPerGroup);
        const index_t line = block_index() / groups;
        batch = line / args.num_heads;
        head = line % args.num_heads;
        first = block_index() % groups * kBwdRowsPerGroup;
        count = ck_tile_masks::min(kBwdRowsPerGroup, args.seqlen_q - first);
        first_number = static_cast<long_index_t>(line) * args.seqlen_q + first;
        first_sum = line * bwd_sum_rows(kProductLanes, args.seqlen_q) + first;
    }
};
template <class T>
CK_FMHA_DEVICE T* row_of(const Tensor& t, const RowsOfGroup& rows, index_t n)
{
    return static_cast<T*>(t.data) + rows.batch * t.stride_batch + rows.head * t.stride_head +
           (rows.first + n) * t.stride_seq;
}

} // namespace ck_fmha::gpu
