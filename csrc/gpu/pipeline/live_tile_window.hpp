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

    CK_FMHA_DEVICE LiveTileWindow(const Mask& bound, index_t seqlen_q, index_t seqlen_k, index_t row)
        : band_(bound, {0, 0, seqlen_q, seqlen_k}), group_(bound, {0, 0, seqlen_q, seqlen_k}), row_(row)
    {
    }

    // The first live tile in [from, end), or `end`: the `Next` of an IndexIterator.
    CK_FMHA_DEVICE index_t next(index_t from, index_t end)
    {
        for (;;) {
            const bits_t left = from - base_ < kWaveSize ? live_ >> (from - base_) : 0;
            if (left != 0) {
                const index_t tile = from + __builtin_ctzll(left);
                return ck_tile_masks::min(tile, end);
            }
            from = ck_tile_masks::max(from, sat_add(base_, kWaveSize));
            if (from >= end) return end;
            from = uniform(group_.NextLiveTileAlongX(row_, from, end));
            if (from >= end) return end;
            look_at(from);
        }
    }

    // Of a tile in the window.
    CK_FMHA_DEVICE BandWork band_work(index_t tile) const
    {
        return {(band_live_ >> (tile - base_) & 1) != 0, (band_edge_ >> (tile - base_) & 1) != 0};
    }
    // The elements of one row in a tile.
    CK_FMHA_DEVICE bits_t row_bits(index_t query, index_t tile) const
    {
        const auto keys = band_.cols(tile);
        return band_.RowBits(ck_tile_masks::min(query, band_.seqlen_q() - 1), keys.begin, keys.size());
    }

private:
    CK_FMHA_DEVICE static index_t sat_add(index_t a, index_t b) { return ck_tile_masks::sat_add(a, b); }

    CK_FMHA_DEVICE void look_at(index_t base)
    {
        using ck_tile_masks::TileStatus;
        base_ = base;
        const index_t tile = sat_add(base, lane_index());
        const index_t band = row_ * kWaves + wave_index();
        const TileStatus status = band_.GetTileStatus(band, tile);
        const bool short_of_keys = band_.cols(tile).size() < kTileK;
        band_live_ = ballot(status != TileStatus::empty);
        band_edge_ = ballot(status == TileStatus::edge || short_of_keys);
        live_ = kWaves == 1 ? band_live_ : ballot(group_.TileMask(row_, tile));
    }

    ck_tile_masks::GenericAttentionMask<Mask, FixedBand> band_;
    ck_tile_masks::GenericAttentionMask<Mask, FixedGroup> group_;
    index_t row_;
    index_t base_ = -kWaveSize; // before the first tile
    bits_t live_ = 0, band_live_ = 0, band_edge_ = 0;
};

} // namespace ck_fmha::gpu
