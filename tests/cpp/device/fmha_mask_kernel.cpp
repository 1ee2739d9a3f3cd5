// The adapter for CK Tile's pipelines in device code: made from window sizes as kernels do it, asked as pipelines do.

#include "ck_tile_masks/ck_tile/kernel_fmha_mask.hpp"
#include "gpu/kernel/mask_image.hpp"

using ck_tile_masks::index_t;
using ck_tile_masks::KernelFmhaMask;
using ck_tile_masks::WindowSizes;
namespace structure = ck_fmha::gpu::structure;

template <index_t kValue>
struct Number {
    static constexpr index_t value = kValue;
};

template <class Structure>
struct ImageAtAddress {
    using Bound = ck_fmha::gpu::image::read_t<Structure>;
    CK_TILE_MASKS_HD static Bound read(WindowSizes w, index_t, index_t)
    {
        return ck_fmha::gpu::image::read<Structure>(
            reinterpret_cast<const char*>(ck_tile_masks::address_of_window_sizes(w)));
    }
};

template <class Mask>
__attribute__((device)) index_t checksum(const Mask& mask)
{
    const Number<128> y;
    const Number<64> x;
    index_t sum = 0;
    const auto [start, end] = mask.GetTileRangeAlongX(256, y, x);
    for (index_t j = start; j < end; j += 64)
        sum += mask.IsEdgeTile(256, j, y, x) ? mask.IsOutOfBound(256, j) : 1;
    const auto [top, bottom] = mask.GetTileRangeAlongY(64, y, x);
    const auto [from, to] = mask.GetTileRangeAlongX(256, y, x, 4, 1);
    return sum + bottom - top + to - from;
}
template <class Structure>
__attribute__((device)) index_t checksum_at(index_t left, index_t right, index_t sq, index_t sk)
{
    return checksum(KernelFmhaMask<ImageAtAddress<Structure>>{1 + left, 1 + right, sq, sk});
}

__attribute__((global)) void ask(index_t* out, index_t left, index_t right, index_t sq, index_t sk)
{
    using namespace structure;
    out[0] = checksum_at<diagonal>(left, right, sq, sk);
    out[1] = checksum_at<prefix_lm>(left, right, sq, sk);
    out[2] = checksum_at<longformer>(left, right, sq, sk);
    out[3] = checksum_at<longformer_tokens>(left, right, sq, sk);
    out[4] = checksum_at<big_bird>(left, right, sq, sk);
    out[5] = checksum_at<big_bird_table>(left, right, sq, sk);
    out[6] = checksum_at<strided>(left, right, sq, sk);
    out[7] = checksum_at<fixed>(left, right, sq, sk);
    out[8] = checksum_at<documents>(left, right, sq, sk);
    out[9] = checksum_at<lengths>(left, right, sq, sk);
    out[10] = checksum_at<neighborhood>(left, right, sq, sk);
    out[11] = checksum_at<block_list>(left, right, sq, sk);
    out[12] = checksum_at<deepspeed_fixed>(left, right, sq, sk);
    out[13] = checksum_at<deepspeed_variable>(left, right, sq, sk);
    out[14] = checksum_at<deepspeed_longformer>(left, right, sq, sk);
    out[15] = checksum_at<deepspeed_big_bird>(left, right, sq, sk);
    out[16] = checksum_at<deepspeed_big_bird_table>(left, right, sq, sk);
    out[17] = checksum_at<and_<big_bird, diagonal>>(left, right, sq, sk);
    out[18] = checksum_at<or_<not_<strided>, transpose<shift<fixed>>>>(left, right, sq, sk);
    out[19] = checksum(KernelFmhaMask<ImageAtAddress<full>>{sq, sk});
}
