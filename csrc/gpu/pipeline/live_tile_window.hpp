#pragma once

#include "ck_tile_masks/generic_attention_mask.hpp"
#include "ck_tile_masks/index_iterator.hpp"
#include "gpu/kernel/fwd_args.hpp"
#include "gpu/pipeline/mask_reading.hpp"

// The live tiles of a row of tiles, a window of 64 at a time: lane l asks the mask about tile base + l (and, in
// warps of 32 lanes, about tile base + 32 + l), and ballots collect the answers. Walks in closed form jump from window
// to window; inside one, the next live tile is the lowest bit left, whatever the pattern. A work-group's tile is kBands
// bands of kRows queries high; what the band of a wave has to do in a tile comes out of the same window. (The backward
// walks columns: rows of the transposed mask.)

namespace ck_fmha::gpu {

// A row of tiles of a bound mask, cut into the tiles of a work-group and into those of its kBands bands. `kIsScarce`:
// whoever uses it has few scalar registers left.
template <class Mask, index_t kRows, index_t kBands_, index_t kTileK, bool kIsScarce = false,
          index_t kThreadsPerWave = kWaveSize>
class BandedMask {
public:
    static constexpr index_t kBands = kBands_;
    static constexpr bool kIsLarge = sizeof(Mask) > ReadForElements::kMostBytes; // its numbers take many registers

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
        for_each_of_lane(base, [&](index_t tile, index_t shift) {
            live |= ballot(tile < end && tiles.TileMask(row, tile)) << shift;
        });
        return live;
    }
    CK_FMHA_DEVICE BandBits band_bits(index_t base) const { return band_bits(band(), base); }
    CK_FMHA_DEVICE BandBits band_bits(index_t band, index_t base) const
    {
        using ck_tile_masks::TileStatus;
        const auto bands = tiled<kRows>();
        BandBits bits = {0, 0};
        for_each_of_lane(base, [&](index_t tile, index_t shift) {
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
    // f(tile, number of the ballot's first bit in the window): the tiles that this lane asks about.
    template <class F>
    CK_FMHA_DEVICE static void for_each_of_lane(index_t base, const F& f)
    {
        for (index_t first = 0; first < kWindowTiles; first += kWaveSize)
            f(ck_tile_masks::sat_add(base, first + lane_index()), first);
    }

    struct Place {
        const char* image;
        index_t row;
        index_t seqlen_q, seqlen_k;
        index_t unused = 0;
    };
    Seldom<0, Place, kIsScarce> place_;
};

// What a wave has to do in a tile.
class BandWork {
public:
    static constexpr index_t kLive = 1, kEdge = 2, kFirstOther = 2;
    CK_FMHA_DEVICE explicit BandWork(index_t flags) : flags_(flags) {}
    CK_FMHA_DEVICE bool live() const { return (flags_ & kLive) != 0; } // some element is attended ...
    CK_FMHA_DEVICE bool edge() const { return (flags_ & kEdge) != 0; } // ... and some is not, or out of bounds
    // Has that band of the tile something to do? Known to a window of all bands only.
    CK_FMHA_DEVICE bool live(index_t band) const { return (flags_ >> kFirstOther >> band & 1) != 0; }

private:
    index_t flags_;
};

// Walks the windows of tiles [begin, end) of the mask's row: first those that are stored, then, if it `kAsks`, those
// that the mask tells. With `kAllBands` a wave knows what the other bands do, too.
template <class BandedMask, bool kAsks, bool kAllBands = false>
class LiveTileWindow {
public:
    CK_FMHA_DEVICE LiveTileWindow(const BandedMask& mask, const LiveWindow* stored, index_t num_stored)
        : mask_(mask), place_({stored, num_stored, -kWindowTiles, 0})
    {
    }

    // The live tiles in [begin, end), for as long as this window is where it is.
    CK_FMHA_DEVICE auto walk(index_t begin, index_t end)
    {
        return ck_tile_masks::IndexIterator(Next{this}, begin, end);
    }

    // The `Next` of an IndexIterator, which asks for one live tile after the other, `from` being past the one before:
    // hence the lowest bit that is left.
    CK_FMHA_DEVICE index_t next(index_t from, index_t end)
    {
        bits_t left = uniform_from_memory(place_.get().left);
        if (__builtin_expect(left == 0, 0)) left = move(from, end); // a window has at least one
        const index_t code = codes_[lowest_bit(left)];
        place_.update([&](Place& place) { place.left = left & (left - 1); });
        work_ = BandWork(code);
        return code >> kFlags;
    }

    // What this wave's band has in the tile that `next` gave last.
    CK_FMHA_DEVICE BandWork work() const { return work_; }

private:
    struct Next {
        static constexpr bool kKnowsItsEnd = true;
        LiveTileWindow* window;
        CK_FMHA_DEVICE index_t operator()(index_t from, index_t end) const { return window->next(from, end); }
    };
    struct Place {
        const LiveWindow* stored; // the next one
        index_t num_stored;       // from there on
        index_t base;             // the window's first tile: bit 0
        bits_t left;              // tiles not yet visited
    };

    // To the next window: its tiles.
    CK_FMHA_DEVICE bits_t move(index_t from, index_t end)
    {
        Place to = place_.get();
        bits_t left = 1;
        BandBits band = {0, 0};
        bits_t others[kOthers + 1] = {};
        if (to.num_stored > 0) {
            --to.num_stored;
            const LiveWindow* const stored = to.stored++;
            to.base = load_uniform<index_t>(&stored->base);
            left = load_uniform<bits_t>(&stored->live);
            band = load_uniform<BandBits>(&stored->band[BandedMask::band_in_tile()]);
            unroll<kOthers>([&](auto n) { others[n] = load_uniform<bits_t>(&stored->band[n].live); });
        } else if constexpr (kAsks) {
            to.base = mask_.next(ck_tile_masks::max(from, ck_tile_masks::sat_add(to.base, kWindowTiles)), end);
            ask_bands(to.base);
            place_.update([&](Place& place) { place.base = to.base; });
            return uniform_from_memory(mask_.live(to.base, end) | 1); // past the row's end: `end` itself
        } else {
            to.base = ck_tile_masks::kNone;
        }
        place_.update([&](Place& place) {
            place.stored = to.stored;
            place.num_stored = to.num_stored;
            if constexpr (kAsks) place.base = to.base;
        });
        codes_.set([&](index_t n) {
            const index_t own = flags_of(band, n);
            index_t flags = 0;
            unroll<kOthers>([&](auto other) { flags |= static_cast<index_t>(others[other] >> n & 1) << other; });
            return code_of(to.base, n) | own | flags << BandWork::kFirstOther;
        });
        return uniform_from_memory(left);
    }
    // Sets the codes of a window that is not stored. Band by band: each is asked with the registers of one.
    CK_FMHA_DEVICE void ask_bands(index_t base)
    {
        codes_.set([&](index_t n) { return code_of(base, n); });
        const index_t first = kAllBands ? 0 : BandedMask::band_in_tile();
#pragma unroll 1
        for (index_t asked = first; asked < (kAllBands ? kOthers : first + 1); ++asked) {
            const BandBits bits = mask_.band_bits(mask_.band(asked), base);
            codes_.add([&](index_t n) {
                const index_t other = kAllBands ? static_cast<index_t>(bits.live >> n & 1) : 0;
                return (asked == BandedMask::band_in_tile() ? flags_of(bits, n) : 0) |
                       other << (BandWork::kFirstOther + asked);
            });
        }
    }
    CK_FMHA_DEVICE static index_t code_of(index_t base, index_t n)
    {
        return (ck_tile_masks::min(base, kBeyond) + n) << kFlags;
    }
    CK_FMHA_DEVICE static index_t flags_of(const BandBits& band, index_t n)
    {
        const bits_t live = band.live >> n & 1, edge = band.edge >> n & 1;
        return static_cast<index_t>(live * BandWork::kLive | edge * BandWork::kEdge);
    }

    static constexpr bool kIsScarce = kAllBands && (kAsks || BandedMask::kIsLarge);
    static constexpr index_t kOthers = kAllBands ? BandedMask::kBands : 0;
    static constexpr index_t kFlags = BandWork::kFirstOther + kOthers; // bits of a code below the tile's number
    static constexpr index_t kBeyond = 1 << (30 - kFlags);             // more than there are tiles
    const BandedMask& mask_;
    Seldom<1, Place, kIsScarce> place_;
    NumbersOfTiles codes_; // its number, and what is to be done in it
    BandWork work_{0};
};

} // namespace ck_fmha::gpu
