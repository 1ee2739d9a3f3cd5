#pragma once

#include "gpu/kernel/bwd_args.hpp"
#include "gpu/kernel/rows_of.hpp"
#include "gpu/kernel/sum_partials.hpp"
#include "gpu/pipeline/bwd_pipeline_dq.hpp"

namespace ck_fmha::gpu {

// dQ by rows of tiles, for a backward whose results do not depend on the order of work-groups. The work items, tiles
// and merges of its BwdArgs are those of the forward; BwdArgs::dq_sum takes the pieces of cut rows: (slots *
// num_shared, tile_q, head_dim).
template <class Traits>
struct BwdDqKernel {
    using Pipeline = BwdPipelineDq<Traits>;
    using Wave = typename Pipeline::Wave;
    using Mask = typename Pipeline::Mask;
    using T = typename Traits::T;
    static constexpr index_t kTileQ = Traits::kWaves * Wave::kRows;

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        auto dq = compute(args);
        store(read_arguments_anew(args), dq);
    }

    // The pieces of a cut row.
    CK_FMHA_DEVICE static void combine(const BwdArgs& args)
    {
        const WorkIndex index(args, block_index() / kMergeParts);
        const auto merge = load_uniform<FwdMerge>(args.merges + index.item);
        const index_t batch = index.batch(args, merge.batch), head = index.head(args, merge.head);
        const PartialSums slots{merge, args.num_shared, index.shared, 1};
        sum_partials<T>(args.dq_sum, slots, args.dq, batch, head, kTileQ, args.seqlen_q, args.head_dim);
    }

private:
    CK_FMHA_DEVICE static typename Wave::Output compute(const BwdArgs& args)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        const index_t batch = index.batch(args, work.batch), head = index.head(args, work.head);
        const index_t head_kv = head / args.heads_per_kv;
        const auto mask = mask_of<Mask>(args, work);
        const typename Pipeline::Tiles tiles(tiles_of(args, index.item));
        const long_index_t line = static_cast<long_index_t>(batch) * args.num_heads + head;
        return Pipeline::run({rows_of(args.q, batch, head, args.seqlen_q, args.head_dim, sizeof(T)),
                              rows_of(args.k, batch, head_kv, args.seqlen_k, args.head_dim, sizeof(T)),
                              rows_of(args.v, batch, head_kv, args.seqlen_k, args.head_dim_v, sizeof(T)),
                              rows_of(args.d_o, batch, head, args.seqlen_q, args.head_dim_v, sizeof(T)),
                              reinterpret_cast<const Float2*>(args.statistics) + line * args.seqlen_q},
                             tiles, mask, typename Pipeline::Extras(args, batch, head));
    }

    CK_FMHA_DEVICE static void store(const BwdArgs& args, typename Wave::Output& dq)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        const index_t lane = lane_index_anew();
        Wave::gather_quads(dq);
        const index_t first_row = Mask::wave() * Wave::kRows;
        unroll<Wave::kQueriesOfLane>([&](auto n) {
            const index_t row_in_tile = first_row + Wave::query_of_lane(n, lane);
            const index_t row = work.row * kTileQ + row_in_tile;
            if (row >= args.seqlen_q) return;
            const float factor = args.scale * exp2(-Wave::Element::kGradientExponent);
            if (work.slot >= 0) {
                const long_index_t partial =
                    static_cast<long_index_t>(index.slot(args, work.slot)) * kTileQ + row_in_tile;
                float* const out = args.dq_sum + partial * args.head_dim;
                Wave::template for_each_quad<n>(
                    dq, args.head_dim,
                    [&](index_t dim, Float4 x) { *reinterpret_cast<Float4*>(out + dim) = x * factor; }, lane);
                return;
            }
            const index_t batch = index.batch(args, work.batch), head = index.head(args, work.head);
            T* const out = static_cast<T*>(args.dq.data) + batch * args.dq.stride_batch + head * args.dq.stride_head +
                           row * args.dq.stride_seq;
            Wave::template for_each_quad<n>(
                dq, args.head_dim,
                [&](index_t dim, Float4 x) {
                    x *= factor;
                    *reinterpret_cast<Dword2*>(out + dim) =
                        Dword2{Wave::Element::pack(x[0], x[1]), Wave::Element::pack(x[2], x[3])};
                },
                lane);
        });
    }
};

} // namespace ck_fmha::gpu
