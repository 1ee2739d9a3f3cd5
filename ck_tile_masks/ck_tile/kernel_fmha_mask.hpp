#pragma once

// The adapter as CK Tile's kernels construct it.
//
// A kernel makes its mask from two window sizes of its arguments and the lengths of the sequences, as coordinates
// (y, x) = (1 + left, 1 + right) of a mask aligned top-left:
//
//     FmhaMask{y, x, seqlen_q, seqlen_k}                          if FmhaMask::IsMasking
//     FmhaMask{seqlen_q, seqlen_k}                                if not
//     FmhaMask{y, x, sink, seqlen_q, seqlen_k}                    after ROCm 6.4
//
// Nothing else gets from its arguments to the mask: not even the head. But the two numbers are free here. A `Source`
// says what they mean, a number or an address:
//
//     struct WindowOrSink {
//         using Bound = bound_mask_t<Diagonal>;
//         static Bound read(WindowSizes w, index_t seqlen_q, index_t seqlen_k)
//         {
//             return bind_mask(Diagonal(w.left, 0, Alignment::top_left, w.right), {0, 0, seqlen_q, seqlen_k});
//         }
//     };

#include "ck_tile_masks/ck_tile/fmha_mask.hpp"

namespace ck_tile_masks {

// From 0 to kMaxWindowSize: kernels replace negative ones, and add 1.
struct WindowSizes {
    index_t left, right;
};
inline constexpr index_t kMaxWindowSize = kIndexMax - 1;

// An address, a multiple of 16, as window sizes, 30 bits in each.
CK_TILE_MASKS_HD constexpr WindowSizes window_sizes_of_address(unsigned long long address)
{
    return {static_cast<index_t>(address >> 4 & low_bits(30)), static_cast<index_t>(address >> 34)};
}
// @post address_of_window_sizes(window_sizes_of_address(a)) == a for multiples a of 16
CK_TILE_MASKS_HD constexpr unsigned long long address_of_window_sizes(WindowSizes w)
{
    return static_cast<unsigned long long>(w.left) << 4 | static_cast<unsigned long long>(w.right) << 34;
}

template <class Source, class Interface = PlainInterface>
class KernelFmhaMask : public FmhaMask<typename Source::Bound, Interface> {
    using Base = FmhaMask<typename Source::Bound, Interface>;

public:
    CK_TILE_MASKS_HD constexpr KernelFmhaMask(index_t y, index_t x, index_t seqlen_q, index_t seqlen_k)
        : Base(Source::read(WindowSizes{y - 1, x - 1}, seqlen_q, seqlen_k), seqlen_q, seqlen_k)
    {
    }
    CK_TILE_MASKS_HD constexpr KernelFmhaMask(index_t y, index_t x, index_t /*sink*/, index_t seqlen_q,
                                              index_t seqlen_k)
        : KernelFmhaMask(y, x, seqlen_q, seqlen_k)
    {
    }
    CK_TILE_MASKS_HD constexpr KernelFmhaMask(index_t seqlen_q, index_t seqlen_k)
        : Base(typename Source::Bound{}, seqlen_q, seqlen_k)
    {
        static_assert(!Base::IsMasking, "ck_tile_masks: a mask that masks needs the window sizes of its source");
    }
};

} // namespace ck_tile_masks
