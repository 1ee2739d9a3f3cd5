#pragma once

#include "ck_tile_masks/index_iterator.hpp"
#include "gpu/pipeline/banded_mask.hpp"

namespace ck_fmha::gpu {

// The live tiles of a work item, one after the other, and what a wave's band of rows has to do in each. They were found
// before (plan_tiles.hpp) and are read from memory, up to the code behind the last one. With `kAllBands` a wave knows
// what the other bands do, too.
//
// `kTogether`, of warps that multiply together: the bands that a wave has rows of, bit by bit from its first one on.
// All of them compute what any band of the tile has to.
template <class BandedMask, bool kAllBands = false, unsigned kTogether = 0>
class LiveTiles {
public:
    // A tile, and what a wave has to do in it. Of its own band alone it knows by the shifted code, from the start on:
    // the code's register is the next one's.
    class Work {
    public:
        CK_FMHA_DEVICE Work(TileCode code, index_t band)
            : band_(band), own_(kAllBands ? code >> band : anew(code >> band)), all_(code)
        {
        }
        CK_FMHA_DEVICE index_t tile() const { return tile_of(kAllBands ? all_ : own_ << band_); }
        // Some element is attended ...
        CK_FMHA_DEVICE bool live() const { return kTogether != 0 || (own_ & kLiveFlag) != 0; }
        // ... and some is not, or out of bounds.
        CK_FMHA_DEVICE bool edge() const
        {
            if constexpr (kTogether == 0) return (own_ & kEdgeFlag) != 0;
            return any_lane((own_ & kTogether * kEdgeFlag) != 0 ||
                            (own_ & kTogether * kLiveFlag) != kTogether * kLiveFlag);
        }
        CK_FMHA_DEVICE bool live(index_t band) const // another band
        {
            static_assert(kAllBands, "ck_fmha: only with kAllBands");
            return (all_ >> band & kLiveFlag) != 0;
        }

    private:
        index_t band_;
        TileCode own_, all_;
    };

    CK_FMHA_DEVICE explicit LiveTiles(const TileCode* stored) : place_({stored, 0, BandedMask::band_in_tile()}) {}

    // For as long as this object is where it is.
    CK_FMHA_DEVICE auto walk()
    {
        fetch(place_.get());
        return ck_tile_masks::IndexIterator(Next{this}, 0, kMostTiles);
    }
    // What this wave's band has to do in the tile where the walk is. To be asked once for each tile, before the walk
    // steps on: now the next one's code begins to be read, if it did not before.
    CK_FMHA_DEVICE Work work()
    {
        const Place place = place_.get();
        const Work work(code_, place.band);
        if constexpr (!kUniformLoadsAreSlow) fetch(place);
        return work;
    }

private:
    struct Next {
        static constexpr bool kKnowsItsEnd = true;
        LiveTiles* tiles;
        CK_FMHA_DEVICE index_t operator()(index_t, index_t) const { return tiles->next(); }
    };
    // Whose code is fetched next, in bytes: a number that wraps round, which the compiler leaves as it is.
    struct Place {
        const TileCode* stored;
        unsigned at;
        index_t band;
    };
    CK_FMHA_DEVICE void fetch(const Place& place)
    {
        fetched_ = load_uniform<TileCode>(reinterpret_cast<const char*>(place.stored) + place.at);
    }
    CK_FMHA_DEVICE index_t next()
    {
        code_ = uniform_from_memory(fetched_);
        place_.update([&](Place& place) {
            place.at += sizeof(TileCode);
            if (kUniformLoadsAreSlow && code_ != kEndCode) fetch(place);
        });
        return tile_of(code_);
    }

    Seldom<1, Place> place_;
    TileCode fetched_ = 0;
    TileCode code_ = 0;
};

} // namespace ck_fmha::gpu
