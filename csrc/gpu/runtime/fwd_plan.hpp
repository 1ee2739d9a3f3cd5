#pragma once

// What the forward of one call launches: the live tiles of every mask that differs, row by row, cut into work items of
// about equal length; and what the backward does, column by column. No driver and no device memory here.

#include <cstdint>
#include <string>
#include <vector>

#include "ck_tile_masks/tile_schedule.hpp"
#include "fmha/mask_expr.hpp"
#include "gpu/kernel/bwd_launch.hpp"

namespace ck_fmha::gpu {

// Device memory, in bytes, that the lists of live tiles of a group may take to be kept, unless somebody asks for less.
constexpr int64_t kMostListBytes = int64_t{64} << 20;

struct FwdShape {
    int64_t batch;
    int64_t num_heads;
    int64_t seqlen_q;
    int64_t seqlen_k;
    index_t head_dim;                                     // that of the instance: 32, 64, 128 or 256
    index_t num_compute_units;                            // of the device
    ck_tile_masks::Axis axis = ck_tile_masks::Axis::rows; // cols: of the backward
    index_t heads_per_kv = 1;                             // of the backward: query heads that share a head of K and V
    index_t lanes = 64;                                   // of the device: see fwd_launch.hpp
    int64_t most_list_bytes = kMostListBytes;

    // Of a work-group of so many waves.
    ck_tile_masks::DynamicTile tile(index_t num_waves) const;
};

// One launch: the (batch, head) pairs whose masks have one structure, served by one instance.
struct FwdGroup {
    std::string structure;
    std::vector<FwdWork> work;
    std::vector<FwdMerge> merges; // of rows
    index_t num_slots = 0;        // of rows
    index_t num_stored = 0;       // codes in the list of every work item: see TileCode
    bool keeps_lists = true;      // found once, those of all items; else, if they take too much memory, in every call
    size_t items_at_once = 0;     // whose lists there are

    size_t num_codes() const { return items_at_once * static_cast<size_t>(num_stored); } // of these
};

struct FwdPlan {
    FwdShape shape{};
    index_t num_waves = 0; // of a work-group
    bool varies_by_batch = false;
    bool varies_by_head = false;
    std::vector<FwdGroup> groups;
    std::vector<int> group_of; // of each mask that differs: batch by batch if they vary, head by head if they do
    std::vector<char> images;
    std::vector<ImageAddress> addresses; // in the images; they refer to data of the mask
    // Of columns: of all groups, because heads whose masks have different structures may share a head of K and V.
    std::vector<FwdMerge> merges;
    index_t num_slots = 0;
    bool has_cut_lines = false;

    ck_tile_masks::DynamicTile tile() const { return shape.tile(num_waves); }
    // How many (batch, head) pairs a work item serves, and how many of them are heads.
    index_t num_shared() const;
    index_t shared_heads() const;
    index_t merge_heads() const; // see BwdArgs
    // Of the partial results of a group.
    int64_t num_partial_rows(const FwdGroup& group) const;
    // 32-bit numbers of the workspace, which the groups use one after the other: partial results, then ...
    int64_t workspace_size(int64_t head_dim_v) const { return partial_size(head_dim_v) + num_codes_of_call(); }
    int64_t partial_size(int64_t head_dim_v) const;
    int64_t num_codes_of_call() const; // ... lists that are found anew in every call
    // Of the backward: rows of partial dK and dV.
    int64_t num_partial_keys() const;
    const FwdGroup& group_at(int64_t batch, int64_t head) const;
};

// The head_dim of the instance that serves a call: the smallest one that holds both.
index_t instance_head_dim(int64_t head_dim, int64_t head_dim_v);

// Throws std::invalid_argument if a line has more than kMostTiles tiles, or the call more partial results than 2^31
// rows.
// @pre the mask's counts fit the call (MaskExpr::check_counts); batch, num_heads and seqlen_q are not 0
// @post every live tile of every (batch, head) is in one work item; pieces of a cut row have slots, in their order; so
//       have those of columns, all of them where query heads share a head of K and V
// @post the same for the same arguments, whenever and wherever it is called
FwdPlan make_fwd_plan(const MaskExpr& mask, const FwdShape& shape);

} // namespace ck_fmha::gpu
