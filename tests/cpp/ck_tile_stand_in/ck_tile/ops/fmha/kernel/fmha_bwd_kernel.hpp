#pragma once

#include <ck_tile/ops/fmha/block/block_dropout.hpp>
#include <ck_tile/ops/fmha/block/block_masking.hpp>
#include <ck_tile/ops/fmha/kernel/fmha_fwd_kernel.hpp>
#include <ck_tile/ops/fmha/pipeline/block_fmha_pipelines.hpp>

namespace ck_tile {

// Where the rows of a (sample, head) begin.
template <class T, class Void>
CK_TILE_HOST_DEVICE T* first_row(Void* data, index_t head, index_t nhead_stride, index_t batch_stride)
{
    return static_cast<T*>(data) + static_cast<long_index_t>(head) * nhead_stride +
           static_cast<long_index_t>(block_z()) * batch_stride;
}

// --- D = rowsum(dO O) ----------------------------------------------------------------------------------------------

template <class ODataType_, class OGradDataType_, class DDataType_, index_t kBlockSize_, index_t kVHeaddim_,
          bool kIsGroupMode_, class Traits_>
struct BlockFmhaBwdOGradDotOPipelineProblem {
    using ODataType = ODataType_;
    static constexpr index_t kBlockSize = kBlockSize_;
};
template <class Problem_>
struct BlockFmhaBwdOGradDotO {
    using Problem = Problem_;
};

template <class FmhaBwdOGradDotO>
struct FmhaBwdOGradDotOKernel {
    using Problem = typename FmhaBwdOGradDotO::Problem;
    using DataType = typename Problem::ODataType;
    static constexpr index_t kBlockSize = Problem::kBlockSize;
    static constexpr index_t kBlockPerCu = 2;
    static constexpr index_t kM0 = kBlockSize;

    struct Kargs {
        const void *o_ptr, *do_ptr;
        void* d_ptr;
        float p_undrop;
        index_t seqlen_q, hdim_v;
        index_t stride_do, stride_o, nhead_stride_do, nhead_stride_o, nhead_stride_d;
        index_t batch_stride_do, batch_stride_o, batch_stride_d;
    };

    CK_TILE_DEVICE void operator()(Kargs kargs) const
    {
        const index_t head = block_y();
        const Rows<const DataType> o{
            first_row<const DataType>(kargs.o_ptr, head, kargs.nhead_stride_o, kargs.batch_stride_o), kargs.stride_o,
            kargs.seqlen_q, kargs.hdim_v};
        const Rows<const DataType> d_o{
            first_row<const DataType>(kargs.do_ptr, head, kargs.nhead_stride_do, kargs.batch_stride_do),
            kargs.stride_do, kargs.seqlen_q, kargs.hdim_v};
        float* const d = first_row<float>(kargs.d_ptr, head, kargs.nhead_stride_d, kargs.batch_stride_d);
        for (index_t n = thread_x(); n < kM0; n += num_threads(kBlockSize)) {
            const index_t row = block_x() * kM0 + n;
            if (row < kargs.seqlen_q) d[row] = dot(o, row, d_o, row) * kargs.p_undrop;
        }
    }
};

// --- dQ, dK, dV ----------------------------------------------------------------------------------------------------

template <class FmhaPipeline_, class KGradEpiloguePipeline, class VGradEpiloguePipeline>
struct FmhaBwdDQDKDVKernel {
    using FmhaPipeline = FmhaPipeline_;
    using DataType = typename FmhaPipeline::DataType;
    using FmhaMask = typename FmhaPipeline::FmhaMask;
    static constexpr index_t kBlockSize = FmhaPipeline::kBlockSize;
    static constexpr index_t kBlockPerCu = FmhaPipeline::kBlockPerCu;

    struct CommonKargs {
        const void *q_ptr, *k_ptr, *v_ptr, *lse_ptr, *do_ptr, *d_ptr;
        void *dq_acc_ptr, *dk_ptr, *dv_ptr;
        index_t seqlen_q, seqlen_k, hdim_q, hdim_v, num_head_q, nhead_ratio_qk;
        float raw_scale, scale; // scale: of powers of two
        index_t stride_q, stride_k, stride_v, stride_do, stride_dq_acc, stride_dk, stride_dv;
        index_t nhead_stride_q, nhead_stride_k, nhead_stride_v, nhead_stride_do, nhead_stride_lsed, nhead_stride_dq_acc,
            nhead_stride_dk, nhead_stride_dv;
        index_t batch_stride_q, batch_stride_k, batch_stride_v, batch_stride_do, batch_stride_lsed, batch_stride_dq_acc,
            batch_stride_dk, batch_stride_dv;
    };
    struct Kargs : CommonKargs, MaskKargs<FmhaMask::IsMasking> {};

    CK_TILE_DEVICE void operator()(Kargs kargs) const
    {
        using In = const DataType;
        const index_t head = block_y(), head_kv = head / kargs.nhead_ratio_qk;
        const index_t sq = kargs.seqlen_q, sk = kargs.seqlen_k, dims = kargs.hdim_q, dims_v = kargs.hdim_v;
        FmhaPipeline::template run<KGradEpiloguePipeline, VGradEpiloguePipeline>(
            Rows<In>{first_row<In>(kargs.q_ptr, head, kargs.nhead_stride_q, kargs.batch_stride_q), kargs.stride_q, sq,
                     dims},
            Rows<In>{first_row<In>(kargs.k_ptr, head_kv, kargs.nhead_stride_k, kargs.batch_stride_k), kargs.stride_k,
                     sk, dims},
            Rows<In>{first_row<In>(kargs.v_ptr, head_kv, kargs.nhead_stride_v, kargs.batch_stride_v), kargs.stride_v,
                     sk, dims_v},
            Rows<In>{first_row<In>(kargs.do_ptr, head, kargs.nhead_stride_do, kargs.batch_stride_do), kargs.stride_do,
                     sq, dims_v},
            first_row<const float>(kargs.lse_ptr, head, kargs.nhead_stride_lsed, kargs.batch_stride_lsed),
            first_row<const float>(kargs.d_ptr, head, kargs.nhead_stride_lsed, kargs.batch_stride_lsed),
            Rows<float>{first_row<float>(kargs.dq_acc_ptr, head, kargs.nhead_stride_dq_acc, kargs.batch_stride_dq_acc),
                        kargs.stride_dq_acc, sq, dims},
            Rows<DataType>{first_row<DataType>(kargs.dk_ptr, head, kargs.nhead_stride_dk, kargs.batch_stride_dk),
                           kargs.stride_dk, sk, dims},
            Rows<DataType>{first_row<DataType>(kargs.dv_ptr, head, kargs.nhead_stride_dv, kargs.batch_stride_dv),
                           kargs.stride_dv, sk, dims_v},
            make_mask<FmhaMask>(kargs), kargs.scale / kLog2E, block_x() * FmhaPipeline::kN0);
    }
};

// --- dQ as it is returned ------------------------------------------------------------------------------------------

template <class AccDataType_, class QGradDataType_, index_t kBlockSize_, index_t kM0_, index_t kN0_,
          index_t kQKHeaddim_, bool kIsGroupMode_, bool kIsDeterministic_, class Traits_>
struct BlockFmhaBwdConvertQGradPipelineProblem {
    using QGradDataType = QGradDataType_;
    static constexpr index_t kBlockSize = kBlockSize_;
    static constexpr index_t kM0 = kM0_;
    static_assert(!kIsDeterministic_);
};
template <class Problem_>
struct BlockFmhaBwdConvertQGrad {
    using Problem = Problem_;
};

template <class FmhaBwdConvertQGrad>
struct FmhaBwdConvertQGradKernel {
    using Problem = typename FmhaBwdConvertQGrad::Problem;
    using DataType = typename Problem::QGradDataType;
    static constexpr index_t kBlockSize = Problem::kBlockSize;
    static constexpr index_t kBlockPerCu = 2;

    struct Kargs {
        const void* dq_acc_ptr;
        void* dq_ptr;
        index_t seqlen_q, seqlen_k, hdim_q;
        index_t stride_dq, stride_dq_acc, nhead_stride_dq, nhead_stride_dq_acc, batch_stride_dq, batch_stride_dq_acc;
    };

    CK_TILE_DEVICE void operator()(Kargs kargs) const
    {
        const index_t head = block_y();
        const float* const from =
            first_row<const float>(kargs.dq_acc_ptr, head, kargs.nhead_stride_dq_acc, kargs.batch_stride_dq_acc);
        DataType* const to = first_row<DataType>(kargs.dq_ptr, head, kargs.nhead_stride_dq, kargs.batch_stride_dq);
        for (index_t n = thread_x(); n < Problem::kM0 * kargs.hdim_q; n += num_threads(kBlockSize)) {
            const long_index_t row = block_x() * Problem::kM0 + n / kargs.hdim_q, dim = n % kargs.hdim_q;
            if (row < kargs.seqlen_q)
                to[row * kargs.stride_dq + dim] = FromFloat<DataType>::convert(from[row * kargs.stride_dq_acc + dim]);
        }
    }
};

} // namespace ck_tile
