#pragma once

// The tile functions of tile_kernels.hpp for the instruction set CK_FMHA_ISA. Included by isa/*.cpp only.

#include "cpu/bwd_tile_impl.hpp"
#include "cpu/fwd_tile_impl.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

template <class Real>
static constexpr TileKernels<Real> make_tile_kernels()
{
    TileKernels<Real> t{};
    t.load_rows[0] = load_rows<Real, float>; // the order of enum ck_fmha_dtype
    t.store_rows[0] = store_rows<Real, float>;
    if constexpr (sizeof(Real) == sizeof(float)) {
        t.load_rows[1] = load_rows<Real, Bfloat16>;
        t.load_rows[2] = load_rows<Real, Float16>;
        t.store_rows[1] = store_rows<Real, Bfloat16>;
        t.store_rows[2] = store_rows<Real, Float16>;
    } else {
        t.load_rows[3] = load_rows<Real, double>;
        t.store_rows[3] = store_rows<Real, double>;
    }
    t.transpose = transpose<Real>;
    t.add_rows = add_rows<Real>;
    t.add_alibi = add_alibi<Real>;
    t.fwd_tile = fwd_tile<Real>;
    t.fwd_merge = fwd_merge<Real>;
    t.fwd_finish = fwd_finish<Real>;
    t.bwd_delta = bwd_delta<Real>;
    t.bwd_tile = bwd_tile<Real>;
    return t;
}

} // namespace ck_fmha::cpu::CK_FMHA_ISA
