#pragma once

#include "gpu/tile/copy_nvidia.hpp"
#include "gpu/tile/wgmma_m64k16.hpp"

// Tiles in shared memory as products of a warpgroup read them: panels of 64 dimensions (all 32 of that head_dim), one
// behind the other. A panel has a row of 128 (64) bytes for each query or key; piece c of row r lies at place c xor
// f(r), which is the hardware's own swizzle for rows of this length.

namespace ck_fmha::gpu {

template <index_t kTileRows, index_t kHeadDim>
struct SharedPanels {
    static constexpr index_t kPanelDims = kHeadDim < 64 ? kHeadDim : 64;
    static constexpr index_t kRowBytes = 2 * kPanelDims;
    static constexpr index_t kPanelBytes = kTileRows * kRowBytes;
    static constexpr index_t kPeriod = 8;
    static constexpr index_t kPiecesOfPanel = kPanelDims / 8;
    static constexpr bool kForWarpgroups = true;
    static_assert(kTileRows % 8 == 0 && kPanelDims >= 32, "ck_fmha: swizzles are of 8 rows of 64 or 128 bytes");

    CK_FMHA_DEVICE static index_t place(index_t row, index_t piece)
    {
        const index_t within = (piece % kPiecesOfPanel) ^ Swizzle<kPiecesOfPanel>::template of_row<false>(row);
        return piece / kPiecesOfPanel * kPanelBytes + row * kRowBytes + within * 16;
    }
};

// Such a tile, at a multiple of 1024 bytes, as an operand.
template <index_t kTileRows, index_t kHeadDim>
class PanelsOperand {
    using Panels = SharedPanels<kTileRows, kHeadDim>;

public:
    CK_FMHA_DEVICE explicit PanelsOperand(SharedMemory tile)
        : tile_(kSwizzle << 62 | Descriptor{Panels::kPeriod * Panels::kRowBytes / 16} << 32 |
                Descriptor{Panels::kPanelBytes / 16} << 16 | Descriptor{tile.address() / 16})
    {
    }
    // From row kRow on, a multiple of 8, and from dimension kDim on, a multiple of 16.
    template <index_t kRow, index_t kDim>
    CK_FMHA_DEVICE Descriptor from() const
    {
        constexpr index_t kBytes =
            kDim / Panels::kPanelDims * Panels::kPanelBytes + kRow * Panels::kRowBytes + kDim % Panels::kPanelDims * 2;
        return tile_ + kBytes / 16;
    }
    // From row `row` on, a multiple of 8, and dimension `dim`, a multiple of 16.
    CK_FMHA_DEVICE PanelsOperand from_any(index_t row, index_t dim) const
    {
        PanelsOperand x = *this;
        x.tile_ += static_cast<unsigned>(dim / Panels::kPanelDims * Panels::kPanelBytes + row * Panels::kRowBytes +
                                         dim % Panels::kPanelDims * 2) /
                   16;
        return x;
    }

private:
    static constexpr Descriptor kSwizzle = Panels::kRowBytes == 128 ? 1 : 2;
    Descriptor tile_;
};

} // namespace ck_fmha::gpu
