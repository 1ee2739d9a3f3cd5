#include "fmha/mask_view.hpp"

#include <algorithm>

namespace ck_fmha {

using ck_tile_masks::Interval;
using ck_tile_masks::TileStatus;

void MaskView::materialize(uint8_t* out) const
{
    for (index_t i = 0; i < tiled_.seqlen_q(); ++i)
        for (index_t j = 0; j < tiled_.seqlen_k();) {
            const index_t count = std::min<index_t>(64, tiled_.seqlen_k() - j);
            const bits_t bits = tiled_.RowBits(i, j, count);
            for (index_t n = 0; n < count; ++n)
                *out++ = (bits >> n) & 1;
            j += count;
        }
}

void MaskView::tile_status(int8_t* out) const
{
    for (index_t i = 0; i < tiled_.num_tiles_y(); ++i)
        for (index_t j = 0; j < tiled_.num_tiles_x(); ++j)
            *out++ = static_cast<int8_t>(tiled_.GetTileStatus(i, j));
}

TileCounts MaskView::count_tiles() const
{
    TileCounts counts;
    counts.total = static_cast<int64_t>(tiled_.num_tiles_y()) * tiled_.num_tiles_x();
    for (index_t i = 0; i < tiled_.num_tiles_y(); ++i)
        for (auto j = tiled_.GetTileIndexIteratorAlongX(i); !j.at_end(); j.advance()) {
            ++counts.live;
            ++(tiled_.StatusOfLiveTile(i, j.current()) == TileStatus::full ? counts.full : counts.edge);
        }
    return counts;
}

int64_t MaskView::count_attended() const
{
    int64_t attended = 0;
    for (index_t i = 0; i < tiled_.num_tiles_y(); ++i)
        for (auto j = tiled_.GetTileIndexIteratorAlongX(i); !j.at_end(); j.advance()) {
            const Interval rows = tiled_.rows(i), cols = tiled_.cols(j.current());
            if (tiled_.StatusOfLiveTile(i, j.current()) == TileStatus::full) {
                attended += static_cast<int64_t>(rows.size()) * cols.size();
                continue;
            }
            for (index_t r = rows.begin; r < rows.end; ++r)
                for (index_t c = cols.begin; c < cols.end; c += 64)
                    attended += __builtin_popcountll(tiled_.RowBits(r, c, std::min<index_t>(64, cols.end - c)));
        }
    return attended;
}

} // namespace ck_fmha
