#pragma once

// What a kernel may access, for drivers that check it: the elements of a tensor without the gaps between its rows, or
// an array.

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
