#pragma once

// CK Tile's own backward, three kernels, for one structure of mask: see fwd_entry.hpp.

#include "gpu/ck_tile/image_mask.hpp"
#include "gpu/ck_tile/kernel_inputs.hpp"

static_assert(CK_FMHA_CK_TILE_ROCM >= 603, "ck_fmha: the CK Tile of ROCm 6.2 has no backward");

namespace ck_fmha::gpu {

// Tiles (M0, N0, K0..K4, dimensions of Q and K, of V), waves and MFMA that CK Tile's own instances have.
template <index_t kHeadDim>
struct CkTileBwdShape {
    static constexpr index_t kTileQ = ck_tile_bwd_tile_q(kHeadDim);
    using Tile = ck_tile::sequence<kTileQ, ck_tile_dq_dk_dv_group(kHeadDim).tile, kHeadDim, kTileQ, kHeadDim, kTileQ,
                                   kHeadDim == 32 ? 64 : 32, kHeadDim, kHeadDim>;
    using WavesOfScores = ck_tile::sequence<1, 4, 1>; // S and dP
    using WavesOfKV = ck_tile::sequence<4, 1, 1>;     // dK and dV
    using WavesOfQ = ck_tile::sequence<kHeadDim == 32 ? 2 : 1, kHeadDim == 32 ? 2 : 4, 1>;
    using MfmaOfScores = ck_tile::sequence<16, 16, 32>;
    using MfmaOfKV = ck_tile::sequence<16, 16, 16>;
    using type = ck_tile::TileFmhaBwdShape<Tile, WavesOfScores, MfmaOfScores, WavesOfKV, MfmaOfKV, WavesOfScores,
                                           MfmaOfScores, WavesOfKV, MfmaOfKV, WavesOfQ, MfmaOfScores>;
};

template <class Problem, bool kPads>
struct CkTileBwdPipeline {
    using type = ck_tile::BlockFmhaBwdDQDKDVPipelineKRKTRVRIGLP<Problem>;
};
template <class Problem>
struct CkTileBwdPipeline<Problem, true> {
    using type = ck_tile::BlockFmhaBwdDQDKDVPipelineKRKTRVR<Problem>;
};

template <class T, index_t kHeadDim, bool kPads, class Mask>
struct CkTileBwd {
    using Shape = typename CkTileBwdShape<kHeadDim>::type;
    using Problem = CkTileBwdProblem<T, Shape, Mask, CkTileBwdTraits<kPads>>;
    using Epilogue = ck_tile::Default2DEpilogue<ck_tile::Default2DEpilogueProblem<float, T, true, kPads>>;
    using DqDkDv = ck_tile::FmhaBwdDQDKDVKernel<typename CkTileBwdPipeline<Problem, kPads>::type, Epilogue, Epilogue>;

    using DotDoO = ck_tile::FmhaBwdOGradDotOKernel<ck_tile::BlockFmhaBwdOGradDotO<
        ck_tile::BlockFmhaBwdOGradDotOPipelineProblem<T, T, float, ck_tile_dot_do_o_group().threads, kHeadDim, false,
                                                      ck_tile::TileFmhaBwdOGradDotOTraits<true, kPads, 2>>>>;

    static constexpr CkTileGroup kConvert = ck_tile_convert_dq_group(kHeadDim);
    using ConvertDq = ck_tile::FmhaBwdConvertQGradKernel<
        ck_tile::BlockFmhaBwdConvertQGrad<ck_tile::BlockFmhaBwdConvertQGradPipelineProblem<
            float, T, kConvert.threads, kConvert.tile, ck_tile_dq_dk_dv_group(kHeadDim).tile, kHeadDim, false, false,
            ck_tile::TileFmhaBwdConvertQGradTraits<true, kPads, 2>>>>;
};

namespace structure {
using InstanceMask = ImageMask<CK_FMHA_MASK>;
} // namespace structure
using InstanceBwd =
    CkTileBwd<CkTileElement<CK_FMHA_DTYPE>::type, CK_FMHA_HEAD_DIM, CK_FMHA_PADS != 0, structure::InstanceMask>;
static_assert(InstanceBwd::DqDkDv::kBlockSize == ck_tile_dq_dk_dv_group(CK_FMHA_HEAD_DIM).threads &&
                  InstanceBwd::DotDoO::kM0 == ck_tile_dot_do_o_group().tile,
              "ck_fmha: the host launches as many threads and work-groups as gpu/ck_tile/args.hpp says");

} // namespace ck_fmha::gpu

#define CK_FMHA_CK_TILE_KERNEL(kernel)                                                                                 \
    extern "C" __attribute__((global, amdgpu_flat_work_group_size(1, ck_fmha::gpu::InstanceBwd::kernel::kBlockSize),   \
                              amdgpu_waves_per_eu(ck_fmha::gpu::InstanceBwd::kernel::kBlockPerCu))) void

// D = rowsum(dO O).
CK_FMHA_CK_TILE_KERNEL(DotDoO) ck_fmha_ck_tile_dot_do_o(const ck_fmha::gpu::CkTileArgs args)
{
    using namespace ck_fmha::gpu;
    InstanceBwd::DotDoO::Kargs kargs{};
    kargs.o_ptr = args.o.data;
    kargs.do_ptr = args.d_o.data;
    kargs.d_ptr = args.d;
    kargs.p_undrop = 1;
    kargs.seqlen_q = args.seqlen_q;
    kargs.hdim_v = args.head_dim_v;
    kargs.stride_o = narrow(args.o.stride_seq);
    kargs.stride_do = narrow(args.d_o.stride_seq);
    kargs.nhead_stride_o = narrow(args.o.stride_head);
    kargs.nhead_stride_do = narrow(args.d_o.stride_head);
    kargs.nhead_stride_d = args.seqlen_q;
    kargs.batch_stride_o = narrow(args.o.stride_batch);
    kargs.batch_stride_do = narrow(args.d_o.stride_batch);
    kargs.batch_stride_d = args.num_heads * args.seqlen_q;
    InstanceBwd::DotDoO{}(kargs);
}

CK_FMHA_CK_TILE_KERNEL(DqDkDv) ck_fmha_ck_tile_dq_dk_dv(const ck_fmha::gpu::CkTileArgs args)
{
    using namespace ck_fmha::gpu;
    InstanceBwd::DqDkDv::Kargs kargs{};
    if (!set_mask<structure::InstanceMask>(kargs, args)) return;
    set_inputs(kargs, args);
    kargs.lse_ptr = args.lse;
    kargs.do_ptr = args.d_o.data;
    kargs.d_ptr = args.d;
    kargs.dq_acc_ptr = args.dq_acc;
    kargs.dk_ptr = args.dk.data;
    kargs.dv_ptr = args.dv.data;
    kargs.raw_scale = args.scale;
    kargs.scale = args.scale * 1.44269504088896341f;
    kargs.stride_do = narrow(args.d_o.stride_seq);
    kargs.stride_dq_acc = args.head_dim;
    kargs.stride_dk = narrow(args.dk.stride_seq);
    kargs.stride_dv = narrow(args.dv.stride_seq);
    kargs.nhead_stride_do = narrow(args.d_o.stride_head);
    kargs.nhead_stride_lsed = args.seqlen_q;
    kargs.nhead_stride_dq_acc = args.seqlen_q * args.head_dim;
    kargs.nhead_stride_dk = narrow(args.dk.stride_head);
    kargs.nhead_stride_dv = narrow(args.dv.stride_head);
    kargs.batch_stride_do = narrow(args.d_o.stride_batch);
    kargs.batch_stride_lsed = args.num_heads * args.seqlen_q;
    kargs.batch_stride_dq_acc = args.num_heads * args.seqlen_q * args.head_dim;
    kargs.batch_stride_dk = narrow(args.dk.stride_batch);
    kargs.batch_stride_dv = narrow(args.dv.stride_batch);
    InstanceBwd::DqDkDv{}(kargs);
}

CK_FMHA_CK_TILE_KERNEL(ConvertDq) ck_fmha_ck_tile_convert_dq(const ck_fmha::gpu::CkTileArgs args)
{
    using namespace ck_fmha::gpu;
    InstanceBwd::ConvertDq::Kargs kargs{};
    kargs.dq_acc_ptr = args.dq_acc;
    kargs.dq_ptr = args.dq.data;
    kargs.seqlen_q = args.seqlen_q;
    kargs.seqlen_k = args.seqlen_k;
    kargs.hdim_q = args.head_dim;
    kargs.stride_dq = narrow(args.dq.stride_seq);
    kargs.stride_dq_acc = args.head_dim;
    kargs.nhead_stride_dq = narrow(args.dq.stride_head);
    kargs.nhead_stride_dq_acc = args.seqlen_q * args.head_dim;
    kargs.batch_stride_dq = narrow(args.dq.stride_batch);
    kargs.batch_stride_dq_acc = args.num_heads * args.seqlen_q * args.head_dim;
    InstanceBwd::ConvertDq{}(kargs);
}

#undef CK_FMHA_CK_TILE_KERNEL
