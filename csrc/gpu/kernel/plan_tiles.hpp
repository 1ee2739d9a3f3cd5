#pragma once

#include "gpu/kernel/rows_of.hpp"
#include "gpu/pipeline/banded_mask.hpp"

namespace ck_fmha::gpu {

// Finds the live tiles of every work item of a kernel: one work-group of kThreads an item, whose waves take the windows
// in turn.
template <class Kernel, index_t kThreads, class Args>
CK_FMHA_DEVICE void plan_tiles(const Args& args)
{
    using Mask = typename Kernel::Mask;
    constexpr index_t kTurns = ck_tile_masks::min(Mask::kBands, kThreads / Mask::kThreadsOfWave);
    const index_t item = block_index();
    const auto work = load_uniform<FwdWork>(args.work + item);
    const auto mask = mask_of<Mask>(args, work);
    TileCode* const tiles = tiles_of(args, item);
    index_t count = 0, from = work.begin;
    for (index_t turn = 0; from < work.end; turn = (turn + 1) % kTurns) {
        const index_t base = mask.next(from, work.end);
        if (base >= work.end) break;
        from = base + kWindowTiles;
        const bits_t live = mask.live(base, work.end);
        if (turn == Mask::band_in_tile()) {
            TileCode flags[kWindowTiles / kWaveSize] = {};
#pragma unroll 1
            for (index_t band = 0; band < Mask::kBands; ++band) {
                const BandBits bits = mask.band_bits(mask.band(band), base);
                for_each_of_lane([&](index_t n, index_t shift) {
                    const TileCode live = bits.live >> n & 1, edge = bits.edge >> n & 1;
                    flags[shift / kWaveSize] |= (live * kLiveFlag | edge * kEdgeFlag) << band;
                });
            }
            for_each_of_lane([&](index_t n, index_t shift) {
                const index_t place = count + count_bits(live & ((bits_t{1} << n) - 1));
                if ((live >> n & 1) != 0) tiles[place] = tile_code(base + n) | flags[shift / kWaveSize];
            });
        }
        count += count_bits(live);
    }
    if (thread_index() == 0) tiles[count] = kEndCode;
}

} // namespace ck_fmha::gpu
