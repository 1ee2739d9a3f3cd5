#pragma once

#include "gpu/pipeline/banded_mask.hpp"

namespace ck_fmha::gpu {

// A column of tiles of a bound mask, cut into bands of kKeys keys: a row of tiles of the transposed mask.
template <class Mask, index_t kKeys, index_t kBands, index_t kTileQ, index_t kThreadsPerBand>
class BandedColumns : public BandedMask<ck_tile_masks::Transposed<Mask>, kKeys, kBands, kTileQ, true, kThreadsPerBand> {
    using Base = BandedMask<ck_tile_masks::Transposed<Mask>, kKeys, kBands, kTileQ, true, kThreadsPerBand>;
    static_assert(kKeys <= 32, "ck_fmha: the keys of a band are bits of a word");

public:
    CK_FMHA_DEVICE BandedColumns(const char* image, index_t seqlen_q, index_t seqlen_k, index_t column)
        : Base(image, seqlen_k, seqlen_q, column)
    {
    }
    // Like the mask's; a band that sticks out past the last key is all edge.
    CK_FMHA_DEVICE BandBits band_bits(index_t band, index_t base) const
    {
        BandBits bits = Base::band_bits(band, base);
        if ((band + 1) * kKeys > this->num_rows()) bits.edge = bits.live;
        return bits;
    }
    // Bit n: the query attends key n of this wave's band. One past the end attends nothing: what is read of it need not
    // be zero, if all rows lie in one place.
    CK_FMHA_DEVICE unsigned row_bits(index_t query) const
    {
        const index_t seqlen_q = this->num_columns(), seqlen_k = this->num_rows(); // of the transposed mask
        const MaskImage<Mask, ReadForTiles> mask(this->image());                   // by all lanes, as is the next
        const index_t first = this->band() * kKeys;
        if (query >= seqlen_q) return 0;
        return static_cast<unsigned>(mask.row_bits(query, first, ck_tile_masks::min(kKeys, seqlen_k - first)));
    }
};

} // namespace ck_fmha::gpu
