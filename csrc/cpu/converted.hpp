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
    Converted(const Source& source, int64_t batch, int64_t heads, int64_t seqlen, bool wanted)
        : source_(source), heads_(heads), num_heads_(batch * heads), num_rows_(packed<Operand>(seqlen))
    {
        const bool are_operands = kPack<Operand> == 1 && source.dtype == kOwnDtype<Operand>;
        convert_ = wanted && !are_operands && num_heads_ * num_rows_ > 0;
    }

    void lay_out(Arena& arena)
    {
        if (convert_) data_ = arena.take<Operand>(static_cast<size_t>(num_heads_ * num_rows_) * ld());
    }
    bool converts() const { return convert_; }
    // Converts some rows of one (batch, head), from an even one on.
    void convert(const TileKernels<Operand>& kernels, int64_t batch, int64_t head, ck_tile_masks::Interval rows) const
    {
        if (!convert_) return;
        const int64_t first = (batch * heads_ + head) * num_rows_ + rows.begin / kPack<Operand>;
        TensorRows<Operand>(source_, batch, head)
            .from(rows.begin)
            .stage_rows(kernels, rows.size(), data_ + first * ld(), true);
    }

    Source source() const
    {
        if (!convert_) return source_;
        // Strides count numbers; a row of operands holds kPack of them.
        const int64_t head = num_rows_ * ld() * kPack<Operand>;
        return {{data_, heads_ * head, head, ld()}, kOwnDtype<Operand>, static_cast<int>(ld()), Pairing::rows};
    }

private:
    int64_t ld() const { return padded_head_dim(source_.columns); }

    Source source_;
    int64_t heads_, num_heads_;
    int64_t num_rows_; // of operands, per head
    bool convert_;
    Operand* data_ = nullptr;
};

} // namespace ck_fmha::cpu
