#pragma once

// What a kernel may access, for drivers that check it: the elements of a tensor without the gaps between its rows, or
// an array.

#include <vector>

#include "fmha/fmha_args.h"
#include "gpu/kernel/fwd_args.hpp"
#include "gpu/runtime/driver.hpp"

namespace ck_fmha::gpu {

inline Extent array(const char* name, const void* data, size_t element_size, int64_t count)
{
    Extent e{data, element_size, {count}, {static_cast<int64_t>(element_size)}, 1, 0, name};
    return e;
}
inline Extent tensor(const char* name, const gpu::Tensor& t, int64_t batch, int64_t heads, int64_t seqlen,
                     int64_t head_dim)
{
    constexpr int64_t size = 2;
    return {t.data,
            size,
            {batch, heads, seqlen, head_dim},
            {t.stride_batch * size, t.stride_head * size, t.stride_seq * size, size},
            4,
            0,
            name};
}
inline Extent scores(const char* name, const gpu::ScoresTensor& t, int64_t size, const ck_fmha_problem& p)
{
    return {t.data,
            static_cast<uint64_t>(size),
            {p.batch, p.num_heads, p.seqlen_q, p.seqlen_k},
            {t.stride_batch * size, t.stride_head * size, t.stride_q * size, t.stride_k * size},
            4,
            0,
            name};
}
// What kernels read of a call besides its tensors.
inline void add_extras(std::vector<Extent>& extents, const ck_fmha_problem& p, const gpu::ExtrasArgs& a)
{
    const auto read = [&](const Extent& e) {
        extents.push_back(e);
        extents.back().access = kRead;
    };
    const ck_fmha_extras& e = p.extras;
    const auto read_scores = [&](const char* name, const gpu::ScoresTensor& t, int64_t size) {
        if (t.data != nullptr) read(scores(name, t, size, p));
    };
    read_scores("bias", a.bias, e.bias_dtype == CK_FMHA_FLOAT32 ? 4 : 2);
    read_scores("attended", a.attended, 1);
    if (e.alibi_slopes != nullptr)
        read(array("alibi_slopes", e.alibi_slopes, 4, (p.batch - 1) * e.alibi_stride_batch + p.num_heads));
}
inline Extent to_read(Extent e)
{
    e.access = kRead;
    return e;
}
inline Extent to_write(Extent e)
{
    e.access = kWrite;
    return e;
}
inline Extent to_add(Extent e)
{
    e.access = kRead | kWrite;
    return e;
}

} // namespace ck_fmha::gpu
