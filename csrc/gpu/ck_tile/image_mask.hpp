#pragma once

// A mask on the device as CK Tile's kernels construct it: from the address of its image, in two window sizes.

#include "ck_tile_masks/ck_tile/kernel_fmha_mask.hpp"
#include "gpu/ck_tile/args.hpp"
#include "gpu/ck_tile/version.hpp"
#include "gpu/kernel/mask_image.hpp"

namespace ck_fmha::gpu {

template <class Structure>
struct ImageSource {
    using Bound = image::read_t<Structure>;
    CK_TILE_MASKS_HD static Bound read(ck_tile_masks::WindowSizes sizes, index_t, index_t)
    {
        return image::read<Structure>(reinterpret_cast<const char*>(ck_tile_masks::address_of_window_sizes(sizes)));
    }
};
template <class Structure>
using ImageMask = ck_tile_masks::KernelFmhaMask<ImageSource<Structure>, CkTileInterface>;

// Puts the mask of this work-group's (batch, head) into a kernel's arguments. False if it is another instance's.
template <class Mask, class Kargs>
__attribute__((device)) inline bool set_mask(Kargs& kargs, const CkTileArgs& args)
{
    const auto batch = static_cast<index_t>(__builtin_amdgcn_workgroup_id_z());
    const auto head = static_cast<index_t>(__builtin_amdgcn_workgroup_id_y());
    const auto image =
        load_uniform<index_t>(args.image_of + batch * args.image_stride_batch + head * args.image_stride_head);
    if (image < 0) return false;
    if constexpr (Mask::IsMasking) {
        const auto sizes =
            ck_tile_masks::window_sizes_of_address(reinterpret_cast<unsigned long long>(args.images + image));
        kargs.window_size_left = sizes.left;
        kargs.window_size_right = sizes.right;
        kargs.mask_type = ck_tile::GenericAttentionMaskEnum::MASK_FROM_TOP_LEFT;
    }
    return true;
}

} // namespace ck_fmha::gpu
