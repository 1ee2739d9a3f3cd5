// Every definition and the algebra in device code, instantiated as a kernel would: bound on the device, walked along
// both axes, asked for status and elements.

#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/generic_attention_mask.hpp"
#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/big_bird_table.hpp"
#include "ck_tile_masks/masks/block_list.hpp"
#include "ck_tile_masks/masks/deepspeed_big_bird.hpp"
#include "ck_tile_masks/masks/deepspeed_fixed.hpp"
#include "ck_tile_masks/masks/deepspeed_longformer.hpp"
#include "ck_tile_masks/masks/deepspeed_variable.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/documents.hpp"
#include "ck_tile_masks/masks/fixed.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/lengths.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/longformer_tokens.hpp"
#include "ck_tile_masks/masks/neighborhood.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"
#include "ck_tile_masks/masks/strided.hpp"
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

__attribute__((global)) void walk_patterns(long_index_t* out, index_t seqlen_q, index_t seqlen_k)
{
    const NeighborhoodAxis axes[3] = {{8, 3}, {32, 5, 2}, {16, 7, 1, true}};
    out[0] = checksum(Full{}, seqlen_q, seqlen_k);
    out[1] = checksum(Diagonal(seqlen_q, 0, Alignment::bottom_right, 4), seqlen_q, seqlen_k);
    out[2] = checksum(PrefixLM(100), seqlen_q, seqlen_k);
    out[3] = checksum(Longformer(512, 64, 2), seqlen_q, seqlen_k);
    out[4] = checksum(BigBird(64), seqlen_q, seqlen_k);
    out[5] = checksum(Strided(64, 128), seqlen_q, seqlen_k);
    out[6] = checksum(Fixed(128, 8), seqlen_q, seqlen_k);
    out[7] = checksum(Neighborhood(3, axes, Border::shift), seqlen_q, seqlen_k);
    out[8] = checksum(Neighborhood(2, axes, Border::clip), seqlen_q, seqlen_k);
    out[9] = checksum(DeepSpeedFixed(16, 4, 1, 4), seqlen_q, seqlen_k);
    out[10] = checksum(DeepSpeedBigBird(16, 3, 1, 1, 7, true), seqlen_q, seqlen_k);
}

__attribute__((global)) void walk_data(long_index_t* out, index_t seqlen_q, index_t seqlen_k, IndexSpan numbers,
                                       IndexSpan ends, const Document* documents, BlockTable table,
                                       PartialBlocks partial)
{
    out[0] = checksum(LongformerTokens(512, numbers, 2), seqlen_q, seqlen_k);
    out[1] = checksum(Documents(documents, 4, DocumentCausal::bottom_right), seqlen_q, seqlen_k);
    out[2] = checksum(Lengths(numbers, {}, Padding::left), seqlen_q, seqlen_k);
    out[3] = checksum(BlockList(64, 32, table, partial), seqlen_q, seqlen_k);
    out[4] = checksum(BigBirdTable(64, 3, 1, table), seqlen_q, seqlen_k);
    out[5] = checksum(DeepSpeedVariable(16, ends, numbers, ends, false, true), seqlen_q, seqlen_k);
    out[6] = checksum(DeepSpeedLongformer(16, 3, numbers, ends), seqlen_q, seqlen_k);
    out[7] = checksum(DeepSpeedBigBirdTable(16, 3, 1, table), seqlen_q, seqlen_k);
}

__attribute__((global)) void walk_compositions(long_index_t* out, index_t seqlen_q, index_t seqlen_k,
                                               const BigBird* heads, const PerHead<BigBird>* samples)
{
    out[0] = checksum((BigBird(64) & Diagonal::causal()) | ~Longformer(64), seqlen_q, seqlen_k);
    out[1] = checksum(transpose(Strided(64, 128)) | Strided(64, 128), seqlen_q, seqlen_k);
    out[2] = checksum(shift(Diagonal::causal(Alignment::bottom_right), -seqlen_q / 2, 0), seqlen_q, seqlen_k);
    out[3] = checksum(PerHead<BigBird>(heads, 4), seqlen_q, seqlen_k);
    out[4] =
        checksum(PerSample<PerHead<BigBird>>(samples, 2) & ~shift(transpose(Fixed(128, 8)), 5, -3), seqlen_q, seqlen_k);
}
