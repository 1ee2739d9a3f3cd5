#pragma once

#include "gpu/kernel/fwd_args.hpp"
#include "gpu/pipeline/fwd_policy.hpp"

namespace ck_fmha::gpu {

// Which partial results make up a line of tiles: slot by slot those of `heads` heads from shared * heads on, of all
// num_shared that a slot has. See BwdArgs.
struct PartialSums {
    FwdMerge merge;
    index_t num_shared;
    index_t shared;
    index_t heads;

    // Four numbers at `offset` of partial results that are `size` numbers long.
    CK_FMHA_DEVICE Float4 sum(const float* partial, long_index_t size, index_t offset) const
    {
        Float4 sum = {};
        for (index_t g = 0; g < heads; ++g)
            for (index_t n = 0; n < merge.num_slots; ++n) {
                const long_index_t slot = merge.first_slot + n;
                sum += *reinterpret_cast<const Float4*>(partial + (slot * num_shared + shared * heads + g) * size +
                                                        offset);
            }
        return sum;
    }
};

// Sums the partial gradients of a line of `tile` positions, in one order whoever computed them when: one of kMergeParts
// work-groups of 256 threads, each of which takes four dimensions of a position.
template <class T>
CK_FMHA_DEVICE void sum_partials(const float* partial, const PartialSums& slots, const Tensor& t, index_t batch,
                                 index_t head, index_t tile, index_t seqlen, index_t head_dim)
{
    const index_t first = slots.merge.row * tile;
    const index_t begin = block_index() % kMergeParts * (tile / kMergeParts); // in the tile
    const index_t end = ck_tile_masks::min(begin + tile / kMergeParts, seqlen - first);
    const index_t num_quads = head_dim / 4;
    T* const out = static_cast<T*>(t.data) + batch * t.stride_batch + head * t.stride_head + first * t.stride_seq;
    for (index_t n = thread_index(); n < (end - begin) * num_quads; n += 256) {
        const index_t position = begin + n / num_quads, dim = n % num_quads * 4;
        const Float4 x = slots.sum(partial, static_cast<long_index_t>(tile) * head_dim, position * head_dim + dim);
        *reinterpret_cast<Dword2*>(out + position * t.stride_seq + dim) =
            Dword2{MatrixElement<T>::pack(x[0], x[1]), MatrixElement<T>::pack(x[2], x[3])};
    }
}

} // namespace ck_fmha::gpu
