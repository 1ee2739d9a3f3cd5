#pragma once

#include <ck_tile/ops/fmha/block/block_masking.hpp>

namespace ck_tile {

#if CK_FMHA_CK_TILE_ROCM < 603
template <bool kPadSeqLenQ_, bool kPadSeqLenK_, bool kPadHeadDimQ_, bool kPadHeadDimV_,
          BlockAttentionBiasEnum kBiasEnum_, bool kStoreLSE_, bool kDoFp8StaticQuant_, index_t kBlockPerCu_ = -1>
#else
template <bool kPadSeqLenQ_, bool kPadSeqLenK_, bool kPadHeadDimQ_, bool kPadHeadDimV_,
          BlockAttentionBiasEnum kBiasEnum_, bool kHasBiasGrad_, bool kStoreLSE_, bool kHasDropout_,
          bool kDoFp8StaticQuant_, index_t kBlockPerCu_ = -1>
#endif
struct TileFmhaTraits {
    static constexpr bool kPadSeqLenK = kPadSeqLenK_;
    static constexpr bool kStoreLSE = kStoreLSE_;
};

template <bool kPadSeqLenQ_, bool kPadHeadDimV_, index_t kBlockPerCu_ = 2>
struct TileFmhaBwdOGradDotOTraits {};
template <bool kPadSeqLenQ_, bool kPadHeadDimQ_, index_t kBlockPerCu_ = 2>
struct TileFmhaBwdConvertQGradTraits {};

} // namespace ck_tile
