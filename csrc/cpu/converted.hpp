#pragma once

#include "ck_tile_masks/interval.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

// A tensor of 16-bit numbers converted once a call, for rows that many tiles read: O(seqlen) memory instead of a
// conversion for each tile. What is not converted is read as it lies.
template <class Real>
class Converted {
public:
    Converted(const Source& source, int64_t batch, int64_t heads, int64_t seqlen, bool wanted)
        : source_(source), heads_(heads), seqlen_(seqlen), num_rows_(batch * heads * seqlen)
    {
        convert_ = wanted && source.dtype != kOwnDtype<Real> && num_rows_ > 0;
    }

    void lay_out(Arena& arena)
    {
        if (convert_) data_ = arena.take<Real>(static_cast<size_t>(num_rows_) * ld());
    }
    bool converts() const { return convert_; }
    // Converts some rows of one (batch, head).
    void convert(const TileKernels<Real>& kernels, int64_t batch, int64_t head, ck_tile_masks::Interval rows) const
    {
        if (!convert_) return;
        TensorRows<Real>(source_, batch, head)
            .from(rows.begin)
            .stage(kernels, rows.size(), data_ + ((batch * heads_ + head) * seqlen_ + rows.begin) * ld());
    }

    Source source() const
    {
        if (!convert_) return source_;
        return {{data_, heads_ * seqlen_ * ld(), seqlen_ * ld(), ld()}, kOwnDtype<Real>, static_cast<int>(ld())};
    }

private:
    int64_t ld() const { return padded_head_dim(source_.columns); }

    Source source_;
    int64_t heads_, seqlen_, num_rows_;
    bool convert_;
    Real* data_ = nullptr;
};

} // namespace ck_fmha::cpu
