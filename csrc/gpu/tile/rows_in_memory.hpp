#pragma once

#include "gpu/tile/platform.hpp"

namespace ck_fmha::gpu {

// Rows of one (batch, head) of a tensor.
struct RowsInMemory {
    const char* data;
    unsigned row_bytes; // from a row to the next
    index_t used_bytes; // of a row
    index_t num_rows;
};

} // namespace ck_fmha::gpu
