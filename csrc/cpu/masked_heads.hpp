#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "ck_tile_masks/algebra.hpp"
#include "cpu/tile_kernels.hpp"
#include "fmha/attended_tensor.hpp"
#include "fmha/fmha_args.h"
#include "fmha/mask_expr.hpp"

namespace ck_fmha::cpu {

// The mask bound to every (batch, head) of a call and cut into kernel tiles; those that share one binding share one
// entry. What the caller gives as bytes (ck_fmha_extras::attended) is one more part of the mask.
class MaskedHeads {
public:
    MaskedHeads(const MaskExpr& mask, const ck_fmha_problem& p)
    {
        const ck_fmha_tensor& attended = p.extras.attended.tensor;
        const bool by_batch = attended.data && attended.stride_batch != 0;
        const bool by_head = attended.data && attended.stride_head != 0;
        num_batches_ = mask.varies_by_batch() || by_batch ? p.batch : 1;
        num_heads_ = mask.varies_by_head() || by_head ? p.num_heads : 1;
        for (int64_t n = 0; n < num_batches_ * num_heads_; ++n) {
            const ck_tile_masks::MaskCall call{static_cast<index_t>(n / num_heads_),
                                               static_cast<index_t>(n % num_heads_), static_cast<index_t>(p.seqlen_q),
                                               static_cast<index_t>(p.seqlen_k)};
            bound_.push_back(bind(mask, p.extras.attended, call));
            tiled_.emplace_back(MaskRef(*bound_.back()), call, ck_tile_masks::DynamicTile{kTileQ, kTileK});
        }
    }

    bool varies_by_head() const { return num_heads_ > 1; }
    bool varies_by_batch() const { return num_batches_ > 1; }
    int num_distinct() const { return static_cast<int>(tiled_.size()); }
    int index(int64_t batch, int64_t head) const
    {
        return static_cast<int>((varies_by_batch() ? batch * num_heads_ : 0) + (varies_by_head() ? head : 0));
    }
    const TiledMask& distinct(int index) const { return tiled_[index]; }
    const TiledMask& at(int64_t batch, int64_t head) const { return tiled_[index(batch, head)]; }

    // Live tiles of the rows (columns) of tiles [begin, end) of the mask with this index.
    void count_lines(int index, ck_tile_masks::Axis axis, index_t begin, index_t end, index_t* counts) const
    {
        const TiledMask& tiled = tiled_[index];
        bound_[index]->count_live_tiles(axis, {0, 0, tiled.seqlen_q(), tiled.seqlen_k()},
                                        {tiled.tile_y(), tiled.tile_x()}, begin, end, counts);
    }

    // About what this takes; the data of masks is their own.
    size_t bytes() const { return tiled_.size() * (sizeof(TiledMask) + kBytesOfBound); }

private:
    static constexpr size_t kBytesOfBound = 512;

    static std::unique_ptr<BoundMask> bind(const MaskExpr& mask, const ck_fmha_scores& attended,
                                           const ck_tile_masks::MaskCall& call)
    {
        using Part = std::unique_ptr<BoundMask>;
        Part bound = mask.bind(call);
        const ck_fmha_tensor& t = attended.tensor;
        if (!t.data) return bound;
        const auto* bytes =
            static_cast<const uint8_t*>(t.data) + call.batch * t.stride_batch + call.head * t.stride_head;
        const AttendedTensor tensor(bytes, t.stride_seq, attended.stride_k, call.seqlen_q, call.seqlen_k);
        using Both = ck_tile_masks::Intersection<MaskRef, AttendedTensor>;
        const Both both{{}, MaskRef(*bound), tensor, call.seqlen_q, call.seqlen_k};
        return std::make_unique<BoundMaskOf<Both, Part>>(both, std::move(bound));
    }

    int64_t num_batches_, num_heads_; // that have masks of their own
    std::vector<std::unique_ptr<BoundMask>> bound_;
    std::vector<TiledMask> tiled_;
};

// The mask bits of an edge tile: bit k of word q set iff query q attends key k (both counted inside the tile).
// Returns null for a full tile, which needs no bits.
inline const bits_t* query_bits(const TiledMask& mask, index_t i_tile, index_t j_tile, bits_t (&bits)[kTileQ])
{
    if (mask.bound().is_in_one_block(mask.rows(i_tile), mask.cols(j_tile)) ||
        mask.StatusOfLiveTile(i_tile, j_tile) == ck_tile_masks::TileStatus::full)
        return nullptr;
    mask.TileBits(i_tile, j_tile, bits);
    std::fill(bits + mask.rows(i_tile).size(), bits + kTileQ, bits_t{0});
    return bits;
}

} // namespace ck_fmha::cpu
