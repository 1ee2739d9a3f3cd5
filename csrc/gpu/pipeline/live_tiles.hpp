#pragma once

#include "ck_tile_masks/index_iterator.hpp"
#include "gpu/pipeline/banded_mask.hpp"

// The live tiles of a work item, one after the other, and what a wave's band of rows has to do in each. They were found
// before (plan_tiles.hpp) and are read from memory: StoredTiles. Of a row that has more than are stored, the mask
// itself tells the others: AskedTiles.

namespace ck_fmha::gpu {

// Stored tiles, up to the code that ends them.
template <class BandedMask>
class StoredTiles {
public:
    // A tile, and what a wave has to do in it.
    class Work {
    public:
        CK_FMHA_DEVICE Work(TileCode code, index_t band) : tile_(tile_of(code)), own_(code >> band), all_(code) {}
        CK_FMHA_DEVICE index_t tile() const { return tile_; }
        CK_FMHA_DEVICE bool live() const { return (own_ & kLiveFlag) != 0; } // some element is attended ...
        CK_FMHA_DEVICE bool edge() const { return (own_ & kEdgeFlag) != 0; } // ... and some is not, or out of bounds
        CK_FMHA_DEVICE bool live(index_t band) const { return (all_ >> band & kLiveFlag) != 0; } // another band

    private:
        index_t tile_;
        TileCode own_, all_;
    };

    CK_FMHA_DEVICE StoredTiles(const BandedMask&, const TileCode* stored, const FwdWork&) : place_({stored, 0}) {}

    // For as long as this object is where it is.
    CK_FMHA_DEVICE auto walk()
    {
        fetch();
        return ck_tile_masks::IndexIterator(Next{this}, 0, kMostNumberedTiles);
    }
    // Begins to read the code after that of the tile where the walk is; it is there when the walk steps on.
    CK_FMHA_DEVICE void fetch()
    {
        const Place place = place_.get();
        fetched_ = load_uniform<TileCode>(reinterpret_cast<const char*>(place.stored) + place.at);
    }
    // What this wave's band has to do in the tile where the walk is.
    CK_FMHA_DEVICE Work work() const { return {code_, BandedMask::band_in_tile()}; }

private:
    struct Next {
        static constexpr bool kKnowsItsEnd = true;
        StoredTiles* tiles;
        CK_FMHA_DEVICE index_t operator()(index_t, index_t) const { return tiles->next(); }
    };
    // Whose code is fetched next, in bytes: a number that wraps round, which the compiler leaves as it is.
    struct Place {
        const TileCode* stored;
        unsigned at;
        unsigned unused = 0;
    };
    CK_FMHA_DEVICE index_t next()
    {
        code_ = uniform_from_memory(fetched_);
        place_.update([&](Place& place) { place.at += sizeof(TileCode); });
        return tile_of(code_);
    }

    Seldom<1, Place> place_;
    TileCode fetched_ = 0;
    TileCode code_ = 0;
};

// First the stored tiles, then those that the mask tells, window by window. With `kAllBands` a wave knows what the
// other bands do, too.
template <class BandedMask, bool kAllBands>
class AskedTiles {
public:
    // As a number that a lane holds: a tile's own one, which may be larger than those of TileCode, and fewer flags.
    class Work {
    public:
        CK_FMHA_DEVICE explicit Work(unsigned code) : code_(code) {}
        CK_FMHA_DEVICE static Work of(index_t tile, bool live, bool edge)
        {
            return Work(static_cast<unsigned>(tile) << kFlags | (live ? 1u : 0u) | (edge ? 2u : 0u));
        }
        CK_FMHA_DEVICE static unsigned other(index_t band, bool live)
        {
            return (live ? 1u : 0u) << (kFirstOther + band);
        }
        CK_FMHA_DEVICE unsigned code() const { return code_; }
        CK_FMHA_DEVICE index_t tile() const { return static_cast<index_t>(code_ >> kFlags); }
        CK_FMHA_DEVICE bool live() const { return (code_ & 1) != 0; }
        CK_FMHA_DEVICE bool edge() const { return (code_ & 2) != 0; }
        CK_FMHA_DEVICE bool live(index_t band) const { return (code_ >> kFirstOther >> band & 1) != 0; }

    private:
        static constexpr index_t kFirstOther = 2, kFlags = kFirstOther + kMostBands; // 2^26 tiles of 32 are 2^31 keys
        unsigned code_;
    };

    CK_FMHA_DEVICE AskedTiles(const BandedMask& mask, const TileCode* stored, const FwdWork& work)
        : mask_(mask), place_({stored, 0, work.begin, work.end})
    {
    }

    // For as long as this object is where it is.
    CK_FMHA_DEVICE auto walk()
    {
        fetch();
        return ck_tile_masks::IndexIterator(Next{this}, 0, ck_tile_masks::kNone);
    }
    CK_FMHA_DEVICE void fetch() { fetched_ = load_uniform<TileCode>(place_.get().stored); }
    CK_FMHA_DEVICE Work work() const { return work_; }

private:
    struct Next {
        static constexpr bool kKnowsItsEnd = true;
        AskedTiles* tiles;
        CK_FMHA_DEVICE index_t operator()(index_t, index_t) const { return tiles->next(); }
    };
    struct Place {
        const TileCode* stored; // the next one, or the code that ends them
        bits_t left;            // tiles of the window that were not yet visited
        index_t from;           // where the mask is to be asked next, and ...
        index_t end;            // ... where the item ends
    };

    CK_FMHA_DEVICE index_t next()
    {
        const TileCode code = uniform_from_memory(fetched_);
        if (tile_of(code) < kMostNumberedTiles) {
            place_.update([&](Place& place) {
                ++place.stored;
                place.from = tile_of(code) + 1;
            });
            const typename StoredTiles<BandedMask>::Work work(code, BandedMask::band_in_tile());
            unsigned all = 0;
            if constexpr (kAllBands)
                unroll<BandedMask::kBands>([&](auto band) { all |= Work::other(band, work.live(band)); });
            work_ = Work(Work::of(work.tile(), work.live(), work.edge()).code() | all);
            return work_.tile();
        }
        bits_t left = uniform_from_memory(place_.get().left);
        if (__builtin_expect(left == 0, 0)) left = code == kEndCode ? 0 : uniform_from_memory(move());
        if (left == 0) return ck_tile_masks::kNone;
        work_ = Work(static_cast<unsigned>(codes_[lowest_bit(left)]));
        place_.update([&](Place& place) { place.left = left & (left - 1); });
        return work_.tile();
    }
    // To the next window: its tiles, none at the end.
    CK_FMHA_DEVICE bits_t move()
    {
        const Place at = place_.get();
        if (at.from >= at.end) return 0;
        const index_t base = mask_.next(at.from, at.end);
        place_.update([&](Place& place) { place.from = ck_tile_masks::sat_add(base, kWindowTiles); });
        if (base >= place_.get().end) return 0;
        ask_bands(base);
        return mask_.live(base, place_.get().end);
    }
    // Sets the codes of a window that is not stored. Band by band: each is asked with the registers of one.
    CK_FMHA_DEVICE void ask_bands(index_t base)
    {
        codes_.set([&](index_t n) { return static_cast<index_t>(Work::of(base + n, false, false).code()); });
        const index_t first = kAllBands ? 0 : BandedMask::band_in_tile();
#pragma unroll 1
        for (index_t asked = first; asked < (kAllBands ? BandedMask::kBands : first + 1); ++asked) {
            const BandBits bits = mask_.band_bits(mask_.band(asked), base);
            codes_.add([&](index_t n) {
                const bool live = (bits.live >> n & 1) != 0, edge = (bits.edge >> n & 1) != 0;
                const unsigned own = asked == BandedMask::band_in_tile() ? Work::of(0, live, edge).code() : 0;
                return static_cast<index_t>(own | (kAllBands ? Work::other(asked, live) : 0));
            });
        }
    }

    static constexpr bool kIsScarce = true;
    const BandedMask& mask_;
    Seldom<1, Place, kIsScarce> place_;
    NumbersOfTiles codes_; // Work::code
    TileCode fetched_ = 0;
    Work work_{0};
};

template <class BandedMask, bool kAsks, bool kAllBands>
struct LiveTilesOf {
    using Type = StoredTiles<BandedMask>;
};
template <class BandedMask, bool kAllBands>
struct LiveTilesOf<BandedMask, true, kAllBands> {
    using Type = AskedTiles<BandedMask, kAllBands>;
};
template <class BandedMask, bool kAsks, bool kAllBands = false>
using LiveTiles = typename LiveTilesOf<BandedMask, kAsks, kAllBands>::Type;

} // namespace ck_fmha::gpu
