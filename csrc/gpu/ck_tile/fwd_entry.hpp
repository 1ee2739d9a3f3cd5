#pragma once

// CK Tile's own forward, for one structure of mask. A source file of one line includes this; the instance comes as
// macros, as in gpu/kernel/fwd_entry.hpp:
//
//     CK_FMHA_MASK, CK_FMHA_DTYPE, CK_FMHA_HEAD_DIM
//     CK_FMHA_PADS    1 if head_dim or head_dim_v is less than that of the instance
//     CK_FMHA_CK_TILE_ASYNC   0 for no asynchronous copies, by inline assembly that not every clang takes; else 1
//
// The kernel's arguments are filled here, on the device and by name, and not by its MakeKargs: that is a function of
// the host, which has forty arguments whose order changes from version to version, and would bind the host's code to
// one.

#include "gpu/ck_tile/image_mask.hpp"
#include "gpu/ck_tile/kernel_inputs.hpp"

#if !defined(CK_FMHA_CK_TILE_ASYNC)
#define CK_FMHA_CK_TILE_ASYNC 1
#endif

namespace ck_fmha::gpu {

// Tiles (M0, N0, K0, N1, K1, length of Q in registers), waves and MFMA that CK Tile's own instances have.
template <index_t kHeadDim>
struct CkTileFwdShape {
    static constexpr CkTileGroup kGroup = ck_tile_fwd_group(kHeadDim);
    using Tile =
        ck_tile::sequence<kGroup.tile, ck_tile_fwd_tile_k(kHeadDim), kHeadDim == 32 ? 16 : 32, kHeadDim, 32, kHeadDim>;
    using Waves = ck_tile::sequence<kGroup.threads / 64, 1, 1>;
    using Mfma = ck_tile::sequence<32, 32, 16>;
    using type = ck_tile::TileFmhaShape<Tile, Waves, Mfma, Waves, Mfma, true>;
};

// Asynchronous copies where registers suffice; that pipeline pads dimensions by itself.
template <class T, index_t kHeadDim, bool kPads, class Mask,
          bool kAsync = (CK_FMHA_CK_TILE_ASYNC != 0 && kHeadDim < 256)>
struct CkTileFwd {
    using Shape = typename CkTileFwdShape<kHeadDim>::type;
    using Problem = CkTileFwdProblem<T, Shape, Mask, CkTileFwdTraits<true>>;
    using Pipeline = ck_tile::BlockFmhaPipelineQRKSVSAsync<Problem>;
    using Epilogue = ck_tile::Default2DEpilogue<ck_tile::Default2DEpilogueProblem<float, T, true, true>>;
    using Kernel = CkTileFwdKernel<Shape, Pipeline, Epilogue>;
};
template <class T, index_t kHeadDim, bool kPads, class Mask>
struct CkTileFwd<T, kHeadDim, kPads, Mask, false> {
    using Shape = typename CkTileFwdShape<kHeadDim>::type;
    using Problem = CkTileFwdProblem<T, Shape, Mask, CkTileFwdTraits<kPads>>;
    using Pipeline = ck_tile::BlockFmhaPipelineQRKSVS<Problem>;
    using Epilogue = ck_tile::Default2DEpilogue<ck_tile::Default2DEpilogueProblem<float, T, true, kPads>>;
    using Kernel = CkTileFwdKernel<Shape, Pipeline, Epilogue>;
};

namespace structure {
using InstanceMask = ImageMask<CK_FMHA_MASK>;
} // namespace structure
using InstanceFwd =
    CkTileFwd<CkTileElement<CK_FMHA_DTYPE>::type, CK_FMHA_HEAD_DIM, CK_FMHA_PADS != 0, structure::InstanceMask>::Kernel;
static_assert(InstanceFwd::kBlockSize == ck_tile_fwd_group(CK_FMHA_HEAD_DIM).threads,
              "ck_fmha: the host launches as many threads as ck_tile_fwd_group says");

} // namespace ck_fmha::gpu

extern "C" __attribute__((global, amdgpu_flat_work_group_size(1, ck_fmha::gpu::InstanceFwd::kBlockSize),
                          amdgpu_waves_per_eu(ck_fmha::gpu::InstanceFwd::kBlockPerCu))) void
ck_fmha_ck_tile_fwd(const ck_fmha::gpu::CkTileArgs args)
{
    using namespace ck_fmha::gpu;
    InstanceFwd::Kargs kargs{};
    if (!set_mask<structure::InstanceMask>(kargs, args)) return;
    set_inputs(kargs, args);
    kargs.o_ptr = args.o.data;
    kargs.scale_s = ck_tile_fwd_scale(args.scale);
    kargs.stride_o = narrow(args.o.stride_seq);
    kargs.nhead_stride_o = narrow(args.o.stride_head);
    kargs.batch_stride_o = narrow(args.o.stride_batch);
    kargs.lse_ptr = args.lse;
    kargs.nhead_stride_lse = args.seqlen_q;
    kargs.batch_stride_lse = args.num_heads * args.seqlen_q;
    InstanceFwd{}(kargs);
}
