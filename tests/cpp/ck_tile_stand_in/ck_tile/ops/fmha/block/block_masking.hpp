#pragma once

#include <ck_tile/core.hpp>

namespace ck_tile {

enum struct GenericAttentionMaskEnum { NO_MASK = 0, MASK_FROM_TOP_LEFT = 1, MASK_FROM_BOTTOM_RIGHT = 2 };
enum struct BlockAttentionBiasEnum { NO_BIAS = 0 };

// Window sizes as coordinates of a mask: aligned bottom-right they are shifted; negative ones stand for no bound.
template <class Mask>
CK_TILE_HOST_DEVICE Mask make_generic_attention_mask_from_lr_window(index_t left, index_t right, index_t y_total,
                                                                    index_t x_total, bool is_top_left = true)
{
    const index_t most_left = (is_top_left ? y_total : x_total) - 1, most_right = (is_top_left ? x_total : y_total) - 1;
    const index_t shift = is_top_left ? 0 : x_total - y_total;
    return Mask{1 + (left < 0 ? most_left : left) - shift, 1 + (right < 0 ? most_right : right) + shift, y_total,
                x_total};
}

// What of a kernel's arguments is there for its mask.
template <bool kIsMasking>
struct MaskKargs {
    index_t window_size_left, window_size_right;
    GenericAttentionMaskEnum mask_type;
};
template <>
struct MaskKargs<false> {};

// As kernels make their mask, from their arguments.
template <class Mask, class Kargs>
CK_TILE_HOST_DEVICE Mask make_mask(const Kargs& kargs)
{
    if constexpr (Mask::IsMasking)
        return make_generic_attention_mask_from_lr_window<Mask>(
            kargs.window_size_left, kargs.window_size_right, kargs.seqlen_q, kargs.seqlen_k,
            kargs.mask_type == GenericAttentionMaskEnum::MASK_FROM_TOP_LEFT);
    else
        return Mask{kargs.seqlen_q, kargs.seqlen_k};
}

} // namespace ck_tile
