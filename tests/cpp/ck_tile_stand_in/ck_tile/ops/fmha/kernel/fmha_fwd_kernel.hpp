#pragma once

#include <ck_tile/ops/fmha/block/block_masking.hpp>
#include <ck_tile/ops/fmha/pipeline/block_fmha_pipelines.hpp>

namespace ck_tile {

#if CK_FMHA_CK_TILE_ROCM < 604
template <class TilePartitioner_, class FmhaPipeline_, class EpiloguePipeline_>
#else
template <class FmhaPipeline_, class EpiloguePipeline_>
#endif
struct FmhaFwdKernel {
    using FmhaPipeline = FmhaPipeline_;
    using EpiloguePipeline = EpiloguePipeline_;
    using DataType = typename FmhaPipeline::DataType;
    using FmhaMask = typename FmhaPipeline::FmhaMask;
    static constexpr index_t kBlockSize = FmhaPipeline::kBlockSize;
    static constexpr index_t kBlockPerCu = FmhaPipeline::kBlockPerCu;

    struct CommonKargs {
        const void *q_ptr, *k_ptr, *v_ptr;
        void* o_ptr;
        index_t seqlen_q, seqlen_k, hdim_q, hdim_v;
#if CK_FMHA_CK_TILE_ROCM >= 603
        index_t num_head_q;
#endif
        index_t nhead_ratio_qk;
        float scale_s;
        index_t stride_q, stride_k, stride_v, stride_o;
        index_t nhead_stride_q, nhead_stride_k, nhead_stride_v, nhead_stride_o;
        void* lse_ptr;
        index_t nhead_stride_lse, batch_stride_lse;
        index_t batch_stride_q, batch_stride_k, batch_stride_v, batch_stride_o;
    };
    struct Kargs : CommonKargs, MaskKargs<FmhaMask::IsMasking> {};

    CK_TILE_DEVICE void operator()(Kargs kargs) const
    {
#if CK_FMHA_CK_TILE_ROCM < 604
        const auto [i_tile_m, i_tile_n, i_nhead, i_batch] = TilePartitioner_{}(kargs.seqlen_q, kargs.hdim_v);
        (void)i_tile_n;
#else
        const index_t i_tile_m = block_x(), i_nhead = block_y(), i_batch = block_z();
#endif
        const index_t head_kv = i_nhead / kargs.nhead_ratio_qk;
        const auto at = [batch = i_batch](auto* data, long_index_t head, index_t nhead_stride, index_t batch_stride) {
            return data + head * nhead_stride + static_cast<long_index_t>(batch) * batch_stride;
        };
        const auto in = [](const void* data) { return static_cast<const DataType*>(data); };
#if CK_TILE_FMHA_FWD_FAST_EXP2
        const float scale_log2 = kargs.scale_s;
#else
        const float scale_log2 = kargs.scale_s * kLog2E;
#endif
        FmhaPipeline::template run<EpiloguePipeline>(
            Rows<const DataType>{at(in(kargs.q_ptr), i_nhead, kargs.nhead_stride_q, kargs.batch_stride_q),
                                 kargs.stride_q, kargs.seqlen_q, kargs.hdim_q},
            Rows<const DataType>{at(in(kargs.k_ptr), head_kv, kargs.nhead_stride_k, kargs.batch_stride_k),
                                 kargs.stride_k, kargs.seqlen_k, kargs.hdim_q},
            Rows<const DataType>{at(in(kargs.v_ptr), head_kv, kargs.nhead_stride_v, kargs.batch_stride_v),
                                 kargs.stride_v, kargs.seqlen_k, kargs.hdim_v},
            Rows<DataType>{at(static_cast<DataType*>(kargs.o_ptr), i_nhead, kargs.nhead_stride_o, kargs.batch_stride_o),
                           kargs.stride_o, kargs.seqlen_q, kargs.hdim_v},
            at(static_cast<float*>(kargs.lse_ptr), i_nhead, kargs.nhead_stride_lse, kargs.batch_stride_lse),
            make_mask<FmhaMask>(kargs), scale_log2, i_tile_m * FmhaPipeline::kM0);
    }
};

} // namespace ck_tile
