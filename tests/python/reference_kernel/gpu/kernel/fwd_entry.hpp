#pragma once

// The forward as its formula, one work-item a row: takes the place of the real kernels where the tests are about what
// the host hands over. Same macros, same arguments.

#include "ck_tile_masks/generic_attention_mask.hpp"
#include "gpu/kernel/fwd_launch.hpp"
#include "gpu/kernel/mask_image.hpp"

namespace reference {

using namespace ck_fmha::gpu;

namespace structure_of_instance {
using namespace structure;
using Mask = CK_FMHA_MASK;
} // namespace structure_of_instance

using Mask = MaskImage<structure_of_instance::Mask>;
constexpr index_t kLanes = 64; // of AMD's waves
using Tile = ck_tile_masks::FixedTile<fwd_tile_q(CK_FMHA_WAVES), fwd_tile_k(kLanes, CK_FMHA_HEAD_DIM, CK_FMHA_WAVES)>;
using Tiled = ck_tile_masks::GenericAttentionMask<Mask, Tile>;

constexpr float kLn2 = 0.69314718f;
constexpr float kInfinity = __builtin_inff();
constexpr index_t kRows = fwd_tile_q(CK_FMHA_WAVES);
constexpr index_t kHeadDim = CK_FMHA_HEAD_DIM;

#define DEVICE __attribute__((device)) inline
#define KERNEL(size) __attribute__((global)) __attribute__((amdgpu_flat_work_group_size(size, size))) void

template <class T>
DEVICE T* row_of(const Tensor& t, index_t batch, index_t head, index_t seq)
{
    return static_cast<T*>(t.data) + batch * t.stride_batch + head * t.stride_head + seq * t.stride_seq;
}

// The running result of a row: o and l are relative to 2^m.
struct State {
    float m = -kInfinity;
    float l = 0;
    float o[kHeadDim] = {};

    DEVICE void add(float score)
    {
        const float larger = score > m ? score : m;
        const float old = __builtin_amdgcn_exp2f(m - larger);
        p_ = __builtin_amdgcn_exp2f(score - larger);
        m = larger;
        l = l * old + p_;
        for (float& x : o)
            x *= old;
    }
    template <class T>
    DEVICE void add_value(const T* v, index_t head_dim_v)
    {
        for (index_t d = 0; d < kHeadDim; ++d)
            if (d < head_dim_v) o[d] += p_ * static_cast<float>(v[d]);
    }
    DEVICE float normalised(index_t d) const { return l > 0 ? o[d] / l : 0; }
    DEVICE float lse2() const { return l > 0 ? m + __builtin_amdgcn_logf(l) : -kInfinity; }

private:
    float p_ = 0;
};

struct Who {
    index_t item, shared, batch, head;

    template <class Item>
    DEVICE Who(const FwdArgs& a, const Item* items, index_t groups_of_item = 1)
        : item(__builtin_amdgcn_workgroup_id_x() / groups_of_item / a.num_shared),
          shared(__builtin_amdgcn_workgroup_id_x() / groups_of_item % a.num_shared),
          batch(items[item].batch + shared / a.shared_heads),
          head(items[item].head + shared % a.shared_heads)
    {
    }
    DEVICE long_index_t partial_row(const FwdArgs& a, index_t slot, index_t row) const
    {
        return (static_cast<long_index_t>(slot) * a.num_shared + shared) * kRows + row;
    }
};

DEVICE void write(const FwdArgs& a, const State& state, index_t batch, index_t head, index_t row)
{
    auto* o = row_of<CK_FMHA_DTYPE>(a.o, batch, head, row);
    for (index_t d = 0; d < kHeadDim; ++d)
        if (d < a.head_dim_v) o[d] = static_cast<CK_FMHA_DTYPE>(state.normalised(d));
    a.lse[(static_cast<long_index_t>(batch) * a.num_heads + head) * a.seqlen_q + row] = state.lse2() * kLn2;
}

// The mask of a work item, cut into tiles of a work-group.
DEVICE Tiled mask_of(const FwdArgs& a, const FwdWork& work)
{
    return Tiled(Mask(a.images + work.image), {0, 0, a.seqlen_q, a.seqlen_k});
}

// Looks live tiles up among an item's stored ones.
class Stored {
public:
    DEVICE Stored(const FwdArgs& a, index_t item) : next_(a.tiles + static_cast<long_index_t>(item) * a.num_stored) {}
    // Is the tile the next one that is stored?
    DEVICE bool has(index_t tile) { return *next_++ == tile_code(tile); }
    DEVICE bool at_end() const { return *next_ == kEndCode; }

private:
    const TileCode* next_;
};

} // namespace reference

extern "C" KERNEL(64 * CK_FMHA_WAVES) ck_fmha_fwd_plan(const ck_fmha::gpu::FwdArgs a)
{
    using namespace reference;
    if (__builtin_amdgcn_workitem_id_x() != 0) return;
    const index_t item = __builtin_amdgcn_workgroup_id_x();
    const FwdWork work = a.work[item];
    const Tiled tiled = mask_of(a, work);
    auto j = tiled.GetTileIndexIteratorAlongX(work.row, work.begin, work.end);
    TileCode* const tiles = a.tiles + static_cast<long_index_t>(item) * a.num_stored;
    index_t n = 0;
    for (; !j.at_end(); j.advance())
        tiles[n++] = tile_code(j.current()); // this kernel asks the mask what is in them
    tiles[n] = kEndCode;
}

extern "C" KERNEL(64 * CK_FMHA_WAVES) ck_fmha_fwd(const ck_fmha::gpu::FwdArgs a)
{
    using namespace reference;
    const Who who(a, a.work);
    const FwdWork work = a.work[who.item];
    const index_t in_tile = __builtin_amdgcn_workitem_id_x(), row = work.row * kRows + in_tile;
    if (in_tile >= kRows || row >= a.seqlen_q) return;
    const Tiled tiled = mask_of(a, work);
    Stored stored(a, who.item);
    const auto* q = row_of<const CK_FMHA_DTYPE>(a.q, who.batch, who.head, row);

    State state;
    index_t num_live = 0;
    for (auto j = tiled.GetTileIndexIteratorAlongX(work.row, work.begin, work.end); !j.at_end(); j.advance()) {
        if (!stored.has(j.current())) __builtin_trap();
        ++num_live;
        for (index_t col = tiled.cols(j.current()).begin; col < tiled.cols(j.current()).end; ++col) {
            if (!tiled.ElementwiseMask(row, col)) continue;
            const auto* k = row_of<const CK_FMHA_DTYPE>(a.k, who.batch, who.head / a.heads_per_kv, col);
            float score = 0;
            for (index_t d = 0; d < a.head_dim; ++d)
                score += static_cast<float>(q[d]) * static_cast<float>(k[d]);
            state.add(score * a.scale_log2);
            state.add_value(row_of<const CK_FMHA_DTYPE>(a.v, who.batch, who.head / a.heads_per_kv, col), a.head_dim_v);
        }
    }
    if (num_live != work.num_live || !stored.at_end()) __builtin_trap();
    if (work.slot < 0) return write(a, state, who.batch, who.head, row);
    const long_index_t partial = who.partial_row(a, work.slot, in_tile);
    a.partial_lse[partial] = state.lse2();
    for (index_t d = 0; d < kHeadDim; ++d)
        if (d < a.head_dim_v) a.partial_o[partial * a.head_dim_v + d] = state.normalised(d);
}

extern "C" KERNEL(256) ck_fmha_fwd_combine(const ck_fmha::gpu::FwdArgs a)
{
    using namespace reference;
    if (__builtin_amdgcn_workgroup_id_x() % ck_fmha::gpu::kMergeParts != 0) return; // the first does it all
    const Who who(a, a.merges, ck_fmha::gpu::kMergeParts);
    const FwdMerge merge = a.merges[who.item];
    const index_t in_tile = __builtin_amdgcn_workitem_id_x(), row = merge.row * kRows + in_tile;
    if (in_tile >= kRows || row >= a.seqlen_q) return;
    State state;
    for (index_t n = 0; n < merge.num_slots; ++n) {
        const long_index_t partial = who.partial_row(a, merge.first_slot + n, in_tile);
        if (a.partial_lse[partial] == -kInfinity) continue;
        state.add(a.partial_lse[partial]);
        state.add_value(a.partial_o + partial * a.head_dim_v, a.head_dim_v);
    }
    write(a, state, who.batch, who.head, row);
}
