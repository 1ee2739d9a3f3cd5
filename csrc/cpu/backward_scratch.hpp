#pragma once

#include "cpu/row_sums.hpp"
#include "cpu/tile_kernels.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

// Tiles of Q, K, V and dO as operands, where they do not lie so in memory.
template <class Operand>
struct BackwardOperands {
    Operand *k, *v, *k_t, *v_t, *q, *d_o, *q_rows, *d_o_rows;

    void lay_out(Arena& arena, int head_dim, int head_dim_v)
    {
        const size_t d = padded_head_dim(head_dim), dv = padded_head_dim(head_dim_v);
        for (Operand** rows : {&k, &k_t, &q, &q_rows})
            *rows = arena.take<Operand>(64 * d);
        for (Operand** rows : {&v, &v_t, &d_o, &d_o_rows})
            *rows = arena.take<Operand>(64 * dv);
    }
};

// What one thread works with.
template <class Operand>
struct BackwardScratch {
    using Real = RealOf<Operand>;
    BackwardOperands<Operand> staged;
    BackwardOperands<Real> numbers; // of a tile that cannot be split
    Operand *p, *ds_rows, *ds;
    Real *s, *dp, *dk, *dv, *o, *bias, *bias_scratch, *dbias, *dbias_line;
    typename RowSums<Real>::Tiles row_tiles;

    void lay_out(Arena& arena, int head_dim, int head_dim_v, bool has_bias, bool has_dbias)
    {
        const size_t d = padded_head_dim(head_dim), dv_ld = padded_head_dim(head_dim_v);
        staged.lay_out(arena, head_dim, head_dim_v);
        if (kParts<Operand> > 1) {
            numbers.lay_out(arena, head_dim, head_dim_v);
            for (Operand** tile : {&p, &ds_rows, &ds})
                *tile = arena.take<Operand>(kTileQ * packed<Operand>(kTileK));
        }
        dk = arena.take<Real>(64 * d);
        for (Real** rows : {&dv, &o})
            *rows = arena.take<Real>(64 * dv_ld);
        for (Real** tile : {&s, &dp})
            *tile = arena.take<Real>(kTileQ * kTileK);
        for (Real** tile : {&bias, &bias_scratch})
            *tile = has_bias ? arena.take<Real>(kTileQ * kTileK) : nullptr;
        dbias = has_dbias ? arena.take<Real>(kTileQ * kTileK) : nullptr;
        dbias_line = has_dbias ? arena.take<Real>(64) : nullptr;
    }
};

} // namespace ck_fmha::cpu
