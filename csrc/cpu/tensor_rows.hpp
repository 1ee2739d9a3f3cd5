#pragma once

#include "cpu/tile_kernels.hpp"
#include "fmha/fmha_args.h"

namespace ck_fmha::cpu {

// Rows of one (batch, head) of a tensor in its own dtype, read and written as float32.
class TensorRows {
public:
    TensorRows(const ck_fmha_tensor& t, int32_t dtype, int64_t batch, int64_t head, int head_dim)
        : dtype_(dtype), stride_(t.stride_seq), head_dim_(head_dim), data_(t.data)
    {
        advance(batch * t.stride_batch + head * t.stride_head);
    }

    TensorRows from(int64_t row) const
    {
        TensorRows rows = *this;
        rows.advance(row * stride_);
        return rows;
    }

    struct Staged {
        const float* data;
        ptrdiff_t ld;
    };

    // The first `rows` rows as float32 with head_dim padded by zeros to whole vectors: in place where they already lie
    // so, packed, in memory; else copied to `buffer` (rows, padded_head_dim). Packed copies also keep strides of 4 KiB
    // from meeting in one cache set.
    Staged stage(const TileKernels& kernels, int rows, float* buffer) const
    {
        const int ld = padded_head_dim(head_dim_);
        if (dtype_ == CK_FMHA_FLOAT32) {
            const float* src = static_cast<const float*>(data_);
            if (stride_ == ld && head_dim_ == ld) return {src, ld};
            kernels.load_rows_f32(src, stride_, rows, head_dim_, buffer, ld);
        } else {
            kernels.load_rows_bf16(static_cast<const uint16_t*>(data_), stride_, rows, head_dim_, buffer, ld);
        }
        return {buffer, ld};
    }

    // Where float32 results may be written directly, else null.
    float* float_rows() const { return dtype_ == CK_FMHA_FLOAT32 ? static_cast<float*>(data_) : nullptr; }
    ptrdiff_t stride() const { return stride_; }

    // Writes `rows` rows; `src` may be anything float32.
    void write(const TileKernels& kernels, const float* src, int ld_src, int rows) const
    {
        if (dtype_ == CK_FMHA_FLOAT32)
            kernels.store_rows_f32(src, ld_src, rows, head_dim_, static_cast<float*>(data_), stride_);
        else
            kernels.store_rows_bf16(src, ld_src, rows, head_dim_, static_cast<uint16_t*>(data_), stride_);
    }

private:
    void advance(int64_t elements)
    {
        if (dtype_ == CK_FMHA_FLOAT32)
            data_ = static_cast<float*>(data_) + elements;
        else
            data_ = static_cast<uint16_t*>(data_) + elements;
    }

    int32_t dtype_;
    int64_t stride_;
    int head_dim_;
    void* data_;
};

} // namespace ck_fmha::cpu
