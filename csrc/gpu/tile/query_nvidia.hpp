#pragma once

#include "gpu/tile/copy_nvidia.hpp"

// A warp's kRows rows of Q as the operand A of S, for the life of the work-group: in registers, or, where those are
// full of output, in shared memory.

namespace ck_fmha::gpu {

template <index_t kRows, index_t kHeadDim, bool kInShared = fwd_query_in_shared(kHeadDim)>
class QueryOperands;

template <index_t kRows, index_t kHeadDim>
class QueryOperands<kRows, kHeadDim, false> {
public:
    static constexpr bool kShared = false;
    // Rows from kRows * block on; those past the end are zeros.
    CK_FMHA_DEVICE QueryOperands(const RowsInMemory& rows, index_t block, SharedMemory)
    {
        unroll<kRows / 16>([&](auto m) {
            unroll<2>([&](auto half) {
                const index_t row = block * kRows + 16 * m + 8 * half + MmaAtom::row_of_lane();
                const char* const from = rows.data + static_cast<bits_t>(static_cast<unsigned>(row)) * rows.row_bytes;
                unroll<kHeadDim / 8>([&](auto eight) {
                    const index_t byte = 2 * (8 * eight + MmaAtom::column_of_lane());
                    const bool inside = row < rows.num_rows && byte < rows.used_bytes;
                    operand_[m][eight / 2][half + eight % 2 * 2] =
                        inside ? *reinterpret_cast<const unsigned*>(from + byte) : 0;
                });
            });
        });
    }
    CK_FMHA_DEVICE const QueryOperands& at_hand() const { return *this; }
    template <index_t kRowBlock, index_t kChunk>
    CK_FMHA_DEVICE const MmaA& operand() const
    {
        return operand_[kRowBlock][kChunk];
    }

private:
    MmaA operand_[kRows / 16][kHeadDim / 16];
};

// Each warp copies its own rows.
template <index_t kRows, index_t kHeadDim>
class QueryOperands<kRows, kHeadDim, true> {
    using Copy = TileCopy<kRows, kHeadDim, kWaveSize>;

public:
    static constexpr bool kShared = true;
    CK_FMHA_DEVICE QueryOperands(const RowsInMemory& rows, index_t block, SharedMemory shared) : shared_(shared)
    {
        Copy::load(rows, block, of_warp());
    }
    CK_FMHA_DEVICE SharedQueries<kHeadDim> at_hand() const { return SharedQueries<kHeadDim>(of_warp()); }

private:
    CK_FMHA_DEVICE SharedMemory of_warp() const { return shared_ + thread_index() / kWaveSize * Copy::kBytes; }
    SharedMemory shared_;
};

} // namespace ck_fmha::gpu
