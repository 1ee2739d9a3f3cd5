#pragma once

#include <algorithm>

#include "cpu/parallel.hpp"
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
    void run(const TileKernels<Real>& kernels, int num_threads) const
    {
        if (!convert_) return;
        constexpr int64_t kChunk = 64;
        const int64_t chunks = (seqlen_ + kChunk - 1) / kChunk, num_items = num_rows_ / seqlen_ * chunks;
        parallel_for(std::min<int64_t>(num_threads, num_items), num_items, [&](size_t n, int) {
            const auto bh = static_cast<int64_t>(n) / chunks, row = static_cast<int64_t>(n) % chunks * kChunk;
            TensorRows<Real>(source_, bh / heads_, bh % heads_)
                .from(row)
                .stage(kernels, static_cast<int>(std::min(kChunk, seqlen_ - row)), data_ + (bh * seqlen_ + row) * ld());
        });
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
