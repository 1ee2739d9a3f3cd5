#pragma once

// CK Tile, and all that differs between its versions in ROCm 6.2 to 6.4, behind names of ours:
//
//     602   the forward only; no dropout among its types, and so no number of heads among its arguments
//     603   the forward has a tile partitioner; the backward
//     604   the forward has none
//
// Newer ones have further template parameters (logits soft cap, attention variants, sinks, wider loads) and are refused
// below; what they ask of masks is in ck_tile_masks/ck_tile/newer_calls.hpp. The version is found by the headers that
// are there, or given as CK_FMHA_CK_TILE_ROCM.

#if !defined(CK_FMHA_CK_TILE_ROCM)
#if __has_include(<ck_tile/ops/fmha/block/variants.hpp>)
#error "ck_fmha: this CK Tile is newer than that of ROCm 6.4. Adapt gpu/ck_tile/version.hpp to it, or use another one."
#elif !__has_include(<ck_tile/ops/fmha/kernel/fmha_bwd_kernel.hpp>)
#define CK_FMHA_CK_TILE_ROCM 602
#elif __has_include(<ck_tile/ops/fmha/kernel/fmha_fwd_tile_partitioner.hpp>)
#define CK_FMHA_CK_TILE_ROCM 603
#else
#define CK_FMHA_CK_TILE_ROCM 604
#endif
#endif

#include <ck_tile/core.hpp>
#include <ck_tile/ops/epilogue.hpp>
#include <ck_tile/ops/fmha.hpp>

#include "ck_tile_masks/index.hpp"

namespace ck_fmha::gpu {

// Answers as CK Tile's pipelines take them: see PlainInterface.
struct CkTileInterface {
    template <class... T>
    CK_TILE_MASKS_HD static constexpr auto make(T... values)
    {
        return ck_tile::make_tuple(values...);
    }
    CK_TILE_MASKS_HD static ck_tile_masks::index_t uniform(ck_tile_masks::index_t x)
    {
#if defined(__AMDGCN__)
        return __builtin_amdgcn_readfirstlane(x);
#else
        return x;
#endif
    }
};

template <class T>
struct CkTileElement;
template <>
struct CkTileElement<_Float16> {
    using type = ck_tile::half_t;
};
template <>
struct CkTileElement<__bf16> {
    using type = ck_tile::bf16_t;
};

// The number of query heads among a kernel's arguments.
template <class Kargs>
__attribute__((device)) inline void set_num_heads(Kargs& kargs, ck_tile_masks::index_t num_heads)
{
#if CK_FMHA_CK_TILE_ROCM >= 603
    kargs.num_head_q = num_heads;
#else
    (void)kargs, (void)num_heads;
#endif
}

// --- Forward -------------------------------------------------------------------------------------------------------

// seqlens are always padded, dimensions where kPads says so; LSE is stored; no bias, no dropout.
#if CK_FMHA_CK_TILE_ROCM < 603
template <bool kPads>
using CkTileFwdTraits =
    ck_tile::TileFmhaTraits<true, true, kPads, kPads, ck_tile::BlockAttentionBiasEnum::NO_BIAS, true, false>;
template <class T, class Shape, class Mask, class Traits>
using CkTileFwdProblem =
    ck_tile::BlockFmhaPipelineProblem<T, T, T, float, float, T, float, T, float, T, Shape, false, Mask, Traits>;
#else
template <bool kPads>
using CkTileFwdTraits = ck_tile::TileFmhaTraits<true, true, kPads, kPads, ck_tile::BlockAttentionBiasEnum::NO_BIAS,
                                                false, true, false, false>;
template <class T, class Shape, class Mask, class Traits>
using CkTileFwdProblem = ck_tile::BlockFmhaPipelineProblem<T, T, T, float, float, T, unsigned char, float, T, float, T,
                                                           Shape, false, Mask, Traits>;
#endif

#if CK_FMHA_CK_TILE_ROCM < 604
template <class Shape, class Pipeline, class Epilogue>
using CkTileFwdKernel = ck_tile::FmhaFwdKernel<ck_tile::FmhaFwdTilePartitioner<Shape>, Pipeline, Epilogue>;
#else
template <class Shape, class Pipeline, class Epilogue>
using CkTileFwdKernel = ck_tile::FmhaFwdKernel<Pipeline, Epilogue>;
#endif

// The factor of scores as the kernel's arguments have it.
CK_TILE_MASKS_HD constexpr float ck_tile_fwd_scale(float scale)
{
#if CK_TILE_FMHA_FWD_FAST_EXP2
    return scale * 1.44269504088896341f;
#else
    return scale;
#endif
}

// --- Backward ------------------------------------------------------------------------------------------------------

#if CK_FMHA_CK_TILE_ROCM >= 603
template <bool kPads>
using CkTileBwdTraits = ck_tile::TileFmhaTraits<true, true, kPads, kPads, ck_tile::BlockAttentionBiasEnum::NO_BIAS,
                                                false, false, false, false, 1>;
template <class T, class Shape, class Mask, class Traits>
using CkTileBwdProblem =
    ck_tile::BlockFmhaBwdPipelineProblem<T, T, T, T, float, float, float, T, unsigned char, T, T, T, T, T, T, Shape,
                                         false, false, Mask, ck_tile::BlockDropoutBwd<false, true, false>, Traits>;
#endif

} // namespace ck_fmha::gpu
