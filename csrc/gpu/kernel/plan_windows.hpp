#pragma once

#include "gpu/kernel/fwd_args.hpp"
#include "gpu/pipeline/live_tile_window.hpp"

namespace ck_fmha::gpu {

// Finds the first windows of every work item of a kernel: one work-group an item, each wave for its own band.
template <class Kernel, class Args>
CK_FMHA_DEVICE void plan_windows(const Args& args)
{
    const index_t item = block_index();
    const auto work = load_uniform<FwdWork>(args.work + item);
    const auto mask = Kernel::banded_mask(args, work);
    LiveWindow* const windows = args.windows + static_cast<long_index_t>(item) * args.num_windows;
    const index_t band_in_tile = Kernel::Mask::band_in_tile();
    index_t from = work.begin;
    for (index_t n = 0; n < args.num_windows; ++n) {
        const index_t base = from < work.end ? mask.next(from, work.end) : work.end;
        const bool found = base < work.end;
        if (found) {
            const BandBits band = mask.band_bits(base);
            if (lane_index() == 0) windows[n].band[band_in_tile] = band;
        }
        const bits_t live = found ? mask.live(base, work.end) : 0;
        if (thread_index() == 0) {
            windows[n].base = found ? base : ck_tile_masks::kNone;
            windows[n].live = live | 1; // a window has at least one: past the row's end kNone itself
        }
        from = found ? ck_tile_masks::sat_add(base, kWindowTiles) : work.end;
    }
}

} // namespace ck_fmha::gpu
