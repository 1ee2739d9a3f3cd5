#pragma once

#include "gpu/kernel/rows_of.hpp"
#include "gpu/pipeline/fwd_pipeline_qr_ks_vs.hpp"

namespace ck_fmha::gpu {

template <class Traits>
struct FwdKernel {
    using Pipeline = FwdPipelineQrKsVs<Traits>;
    using Wave = typename Pipeline::Wave;
    using Mask = typename Pipeline::Mask;
    using Extras = typename Pipeline::Extras;
    using T = typename Traits::T;
    static constexpr index_t kTileQ = Traits::kTileQ;

    CK_FMHA_DEVICE static void run(const FwdArgs& args)
    {
        auto result = compute(args);
        // What the end needs is read at the end, so that it takes no registers from the loop.
        store(read_arguments_anew(args), result);
    }

private:
    CK_FMHA_DEVICE static typename Pipeline::Result compute(const FwdArgs& args)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        const index_t batch = index.batch(args, work.batch), head = index.head(args, work.head);
        const index_t head_kv = head / args.heads_per_kv;
        const auto mask = mask_of<Mask>(args, work);
        const typename Pipeline::Tiles tiles(tiles_of(args, index.item));
        return Pipeline::run(rows_of(args.q, batch, head, args.seqlen_q, args.head_dim, sizeof(T)),
                             rows_of(args.k, batch, head_kv, args.seqlen_k, args.head_dim, sizeof(T)),
                             rows_of(args.v, batch, head_kv, args.seqlen_k, args.head_dim_v, sizeof(T)), tiles, mask,
                             Extras(args, batch, head));
    }

    CK_FMHA_DEVICE static void store(const FwdArgs& args, typename Pipeline::Result& result)
    {
        const WorkIndex index(args);
        const auto work = load_uniform<FwdWork>(args.work + index.item);
        const index_t batch = index.batch(args, work.batch), head = index.head(args, work.head);
        const auto sum = result.softmax.sum();
        const auto log_sum = result.softmax.log_sum(sum);
        const float kept = Extras::kHasDropout ? args.extras.keep_scale : 1.f;
        Wave::gather_quads(result.o);
        const index_t first_row = Pipeline::query_tile(work.row) * Wave::kRows;
        unroll<Wave::kQueriesOfLane>([&](auto n) {
            const float factor = sum[n] == 0.f ? 0.f : kept / sum[n]; // a row that attends nothing is zero
            const index_t row = first_row + Wave::query_of_lane(n);
            if (row >= args.seqlen_q) return;
            if (work.slot < 0)
                store_row<n>(args, batch, head, row, result.o, factor, log_sum[n]);
            else
                store_partial<n>(args, index.slot(args, work.slot), row - work.row * kTileQ, result.o, factor,
                                 log_sum[n]);
        });
    }

    template <index_t kQueryOfLane>
    CK_FMHA_DEVICE static void store_row(const FwdArgs& args, index_t batch, index_t head, index_t row,
                                         const typename Wave::Output& o, float factor, float log_sum)
    {
        T* out = static_cast<T*>(args.o.data) + batch * args.o.stride_batch + head * args.o.stride_head +
                 row * args.o.stride_seq;
        Wave::template for_each_quad<kQueryOfLane>(o, args.head_dim_v, [&](index_t dim, Float4 x) {
            x *= factor;
            *reinterpret_cast<Dword2*>(out + dim) =
                Dword2{Wave::Element::pack(x[0], x[1]), Wave::Element::pack(x[2], x[3])};
        });
        if (Wave::first_of_query()) {
            const long_index_t line = static_cast<long_index_t>(batch) * args.num_heads + head;
            args.lse[line * args.seqlen_q + row] = log_sum * Extras::Unit::kInBaseE;
        }
    }
    template <index_t kQueryOfLane>
    CK_FMHA_DEVICE static void store_partial(const FwdArgs& args, index_t slot, index_t row_in_tile,
                                             const typename Wave::Output& o, float factor, float log_sum)
    {
        const long_index_t row = static_cast<long_index_t>(slot) * kTileQ + row_in_tile;
        float* out = args.partial_o + row * args.head_dim_v;
        Wave::template for_each_quad<kQueryOfLane>(
            o, args.head_dim_v, [&](index_t dim, Float4 x) { *reinterpret_cast<Float4*>(out + dim) = x * factor; });
        if (Wave::first_of_query()) args.partial_lse[row] = log_sum;
    }
};

} // namespace ck_fmha::gpu
