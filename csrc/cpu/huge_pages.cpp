#include "cpu/huge_pages.hpp"

#include "cpu/tensor_rows.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ck_fmha::cpu {

void want_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t size)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const HugePages pages(data, size);
    // Refused by systems without huge pages, which is as well.
    if (pages.size() > 0) static_cast<void>(madvise(reinterpret_cast<void*>(pages.begin), pages.size(), MADV_HUGEPAGE));
#endif
}

void want_huge_pages([[maybe_unused]] const ck_fmha_tensor& output, [[maybe_unused]] int64_t batch,
                     [[maybe_unused]] int64_t heads, [[maybe_unused]] int64_t seqlen, [[maybe_unused]] int64_t columns,
                     [[maybe_unused]] int32_t dtype)
{
    if (!output.data || batch * heads * seqlen * columns == 0) return;
    const int64_t last = (batch - 1) * output.stride_batch + (heads - 1) * output.stride_head +
                         (seqlen - 1) * output.stride_seq + columns;
    want_huge_pages(output.data, static_cast<size_t>(last * element_size(dtype)));
}

} // namespace ck_fmha::cpu
