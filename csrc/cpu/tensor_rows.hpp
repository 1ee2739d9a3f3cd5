#pragma once

#include <cstddef>

#include "ck_tile_masks/interval.hpp"
#include "cpu/tile_kernels.hpp"
#include "fmha/fmha_args.h"

namespace ck_fmha::cpu {

// The dtype whose numbers need no conversion to be computed with; -1: none.
template <class Operand>
inline constexpr int32_t kOwnDtype = kParts<Operand> > 1                 ? -1
                                     : kPack<Operand> == 2               ? CK_FMHA_BFLOAT16
                                     : sizeof(Operand) == sizeof(double) ? CK_FMHA_FLOAT64
                                                                         : CK_FMHA_FLOAT32;

// Which neighbours make an operand, where these are pairs: numbers of a row, or those of two rows in one column; the
// latter also in tiles of kTileK rows that are transposed, (columns, packed kTileK).
enum class Pairing { columns, rows, rows_transposed };

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

// Rows of one (batch, head) of a tensor in its own dtype, read as operands; results are written as `Real`.
template <class Operand>
class TensorRows {
    using Real = RealOf<Operand>;

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
        const Operand* data;
        ptrdiff_t ld;
    };

    // The first `rows` rows as operands: in place if they are such, else copied to `buffer` (rows, packed_head_dim).
    // Rows a multiple of 2 KiB apart are copied as well: they would meet in one cache set.
    Staged stage(const TileKernels<Operand>& kernels, int rows, Operand* buffer) const
    {
        const bool whole_operands = stride_ % kPack<Operand> == 0 && columns_ % kPack<Operand> == 0;
        if (dtype_ == kOwnDtype<Operand> && whole_operands && stride_ * element_size(dtype_) % 2048 != 0)
            return {reinterpret_cast<const Operand*>(data_), stride_ / kPack<Operand>};
        return copy(kernels, rows, buffer);
    }
    // As above, each row filled up with zeros to whole vectors.
    Staged stage_padded(const TileKernels<Operand>& kernels, int rows, Operand* buffer) const
    {
        if (columns_ == padded_head_dim(columns_)) return stage(kernels, rows, buffer);
        return copy(kernels, rows, buffer);
    }
    // The first `rows` rows, from an even one on, in pairs of rows; single numbers as `stage`, or as `stage_padded`.
    Staged stage_rows(const TileKernels<Operand>& kernels, int rows, Operand* buffer, bool padded) const
    {
        if constexpr (kPack<Operand> == 1) {
            return padded ? stage_padded(kernels, rows, buffer) : stage(kernels, rows, buffer);
        } else {
            const int ld = padded_head_dim(columns_);
            kernels.pair_rows(data_, stride_, rows, columns_, buffer, ld);
            return {buffer, ld};
        }
    }

    // The first `rows` rows of a tile, in pairs of rows and transposed; single numbers as `stage`.
    Staged stage_transposed(const TileKernels<Operand>& kernels, int rows, Operand* buffer) const
    {
        if constexpr (kPack<Operand> == 1) {
            return stage(kernels, rows, buffer);
        } else {
            constexpr int kLd = packed<Operand>(kTileK);
            kernels.pair_rows_transposed(data_, stride_, rows, columns_, buffer);
            return {buffer, kLd};
        }
    }

    // Can the first `rows` rows be operands? Numbers that are not split always can.
    bool can_split(const TileKernels<Operand>& kernels, int rows) const
    {
        if constexpr (kParts<Operand> > 1) return kernels.can_split(data_, stride_, rows, columns_);
        return true;
    }

    // Some of these rows as they lie, to be brought near.
    NextRows soon(ck_tile_masks::Interval rows) const
    {
        const ptrdiff_t size = element_size(dtype_);
        return {from(rows.begin).data_, size * stride_, static_cast<int>(size) * columns_, rows.size()};
    }

    // Where results of type `Real` may be written directly, else null.
    Real* own() const { return dtype_ == kOwnDtype<Real> ? reinterpret_cast<Real*>(data_) : nullptr; }
    ptrdiff_t stride() const { return stride_; }

    void write(const TileKernels<Real>& kernels, const Real* src, int ld_src, int rows) const
    {
        kernels.store_rows[dtype_](src, ld_src, rows, columns_, data_, stride_);
    }

private:
    Staged copy(const TileKernels<Operand>& kernels, int rows, Operand* buffer) const
    {
        const int ld = packed_head_dim<Operand>(columns_);
        kernels.load_rows[dtype_](data_, stride_, rows, columns_, buffer, ld);
        return {buffer, ld};
    }

    int32_t dtype_;
    int columns_;
    int64_t stride_;
    char* data_;
};

} // namespace ck_fmha::cpu
