#pragma once

#include "gpu/kernel/rows_of.hpp"
#include "gpu/kernel/sum_partials.hpp"
#include "gpu/pipeline/bwd_pipeline_dq_dk_dv.hpp"

namespace ck_fmha::gpu {

template <class Traits>
struct BwdKernel {
    using Pipeline = BwdPipelineDqDkDv<Traits>;
    using Wave = typename Pipeline::Wave;
    using Mask = typename Pipeline::Mask;
    using T = typename Traits::T;
    static constexpr index_t kTileK = Wave::kTileK;

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        if constexpr (Pipeline::Extras::kAddsBiasGradient)
            if (args.extras.only_line >= 0 && line_of_group(args) != args.extras.only_line) return;
        auto result = compute(args);
        // What the end needs is read at the end, so that it takes no registers from the loop.
        store(read_arguments_anew(args), result);
    }

    // The pieces of a cut column, and the query heads that share a head of K and V.
    CK_FMHA_DEVICE static void combine(const BwdArgs& args)
    {
        const index_t num_shared = args.num_shared / args.merge_heads;
        const index_t shared_heads = args.shared_heads / args.merge_heads; // of K and V
        const index_t number = block_index() / kMergeParts, shared = number % num_shared;
        const auto merge = load_uniform<FwdMerge>(args.merges + number / num_shared);
        const index_t batch = merge.batch + shared / shared_heads;
        const index_t head = merge.head / args.heads_per_kv + shared % shared_heads;
        const PartialSums slots{merge, args.num_shared, shared, args.merge_heads};
        sum_partials<T>(args.partial_dk, slots, args.dk, batch, head, kTileK, args.seqlen_k, args.head_dim);
        sum_partials<T>(args.partial_dv, slots, args.dv, batch, head, kTileK, args.seqlen_k, args.head_dim_v);
    }

private:
    CK_FMHA_DEVICE static index_t line_of_group(const BwdArgs& args)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        return index.batch(args, work.batch) * args.num_heads + index.head(args, work.head);
    }

    CK_FMHA_DEVICE static typename Pipeline::Result compute(const BwdArgs& args)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        const index_t batch = index.batch(args, work.batch), head = index.head(args, work.head);
        const index_t head_kv = head / args.heads_per_kv;
        const auto mask = mask_of<Mask>(args, work);
        const typename Pipeline::Tiles tiles(tiles_of(args, index.item));
        const long_index_t line = static_cast<long_index_t>(batch) * args.num_heads + head;
        const long_index_t first_sum = line * bwd_sum_rows(kProductLanes, args.seqlen_q);
        constexpr index_t kSumBytes = 4 * Traits::kHeadDim;
        return Pipeline::run(
            {rows_of(args.q, batch, head, args.seqlen_q, args.head_dim, sizeof(T)),
             rows_of(args.k, batch, head_kv, args.seqlen_k, args.head_dim, sizeof(T)),
             rows_of(args.v, batch, head_kv, args.seqlen_k, args.head_dim_v, sizeof(T)),
             rows_of(args.d_o, batch, head, args.seqlen_q, args.head_dim_v, sizeof(T)),
             reinterpret_cast<const Float2*>(args.statistics) + line * args.seqlen_q,
             {reinterpret_cast<const char*>(args.dq_sum) + first_sum * kSumBytes, kSumBytes, kSumBytes, args.seqlen_q}},
            tiles, mask, typename Pipeline::Extras(args, batch, head));
    }

    CK_FMHA_DEVICE static void store(const BwdArgs& args, typename Pipeline::Result& result)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        const index_t lane = lane_index_anew();
        const float factor = exp2(-Wave::Element::kGradientExponent), factor_dk = args.scale * factor;
        const float factor_dv = Pipeline::Extras::kHasDropout ? args.extras.keep_scale * factor : factor;
        Wave::gather_quads(result.dk);
        Wave::gather_quads(result.dv);
        unroll<Wave::kKeysOfLane>([&](auto n) {
            const index_t key_in_tile = Mask::band_in_tile() * Wave::kKeys + Wave::key_of_lane(lane, n);
            const index_t key = work.row * kTileK + key_in_tile;
            if (key >= args.seqlen_k) return;
            if (work.slot >= 0) {
                const long_index_t row = static_cast<long_index_t>(index.slot(args, work.slot)) * kTileK + key_in_tile;
                store_partial<n>(args.partial_dk + row * args.head_dim, args.head_dim, lane, result.dk, factor_dk);
                store_partial<n>(args.partial_dv + row * args.head_dim_v, args.head_dim_v, lane, result.dv, factor_dv);
                return;
            }
            const index_t batch = index.batch(args, work.batch), head = index.head(args, work.head) / args.heads_per_kv;
            store_row<n>(args.dk, batch, head, key, args.head_dim, lane, result.dk, factor_dk);
            store_row<n>(args.dv, batch, head, key, args.head_dim_v, lane, result.dv, factor_dv);
        });
    }

    template <index_t kKeyOfLane>
    CK_FMHA_DEVICE static void store_row(const Tensor& t, index_t batch, index_t head, index_t key, index_t head_dim,
                                         index_t lane, const typename Wave::Gradients& g, float factor)
    {
        T* const out = static_cast<T*>(t.data) + batch * t.stride_batch + head * t.stride_head + key * t.stride_seq;
        Wave::template for_each_quad<kKeyOfLane>(g, head_dim, lane, [&](index_t dim, Float4 x) {
            x *= factor;
            *reinterpret_cast<Dword2*>(out + dim) =
                Dword2{Wave::Element::pack(x[0], x[1]), Wave::Element::pack(x[2], x[3])};
        });
    }
    template <index_t kKeyOfLane>
    CK_FMHA_DEVICE static void store_partial(float* out, index_t head_dim, index_t lane,
                                             const typename Wave::Gradients& g, float factor)
    {
        Wave::template for_each_quad<kKeyOfLane>(
            g, head_dim, lane, [&](index_t dim, Float4 x) { *reinterpret_cast<Float4*>(out + dim) = x * factor; });
    }
};

} // namespace ck_fmha::gpu
