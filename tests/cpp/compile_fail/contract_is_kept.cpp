// expect-ok
// The neighbours of this file each break one rule of what is written here.
#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/generic_attention_mask.hpp"

using namespace ck_tile_masks;

struct Elements : MaskDefABC<Elements> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
};

struct ClosedForm : MaskDefABC<ClosedForm> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
    constexpr index_t next_live_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_row(index_t, index_t, index_t from) const { return from; }
};

struct Blocks : MaskDefABC<Blocks> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "mine"; }
    constexpr index_t block_y() const { return 16; }
    constexpr index_t block_x() const { return 16; }
    constexpr bool tile_mask_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile <= i_y_tile; }
};

struct EdgeBlocks : MaskDefABC<EdgeBlocks> {
    static constexpr bool IsTileMask = true;
    static constexpr const char* get_name() { return "mine"; }
    constexpr index_t block_y() const { return 16; }
    constexpr index_t block_x() const { return 16; }
    constexpr bool tile_mask_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile <= i_y_tile; }
    constexpr bool edge_tile_func(index_t i_y_tile, index_t i_x_tile) const { return i_x_tile == i_y_tile; }
    constexpr bool mask_func(index_t i_y, index_t i_x) const { return i_x <= i_y; }
    constexpr index_t next_live_block_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_block_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_live_block_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_block_row(index_t, index_t, index_t from) const { return from; }
};

struct LiveRuns : MaskDefABC<LiveRuns> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr bool exact() const { return true; }
    constexpr bool mask_func(index_t, index_t) const { return true; }
    constexpr index_t next_live_col(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_col(index_t, index_t, index_t) const { return kNone; }
    constexpr index_t next_live_row(index_t, index_t, index_t from) const { return from; }
    constexpr index_t next_not_full_row(index_t, index_t, index_t) const { return kNone; }
    constexpr index_t live_run_end_col(index_t, index_t, index_t) const { return kIndexMax; }
    constexpr index_t live_run_end_row(index_t, index_t, index_t) const { return kIndexMax; }
};

struct Parameters : MaskDefABC<Parameters> {
    static constexpr const char* get_name() { return "mine"; }
    constexpr Elements bind(const MaskCall&) const { return {}; }
};

template <class Mine>
bool use(const Mine& mine, const MaskCall& call)
{
    return GenericAttentionMask<Mine, FixedTile<1, 64>>(mine, call).TileMask(0, 0);
}

bool use(const MaskCall& call)
{
    const Parameters parts[2] = {};
    if (!use(PerHead<Parameters>(parts, 2), call) || !use(PerSample<Parameters>(parts, 2), call)) return false;
    return use(Elements{}, call) && use(ClosedForm{}, call) && use(Blocks{}, call) && use(EdgeBlocks{}, call) &&
           use(LiveRuns{}, call) && use(Parameters{}, call) && use((Elements{} | Blocks{}) & ~Parameters{}, call) &&
           use(shift(transpose(EdgeBlocks{}), 3, -5), call);
}
