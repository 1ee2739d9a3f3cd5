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
    static constexpr bool kForWarpgroups = false; // ldmatrix reads them

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
    // The same for any n, a multiple of a power of two above all numbers of chunks that follow.
    CK_FMHA_DEVICE MatrixRows from_any_chunk(index_t n) const
    {
        MatrixRows rows = from_chunk(n % kChunksOfSwizzle);
        rows.address_ += static_cast<unsigned>(n / kChunksOfSwizzle * kChunksOfSwizzle * 32);
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

    // The other way round.
    template <index_t kRow, index_t kChunk>
    CK_FMHA_DEVICE void store(const Dword4& x) const
    {
#if __CUDA_ARCH__ >= 900
        asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address<kRow, kChunk>()),
                     "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3])
                     : "memory");
#else
        // Dword n of a lane is of row l / 4 of matrix n, whose address lane 8 n + l / 4 has.
        unroll<4>([&](auto n) {
            const unsigned row = from_lane(address<kRow, kChunk>(), 8 * n + lane_index() / 4);
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(row + lane_index() % 4 * 4), "r"(x[n]) : "memory");
        });
#endif
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

// Q as the operand A of S (backward: K and V of S^T and dP^T, P^T and dS^T of dV and dK).
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
    template <index_t kRowBlock, index_t kChunk>
    CK_FMHA_DEVICE void store(const MmaA& x) const
    {
        rows_.template store<16 * kRowBlock, kChunk>(x);
    }

private:
    CK_FMHA_DEVICE SharedQueries(SharedMemory tile, index_t lane) : rows_(tile, lane % 16, lane / 16) {}
    MatrixRows<kHeadDim> rows_;
};

// K as the operand B of S (backward: Q and dO of S^T and dP^T).
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
    // The transposed tile as an operand A: of columns 16 kColumnBlock .. + 15, rows 16 kChunk .. + 15 (backward: dS of
    // dQ, from dS^T).
    template <index_t kColumnBlock, index_t kChunk>
    CK_FMHA_DEVICE MmaA operand_of_columns() const
    {
        return rows_.template load_transposed<16 * kChunk, kColumnBlock>();
    }

private:
    CK_FMHA_DEVICE SharedKeys(SharedMemory tile, index_t lane) : rows_(tile, lane / 16 * 8 + lane % 8, lane / 8 % 2) {}
    MatrixRows<kHeadDim> rows_;
};

// V as the operand B of O (backward: dO of dV, Q of dK, K of dQ).
template <index_t kHeadDim>
class SharedValues {
public:
    CK_FMHA_DEVICE explicit SharedValues(SharedMemory tile) : SharedValues(tile, lane_index()) {}
    // The same rows from dimension 16 n on; n is a multiple of a power of two above all numbers of pairs that follow.
    CK_FMHA_DEVICE SharedValues from_dims(index_t n) const
    {
        SharedValues x = *this;
        x.rows_ = rows_.from_any_chunk(n);
        return x;
    }
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
