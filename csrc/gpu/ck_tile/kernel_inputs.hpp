#pragma once

#include "gpu/ck_tile/args.hpp"
#include "gpu/ck_tile/version.hpp"

namespace ck_fmha::gpu {

// Strides as CK Tile has them.
CK_TILE_MASKS_HD constexpr ck_tile::index_t narrow(long_index_t stride)
{
    return static_cast<ck_tile::index_t>(stride);
}

// Q, K and V among the arguments of CK Tile's forward or backward.
template <class Kargs>
__attribute__((device)) inline void set_inputs(Kargs& kargs, const CkTileArgs& args)
{
    kargs.q_ptr = args.q.data;
    kargs.k_ptr = args.k.data;
    kargs.v_ptr = args.v.data;
    kargs.seqlen_q = args.seqlen_q;
    kargs.seqlen_k = args.seqlen_k;
    kargs.hdim_q = args.head_dim;
    kargs.hdim_v = args.head_dim_v;
    set_num_heads(kargs, args.num_heads);
    kargs.nhead_ratio_qk = args.heads_per_kv;
    kargs.stride_q = narrow(args.q.stride_seq);
    kargs.stride_k = narrow(args.k.stride_seq);
    kargs.stride_v = narrow(args.v.stride_seq);
    kargs.nhead_stride_q = narrow(args.q.stride_head);
    kargs.nhead_stride_k = narrow(args.k.stride_head);
    kargs.nhead_stride_v = narrow(args.v.stride_head);
    kargs.batch_stride_q = narrow(args.q.stride_batch);
    kargs.batch_stride_k = narrow(args.k.stride_batch);
    kargs.batch_stride_v = narrow(args.v.stride_batch);
}

} // namespace ck_fmha::gpu
