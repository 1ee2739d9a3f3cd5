#pragma once

#include <cstddef>

#include "cpu/tile_kernels.hpp"
#include "fmha/fmha_args.h"

namespace ck_fmha::cpu {

// The dtype whose numbers need no conversion to be computed with.
template <class Real>
inline constexpr int32_t kOwnDtype = sizeof(Real) == sizeof(double) ? CK_FMHA_FLOAT64 : CK_FMHA_FLOAT32;

inline constexpr ptrdiff_t element_size(int32_t dtype)
{
    return dtype == CK_FMHA_FLOAT64 ? 8 : dtype == CK_FMHA_FLOAT32 ? 4 : 2;
}

// A tensor with what its strides do not tell.
struct Source {
    ck_fmha_tensor tensor;
    int32_t dtype;
    int columns; // numbers of a row
};

// Rows of one (batch, head) of a tensor in its own dtype, read and written as `Real`.
template <class Real>
class TensorRows {
public:
    TensorRows(const Source& source, int64_t batch, int64_t head)
        : dtype_(source.dtype),
          columns_(source.columns),
          stride_(source.tensor.stride_seq),
          data_(static_cast<char*>(source.tensor.data) +
                element_size(dtype_) * (batch * source.tensor.stride_batch + head * source.tensor.stride_head))
    {
    }

    TensorRows from(int64_t row) const
    {
        TensorRows rows = *this;
        rows.data_ += element_size(dtype_) * row * stride_;
        return rows;
    }

    struct Staged {
        const Real* data;
        ptrdiff_t ld;
    };

    // The first `rows` rows as `Real`: in place if they are such, else copied to `buffer` (rows, padded_head_dim). Rows
    // a multiple of 2 KiB apart are copied as well: they would meet in one cache set.
    Staged stage(const TileKernels<Real>& kernels, int rows, Real* buffer) const
    {
        if (dtype_ == kOwnDtype<Real> && stride_ * element_size(dtype_) % 2048 != 0) return {own(), stride_};
        return copy(kernels, rows, buffer);
    }
    // As above, each row filled up with zeros to whole vectors.
    Staged stage_padded(const TileKernels<Real>& kernels, int rows, Real* buffer) const
    {
        if (columns_ == padded_head_dim(columns_)) return stage(kernels, rows, buffer);
        return copy(kernels, rows, buffer);
    }

    // Where results of type `Real` may be written directly, else null.
    Real* own() const { return dtype_ == kOwnDtype<Real> ? reinterpret_cast<Real*>(data_) : nullptr; }
    ptrdiff_t stride() const { return stride_; }

    void write(const TileKernels<Real>& kernels, const Real* src, int ld_src, int rows) const
    {
        kernels.store_rows[dtype_](src, ld_src, rows, columns_, data_, stride_);
    }

private:
    Staged copy(const TileKernels<Real>& kernels, int rows, Real* buffer) const
    {
        const int ld = padded_head_dim(columns_);
        kernels.load_rows[dtype_](data_, stride_, rows, columns_, buffer, ld);
        return {buffer, ld};
    }

    int32_t dtype_;
    int columns_;
    int64_t stride_;
    char* data_;
};

} // namespace ck_fmha::cpu
