#pragma once

#include "gpu/tile/mma_m16n8k16.hpp"
#include "gpu/tile/swizzle.hpp"

// Tiles of Q, K and V in shared memory: a row for each query or key, along it the dimensions in pieces of 16 bytes.
// Rows are as long as they are, without padding; piece c of row r lies at place c xor f(r), so that the 8 rows of one
// matrix that ldmatrix reads meet different banks. ldmatrix reads four 8 x 8 matrices at once and gives lane l row
// l / 4, columns 2 (l mod 4) + {0, 1} of each; transposed, column l / 4 and those rows.

namespace ck_fmha::gpu {

template <index_t kHeadDim>
struct SharedRows {
    static constexpr index_t kRowBytes = 2 * kHeadDim;
    using Swizzle = gpu::Swizzle<kHeadDim / 8>;
    // Rows whose swizzle is the same: a constant number of them away lies a constant number of bytes away.
    static constexpr index_t kPeriod = 8;

    CK_FMHA_DEVICE static index_t place(index_t row, index_t piece)
    {
        constexpr index_t kCycle = Swizzle::kCycle;
        const index_t within = (piece % kCycle) ^ Swizzle::template of_row<false>(row);
        return row * kRowBytes + (piece / kCycle * kCycle + within) * 16;
    }
};

// Where a lane finds its row of one of ldmatrix's four matrices: `row` is its row in the first of the tile's blocks and
// `half` whether its matrix is the first or second half of a chunk of 16 dimensions.
template <index_t kHeadDim>
class MatrixRows {
    using Rows = SharedRows<kHeadDim>;

public:
    CK_FMHA_DEVICE MatrixRows(SharedMemory tile, index_t row, index_t half)
        : address_(tile.address() + static_cast<unsigned>(Rows::place(row, half)))
    {
    }
    // These many chunks differ in the swizzled part of a piece's number.
    static constexpr index_t kChunksOfSwizzle = Rows::Swizzle::kCycle / 2;
    // The same rows from dimension 16 n on, n < kChunksOfSwizzle; only chunks that are multiples of that are left.
    CK_FMHA_DEVICE MatrixRows from_chunk(index_t n) const
    {
        MatrixRows rows = *this;
        rows.address_ ^= static_cast<unsigned>(32 * n);
        return rows;
    }
    // Four matrices from row kRow and dimension 16 kChunk on.
    template <index_t kRow, index_t kChunk>
    CK_FMHA_DEVICE Dword4 load() const
    {
        Dword4 x;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                     : "r"(address<kRow, kChunk>()));
        return x;
    }
    template <index_t kRow, index_t kChunk>
    CK_FMHA_DEVICE Dword4 load_transposed() const
    {
        Dword4 x;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                     : "r"(address<kRow, kChunk>()));
        return x;
    }

private:
    // The tile begins at a multiple of 128 bytes: the piece's number, 2 kChunk + half, is xored where it stands.
    template <index_t kRow, index_t kChunk>
    CK_FMHA_DEVICE unsigned address() const
    {
        static_assert(kRow % Rows::kPeriod == 0, "ck_fmha: rows with another swizzle");
        constexpr index_t kCycle = Rows::Swizzle::kCycle;
        constexpr index_t kWithin = 2 * kChunk % kCycle, kBeyond = 2 * kChunk / kCycle * kCycle;
        return (address_ ^ (16 * kWithin)) + (kRow * Rows::kRowBytes + 16 * kBeyond);
    }
    unsigned address_;
};

// Q as the operand A of S.
template <index_t kHeadDim>
class SharedQueries {
public:
    CK_FMHA_DEVICE SharedQueries from_chunk(index_t n) const
    {
        SharedQueries x = *this;
        x.rows_ = rows_.from_chunk(n);
        return x;
    }
    CK_FMHA_DEVICE explicit SharedQueries(SharedMemory tile) : SharedQueries(tile, lane_index()) {}
    template <index_t kRowBlock, index_t kChunk>
    CK_FMHA_DEVICE MmaA operand() const
    {
        return rows_.template load<16 * kRowBlock, kChunk>();
    }

private:
    CK_FMHA_DEVICE SharedQueries(SharedMemory tile, index_t lane) : rows_(tile, lane % 16, lane / 16) {}
    MatrixRows<kHeadDim> rows_;
};

// K as the operand B of S.
template <index_t kHeadDim>
class SharedKeys {
public:
    static constexpr index_t kChunksOfSwizzle = MatrixRows<kHeadDim>::kChunksOfSwizzle;
    CK_FMHA_DEVICE SharedKeys from_chunk(index_t n) const
    {
        SharedKeys x = *this;
        x.rows_ = rows_.from_chunk(n);
        return x;
    }
    CK_FMHA_DEVICE explicit SharedKeys(SharedMemory tile) : SharedKeys(tile, lane_index()) {}
    // Keys 16 kPair .. + 15, dimensions 16 kChunk .. + 15: the operands of two blocks of 8 keys.
    template <index_t kPair, index_t kChunk>
    CK_FMHA_DEVICE Dword4 operands() const
    {
        return rows_.template load<16 * kPair, kChunk>();
    }

private:
    CK_FMHA_DEVICE SharedKeys(SharedMemory tile, index_t lane) : rows_(tile, lane / 16 * 8 + lane % 8, lane / 8 % 2) {}
    MatrixRows<kHeadDim> rows_;
};

// V as the operand B of O.
template <index_t kHeadDim>
class SharedValues {
public:
    CK_FMHA_DEVICE explicit SharedValues(SharedMemory tile) : SharedValues(tile, lane_index()) {}
    // Dimensions 16 kPair .. + 15, keys 16 kChunk .. + 15: the operands of two blocks of 8 dimensions.
    template <index_t kPair, index_t kChunk>
    CK_FMHA_DEVICE Dword4 operands() const
    {
        return rows_.template load_transposed<16 * kChunk, kPair>();
    }

private:
    CK_FMHA_DEVICE SharedValues(SharedMemory tile, index_t lane) : rows_(tile, lane % 16, lane / 16) {}
    MatrixRows<kHeadDim> rows_;
};

} // namespace ck_fmha::gpu
