#pragma once

// A bound mask behind virtual functions, so that the CPU back end walks any expression composed at run time without a
// compiler. MaskRef turns it back into a mask definition: the algebra and GenericAttentionMask of ck_tile_masks then
// serve run-time expressions with the code that serves compile-time ones.

#include <memory>
#include <tuple>
#include <utility>

#include "ck_tile_masks/generic_attention_mask.hpp"
#include "ck_tile_masks/tile_schedule.hpp"
#include "fmha/mask_image_writer.hpp"

namespace ck_fmha {

using ck_tile_masks::bits_t;
using ck_tile_masks::index_t;
using ck_tile_masks::Interval;

class BoundMask {
public:
    virtual ~BoundMask() = default;
    virtual bool exact() const = 0;
    virtual bool mask_func(index_t i, index_t j) const = 0;
    virtual index_t next_live_col(index_t i0, index_t i1, index_t from_j) const = 0;
    virtual index_t next_not_full_col(index_t i0, index_t i1, index_t from_j) const = 0;
    virtual index_t next_live_row(index_t j0, index_t j1, index_t from_i) const = 0;
    virtual index_t next_not_full_row(index_t j0, index_t j1, index_t from_i) const = 0;
    // Known without a walk: is a rectangle of one block, which is full if it is live? False where blocks may be
    // partial.
    virtual bool is_in_one_block(Interval rows, Interval cols) const = 0;
    virtual bits_t row_bits(index_t i, index_t j0, index_t count) const = 0;
    virtual void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const = 0;

    // Live tiles of the rows (Axis::rows) or columns of tiles [begin, end): one virtual call for all of them.
    virtual void count_live_tiles(ck_tile_masks::Axis axis, const ck_tile_masks::MaskCall& call,
                                  ck_tile_masks::DynamicTile tile, index_t begin, index_t end,
                                  index_t* counts) const = 0;

    // For kernels that are compiled for the mask.
    virtual void write_image(MaskImageWriter& writer) const = 0;
};

// Does not own what it refers to.
struct MaskRef : ck_tile_masks::MaskDefABC<MaskRef> {
    const BoundMask* mask;

    explicit MaskRef(const BoundMask& m) : mask(&m) {}

    static constexpr const char* get_name() { return "run-time mask"; }
    bool exact() const { return mask->exact(); }
    bool mask_func(index_t i, index_t j) const { return mask->mask_func(i, j); }
    index_t next_live_col(index_t i0, index_t i1, index_t from) const { return mask->next_live_col(i0, i1, from); }
    index_t next_not_full_col(index_t i0, index_t i1, index_t from) const
    {
        return mask->next_not_full_col(i0, i1, from);
    }
    index_t next_live_row(index_t j0, index_t j1, index_t from) const { return mask->next_live_row(j0, j1, from); }
    index_t next_not_full_row(index_t j0, index_t j1, index_t from) const
    {
        return mask->next_not_full_row(j0, j1, from);
    }
    bool is_in_one_block(Interval rows, Interval cols) const { return mask->is_in_one_block(rows, cols); }
    void write_image(MaskImageWriter& writer) const { mask->write_image(writer); }
    bits_t row_bits(index_t i, index_t j0, index_t count) const { return mask->row_bits(i, j0, count); }
    void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const
    {
        mask->tile_bits(i0, i1, j0, count, bits);
    }
    bool count_live_tiles_of_rows(const ck_tile_masks::TileLines& rows, index_t* counts) const
    {
        mask->count_live_tiles(ck_tile_masks::Axis::rows, {0, 0, rows.num_across, rows.num_along},
                               {rows.tile_across, rows.tile_along}, rows.begin, rows.end, counts);
        return true;
    }
    bool count_live_tiles_of_cols(const ck_tile_masks::TileLines& cols, index_t* counts) const
    {
        mask->count_live_tiles(ck_tile_masks::Axis::cols, {0, 0, cols.num_along, cols.num_across},
                               {cols.tile_along, cols.tile_across}, cols.begin, cols.end, counts);
        return true;
    }
};

// The run-time mask, bound and cut into the tiles of a kernel.
using TiledMask = ck_tile_masks::GenericAttentionMask<MaskRef>;

// Any bound definition of ck_tile_masks as a BoundMask. `Parts` keeps operands alive that the definition refers to.
template <class Bound, class... Parts>
class BoundMaskOf final : public BoundMask {
public:
    explicit BoundMaskOf(const Bound& bound, Parts... parts) : bound_(bound), parts_(std::move(parts)...) {}

    bool exact() const override { return bound_.exact(); }
    bool mask_func(index_t i, index_t j) const override { return bound_.mask_func(i, j); }
    index_t next_live_col(index_t i0, index_t i1, index_t from) const override
    {
        return bound_.next_live_col(i0, i1, from);
    }
    index_t next_not_full_col(index_t i0, index_t i1, index_t from) const override
    {
        return bound_.next_not_full_col(i0, i1, from);
    }
    index_t next_live_row(index_t j0, index_t j1, index_t from) const override
    {
        return bound_.next_live_row(j0, j1, from);
    }
    index_t next_not_full_row(index_t j0, index_t j1, index_t from) const override
    {
        return bound_.next_not_full_row(j0, j1, from);
    }
    bool is_in_one_block([[maybe_unused]] Interval rows, [[maybe_unused]] Interval cols) const override
    {
        if constexpr (ck_tile_masks::meta::detected<ck_tile_masks::contract::is_in_one_block_t, Bound>)
            return bound_.is_in_one_block(rows, cols);
        return false;
    }
    bits_t row_bits(index_t i, index_t j0, index_t count) const override
    {
        return ck_tile_masks::row_bits(bound_, i, j0, count);
    }
    void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const override
    {
        ck_tile_masks::tile_bits(bound_, i0, i1, j0, count, bits);
    }
    void write_image(MaskImageWriter& writer) const override { writer.write(bound_); }
    void count_live_tiles(ck_tile_masks::Axis axis, const ck_tile_masks::MaskCall& call,
                          ck_tile_masks::DynamicTile tile, index_t begin, index_t end, index_t* counts) const override
    {
        using ck_tile_masks::FixedTile;
        // The tile of the CPU back end as a constant: divisions become shifts.
        if (tile.y() == 64 && tile.x() == 64)
            count(ck_tile_masks::GenericAttentionMask<Bound, FixedTile<64, 64>>(bound_, call), axis, begin, end,
                  counts);
        else
            count(ck_tile_masks::GenericAttentionMask<Bound>(bound_, call, tile), axis, begin, end, counts);
    }

private:
    template <class Tiled>
    static void count(const Tiled& tiled, ck_tile_masks::Axis axis, index_t begin, index_t end, index_t* counts)
    {
        if (axis == ck_tile_masks::Axis::rows)
            tiled.num_live_tiles_in_rows(begin, end, counts);
        else
            tiled.num_live_tiles_in_cols(begin, end, counts);
    }

    Bound bound_;
    std::tuple<Parts...> parts_;
};

} // namespace ck_fmha
