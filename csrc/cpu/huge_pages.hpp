#pragma once

#include <cstddef>
#include <cstdint>

#include "fmha/fmha_args.h"

namespace ck_fmha::cpu {

// The whole huge pages in [data, data + size).
struct HugePages {
    static constexpr uintptr_t kSize = uintptr_t{2} << 20;
    uintptr_t begin, end;

    HugePages(const void* data, size_t size)
        : begin((reinterpret_cast<uintptr_t>(data) + kSize - 1) / kSize * kSize),
          end((reinterpret_cast<uintptr_t>(data) + size) / kSize * kSize)
    {
    }
    size_t size() const { return end > begin ? end - begin : 0; }
};

// Memory that nobody has written yet the system hands out page by page as it is written, 4 KiB at a time unless it is
// told that more is wanted. At seqlen 32,768 that takes a tenth of a forward and backward of Big Bird. Only advice, and
// none for what is small.
void want_huge_pages(void* data, size_t size);
// For an output (batch, heads, seqlen, columns) in any layout.
void want_huge_pages(const ck_fmha_tensor& output, int64_t batch, int64_t heads, int64_t seqlen, int64_t columns,
                     int32_t dtype);

} // namespace ck_fmha::cpu
