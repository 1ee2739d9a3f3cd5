// Every definition and the algebra in device code, instantiated as a kernel would: bound on the device, walked along
// both axes, asked for status and elements.

#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/generic_attention_mask.hpp"
#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"
#include "ck_tile_masks/tile_schedule.hpp"

using namespace ck_tile_masks;

template <class Mask>
__attribute__((device)) long_index_t checksum(const Mask& def, index_t seqlen_q, index_t seqlen_k)
{
    const GenericAttentionMask<Mask, FixedTile<128, 64>> mask(def, {0, 0, seqlen_q, seqlen_k}, {});
    long_index_t sum = 0;
    for (index_t i = 0; i < mask.num_tiles_y(); ++i)
        for (auto j = mask.GetTileIndexIteratorAlongX(i); !j.at_end(); j.advance())
            sum += mask.IsEdgeTile(i, j.current()) ? static_cast<long_index_t>(mask.RowBits(i, j.current(), 8))
                                                   : j.current();
    for (index_t j = 0; j < mask.num_tiles_x(); ++j) {
        for (auto i = mask.GetTileIndexIteratorAlongY(j); !i.at_end(); i.advance())
            sum += mask.ElementwiseMask(i.current(), j);
        cut_line<Axis::cols>(mask, j, mask.num_live_tiles_in_col(j), 8, [&](const TileRange& r) { sum += r.end; });
    }
    return sum;
}

__attribute__((global)) void walk(long_index_t* out, index_t seqlen_q, index_t seqlen_k)
{
    out[0] = checksum(Full{}, seqlen_q, seqlen_k);
    out[1] = checksum(Diagonal(seqlen_q, 0, Alignment::bottom_right, 4), seqlen_q, seqlen_k);
    out[2] = checksum(Longformer(512, 64, 2), seqlen_q, seqlen_k);
    out[3] = checksum(BigBird(64), seqlen_q, seqlen_k);
    out[5] = checksum(PrefixLM(100), seqlen_q, seqlen_k);
    out[4] = checksum((BigBird(64) & Diagonal::causal()) | ~Longformer(64), seqlen_q, seqlen_k);
}
