#pragma once

#include "gpu/kernel/fwd_kernel.hpp"

namespace ck_fmha::gpu {

// Merges the partial results of the pieces of a cut row, in their order:
//
//     O = sum of O_n 2^(L_n - M) / sum of 2^(L_n - M),   LSE = (M + log2 of that sum) ln 2,   M = max of L_n
//
// with e in the place of 2 where scores are natural.
//
// kMergeParts work-groups a cut row; thread by thread two dimensions of a row, so that a row's threads follow each
// other in memory.
template <class Traits>
struct FwdCombineKernel {
    using T = typename Traits::T;
    using Unit = typename FwdKernel<Traits>::Extras::Unit;
    static constexpr index_t kTileQ = FwdKernel<Traits>::kTileQ;
    static constexpr index_t kRowsOfPart = kTileQ / kMergeParts;
    static constexpr index_t kThreads = 256;

    CK_FMHA_DEVICE static void run(const FwdArgs& args)
    {
        const WorkIndex index(args, block_index() / kMergeParts);
        const auto merge = load_uniform<FwdMerge>(args.merges + index.item);
        const index_t batch = index.batch(args, merge.batch), head = index.head(args, merge.head);
        const index_t first_row = merge.row * kTileQ;
        const index_t begin = block_index() % kMergeParts * kRowsOfPart; // in the tile
        const index_t end = ck_tile_masks::min(begin + kRowsOfPart, args.seqlen_q - first_row);
        const index_t num_pairs = args.head_dim_v / 2;
        for (index_t n = thread_index(); n < (end - begin) * num_pairs; n += kThreads)
            merge_pair(args, index, merge, batch, head, first_row, begin + n / num_pairs, n % num_pairs * 2);
    }

private:
    CK_FMHA_DEVICE static void merge_pair(const FwdArgs& args, const WorkIndex& index, const FwdMerge& merge,
                                          index_t batch, index_t head, index_t first_row, index_t row, index_t dim)
    {
        const auto partial_row = [&](index_t n) {
            return static_cast<long_index_t>(index.slot(args, merge.first_slot + n)) * kTileQ + row;
        };
        float largest = -kInfinity;
        for (index_t n = 0; n < merge.num_slots; ++n)
            largest = larger(largest, args.partial_lse[partial_row(n)]);
        const float reference = largest == -kInfinity ? 0.f : largest; // a row that attends nothing
        float sum = 0.f;
        Float2 o = {0.f, 0.f};
        for (index_t n = 0; n < merge.num_slots; ++n) {
            const long_index_t partial = partial_row(n);
            const float weight = exp2((args.partial_lse[partial] - reference) * Unit::kInBase2);
            sum += weight;
            o += *reinterpret_cast<const Float2*>(args.partial_o + partial * args.head_dim_v + dim) * weight;
        }
        const float factor = sum == 0.f ? 0.f : 1.f / sum;
        T* out = static_cast<T*>(args.o.data) + batch * args.o.stride_batch + head * args.o.stride_head +
                 (first_row + row) * args.o.stride_seq + dim;
        *reinterpret_cast<unsigned*>(out) = MatrixElement<T>::pack(o[0] * factor, o[1] * factor);
        if (dim == 0) {
            const long_index_t line = static_cast<long_index_t>(batch) * args.num_heads + head;
            args.lse[line * args.seqlen_q + first_row + row] =
                (reference + log2(sum) / Unit::kInBase2) * Unit::kInBaseE;
        }
    }
};

} // namespace ck_fmha::gpu
