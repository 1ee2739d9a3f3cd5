#pragma once

#include "ck_tile_masks/generic_attention_mask.hpp"
#include "gpu/tile/platform.hpp"

// Finds the live tiles of a row of tiles, a wave's width of them at a time: lane l asks the mask about tile base + l, a
// ballot collects the answers in scalar registers, and the next live tile is the lowest bit that is left. Walks in closed
// form jump to a window; inside it, finding a tile costs a few scalar instructions, whatever the pattern.
//
// The work-group's tile is kWaves bands of kRows queries high. Whether the band of this wave has anything in a tile, and
// whether it needs the element check there, comes out of the same window.

namespace ck_fmha::gpu {

// What the band of one wave has to do in a tile.
struct BandWork {
    bool live;
    bool edge; // some element is not attended, or lies outside the bounds
};

template <class Mask, index_t kRows, index_t kWaves, index_t kTileK>
class LiveTileWindow {
public:
    using FixedBand = ck_tile_masks::FixedTile<kRows, kTileK>;
    using FixedGroup = ck_tile_masks::FixedTile<kRows * kWaves, kTileK>;

    // Over tiles [begin, end) of a row of tiles.
    CK_FMHA_DEVICE LiveTileWindow(const Mask& bound, index_t seqlen_q, index_t seqlen_k, index_t row, index_t begin,
                                  index_t end)
        : band_(bound, {0, 0, seqlen_q, seqlen_k}), group_(bound, {0, 0, seqlen_q, seqlen_k}), row_(row), end_(end)
    {
        look_at(begin);
    }

    // The `Next` of an IndexIterator over the tiles, which asks for one live tile after the other, `from` being past the
    // one before: hence the lowest bit that is left.
    CK_FMHA_DEVICE index_t next(index_t from, index_t end)
    {
        while (__builtin_expect(left_ == 0, 0)) {
            from = ck_tile_masks::max(from, ck_tile_masks::sat_add(base_, kWaveSize));
            if (from >= end) return end;
            from = uniform(group_.NextLiveTileAlongX(row_, from, end));
            if (from >= end) return end;
            look_at(from);
        }
        const index_t tile = base_ + __builtin_ctzll(left_);
        left_ &= left_ - 1;
        return tile;
    }

    // Of a tile in the window.
    CK_FMHA_DEVICE BandWork band_work(index_t tile) const
    {
        const bits_t bit = bits_t{1} << (tile - base_);
        return {(band_live_ & bit) != 0, (band_edge_ & bit) != 0};
    }
    // The elements of one row in a tile.
    CK_FMHA_DEVICE bits_t row_bits(index_t query, index_t tile) const
    {
        const auto keys = band_.cols(tile);
        return band_.RowBits(ck_tile_masks::min(query, band_.seqlen_q() - 1), keys.begin, keys.size());
    }

private:
    CK_FMHA_DEVICE void look_at(index_t base)
    {
        using ck_tile_masks::TileStatus;
        base_ = base;
        const index_t tile = ck_tile_masks::sat_add(base, lane_index());
        const index_t band = row_ * kWaves + wave_index();
        const TileStatus status = band_.GetTileStatus(band, tile);
        const bool short_of_keys = band_.cols(tile).size() < kTileK;
        band_live_ = ballot(status != TileStatus::empty);
        band_edge_ = ballot(status == TileStatus::edge || short_of_keys);
        left_ = ballot(tile < end_ && group_.TileMask(row_, tile));
    }

    ck_tile_masks::GenericAttentionMask<Mask, FixedBand> band_;
    ck_tile_masks::GenericAttentionMask<Mask, FixedGroup> group_;
    index_t row_;
    index_t end_;
    index_t base_;               // the window's first tile: bit 0
    bits_t left_;                // live for the work-group and not yet visited
    bits_t band_live_, band_edge_; // see BandWork
};

} // namespace ck_fmha::gpu
