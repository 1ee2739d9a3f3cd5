#pragma once

#include "ck_tile_masks/interval.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

// A tensor of 16-bit numbers made operands once a call, for rows that many tiles read: O(seqlen) memory instead of a
// conversion for each tile. Pairs of bfloat16 are made of rows; for pairs of columns there is nothing to do. What is
// not converted is read as it lies.
template <class Operand>
class Converted {
public:
    Converted(const Source& source, int64_t batch, int64_t heads, int64_t seqlen, bool wanted,
              Pairing pairing = Pairing::rows)
        : source_(source), pairing_(pairing), heads_(heads), num_heads_(batch * heads), seqlen_(padded(seqlen))
    {
        const bool are_operands = kPack<Operand> == 1 && source.dtype == kOwnDtype<Operand>;
        convert_ = wanted && !are_operands && num_heads_ * seqlen_ > 0;
    }

    void lay_out(Arena& arena)
    {
        if (convert_) data_ = arena.take<Operand>(static_cast<size_t>(operands_before(num_heads_ * seqlen_)));
    }
    bool converts() const { return convert_; }
    // Converts one tile of one (batch, head).
    void convert(const TileKernels<Operand>& kernels, int64_t batch, int64_t head, ck_tile_masks::Interval rows) const
    {
        if (!convert_) return;
        Operand* tile = data_ + operands_before((batch * heads_ + head) * seqlen_ + rows.begin);
        const auto from = TensorRows<Operand>(source_, batch, head).from(rows.begin);
        if (transposed())
            from.stage_transposed(kernels, rows.size(), tile);
        else
            from.stage_rows(kernels, rows.size(), tile, true);
    }

    Source source() const
    {
        if (!convert_) return source_;
        const int64_t head = seqlen_ * numbers_of_row();
        return {{data_, heads_ * head, head, numbers_of_row()}, kOwnDtype<Operand>, numbers_of_row(), pairing_};
    }

private:
    bool transposed() const { return kPack<Operand> > 1 && pairing_ == Pairing::rows_transposed; }
    // Whole tiles where these are transposed, else whole operands.
    int64_t padded(int64_t seqlen) const
    {
        const int64_t unit = transposed() ? kTileK : kPack<Operand>;
        return (seqlen + unit - 1) / unit * unit;
    }
    int numbers_of_row() const { return transposed() ? source_.columns : padded_head_dim(source_.columns); }
    int64_t operands_before(int64_t row) const { return row * numbers_of_row() / kPack<Operand>; }

    Source source_;
    Pairing pairing_;
    int64_t heads_, num_heads_;
    int64_t seqlen_; // rows of a head with what fills them up
    bool convert_;
    Operand* data_ = nullptr;
};

} // namespace ck_fmha::cpu
