#pragma once

#include <cstdint>

#include "fmha/mask_expr.hpp"

namespace ck_fmha {

struct TileCounts {
    int64_t total = 0;
    int64_t live = 0;
    int64_t full = 0;
    int64_t edge = 0;
};

// One (batch, head) of a mask, looked at from outside: for tests, plots and statistics.
class MaskView {
public:
    MaskView(const MaskExpr& mask, const ck_tile_masks::MaskCall& call, ck_tile_masks::DynamicTile tile = {})
        : bound_(mask.bind(call)), tiled_(MaskRef(*bound_), call, tile)
    {
    }

    // out (seqlen_q, seqlen_k): 1 where attended.
    void materialize(uint8_t* out) const;
    // out (num_tiles_y, num_tiles_x): TileStatus of every tile.
    void tile_status(int8_t* out) const;
    TileCounts count_tiles() const;
    int64_t count_attended() const;

private:
    std::unique_ptr<BoundMask> bound_;
    TiledMask tiled_;
};

} // namespace ck_fmha
