#pragma once

#include "ck_tile_masks/generic_attention_mask.hpp"
#include "gpu/kernel/fwd_args.hpp"
#include "gpu/pipeline/mask_reading.hpp"

// What a row of tiles of a mask has in it, asked for a window of 64 tiles at a time: lane l asks about tile base + l
// (and, in warps of 32 lanes, about tile base + 32 + l), and ballots collect the answers. Walks in closed form jump
// from window to window, whatever the pattern. A work-group's tile is kBands bands of kRows queries high. (The backward
// walks columns: rows of the transposed mask.)

namespace ck_fmha::gpu {

// Of a band's tiles in a window, bit by bit: those with an attended element, and those that need the element check.
struct BandBits {
    bits_t live;
    bits_t edge;
};

// f(n, the bit of the window that lane 0 has): the tiles of a window that this lane is asked about.
template <class F>
CK_FMHA_DEVICE void for_each_of_lane(const F& f)
{
    for (index_t first = 0; first < kWindowTiles; first += kWaveSize)
        f(first + lane_index(), first);
}

// A row of tiles of a bound mask, cut into the tiles of a work-group and into those of its kBands bands. `kIsScarce`:
// whoever uses it has few scalar registers left.
template <class Mask, index_t kRows, index_t kBands_, index_t kTileK, bool kIsScarce = false,
          index_t kThreadsPerWave = kWaveSize>
class BandedMask {
public:
    static constexpr index_t kBands = kBands_;
    static constexpr index_t kThreadsOfWave = kThreadsPerWave;

    CK_FMHA_DEVICE BandedMask(const char* image, index_t seqlen_q, index_t seqlen_k, index_t row)
        : place_({image, row, seqlen_q, seqlen_k})
    {
    }

    // The band of this wave, as one of the tile's and as one of the mask's.
    CK_FMHA_DEVICE static index_t band_in_tile() { return kBands < 4 ? wave() % kBands : wave(); }
    CK_FMHA_DEVICE index_t band() const { return band(band_in_tile()); }
    CK_FMHA_DEVICE index_t band(index_t in_tile) const { return row() * kBands + in_tile; }
    CK_FMHA_DEVICE static index_t wave() { return wave_index<kThreadsPerWave>(); }
    CK_FMHA_DEVICE index_t row() const { return place_.get().row; }

    // The first live tile in [from, end), or `end`.
    CK_FMHA_DEVICE index_t next(index_t from, index_t end) const
    {
        return uniform(tiled<kRows * kBands>().NextLiveTileAlongX(row(), from, end));
    }
    // Tiles [base, end), at most 64 of them.
    CK_FMHA_DEVICE bits_t live(index_t base, index_t end) const
    {
        bits_t live = 0;
        const auto tiles = tiled<kRows * kBands>();
        const index_t row = this->row();
        for_each_of_lane([&](index_t n, index_t shift) {
            const index_t tile = ck_tile_masks::sat_add(base, n);
            live |= ballot(tile < end && tiles.TileMask(row, tile)) << shift;
        });
        return live;
    }
    // A band's tiles from `base` on.
    CK_FMHA_DEVICE BandBits band_bits(index_t band, index_t base) const
    {
        using ck_tile_masks::TileStatus;
        const auto bands = tiled<kRows>();
        BandBits bits = {0, 0};
        for_each_of_lane([&](index_t n, index_t shift) {
            const index_t tile = ck_tile_masks::sat_add(base, n);
            const TileStatus status = bands.GetTileStatus(band, tile);
            const bool short_of_keys = bands.cols(tile).size() < kTileK;
            bits.live |= ballot(status != TileStatus::empty) << shift;
            bits.edge |= ballot(status == TileStatus::edge || short_of_keys) << shift;
        });
        return bits;
    }
    // The elements of one row in a tile.
    CK_FMHA_DEVICE bits_t row_bits(index_t query, index_t tile) const
    {
        const auto bands = tiled<kRows, ReadForElements>();
        const auto keys = bands.cols(tile);
        return bands.RowBits(ck_tile_masks::min(query, bands.seqlen_q() - 1), keys.begin, keys.size());
    }

protected:
    CK_FMHA_DEVICE const char* image() const { return place_.get().image; }
    CK_FMHA_DEVICE index_t num_rows() const { return place_.get().seqlen_q; }
    CK_FMHA_DEVICE index_t num_columns() const { return place_.get().seqlen_k; }

private:
    template <index_t kTileRows, class Read = ReadForTiles>
    CK_FMHA_DEVICE auto tiled() const
    {
        using Tile = ck_tile_masks::FixedTile<kTileRows, kTileK>;
        using Image = MaskImage<Mask, Read>;
        const Place place = place_.get();
        return ck_tile_masks::GenericAttentionMask<Image, Tile>(Image(place.image),
                                                                {0, 0, place.seqlen_q, place.seqlen_k});
    }

    struct Place {
        const char* image;
        index_t row;
        index_t seqlen_q, seqlen_k;
        index_t unused = 0;
    };
    Seldom<0, Place, kIsScarce> place_;
};

} // namespace ck_fmha::gpu
