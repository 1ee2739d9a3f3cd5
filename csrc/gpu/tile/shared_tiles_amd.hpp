#pragma once

#include "gpu/tile/mfma_32x32x8.hpp"
#include "gpu/tile/swizzle.hpp"

// Tiles in shared memory, as the operands of the products want them: pieces of 16 bytes that a lane reads at once. Rows
// are as long as they are, without padding; instead piece c of row r lies at place c xor f(r), so that lanes that read
// (or write) one piece each of many rows meet different banks.
//
//     SharedRows        rows as in memory (K of the forward): along a row the dimensions: piece c = dimensions 8 c ..
//                       8 c + 7
//     SharedTransposed  row = dimension, along it the rows of the tile (V of the forward: the keys), in the order in
//                       which the elements of a result of the atom lie in a lane: piece c holds those of the rows
//                       16 (c / 2) + 4 (c mod 2) + {0..3, 8..11}

namespace ck_fmha::gpu {

template <index_t kTileRows, index_t kHeadDim>
class SharedRows {
public:
    static constexpr index_t kRowBytes = 2 * kHeadDim;
    static constexpr index_t kBytes = kTileRows * kRowBytes;

    // Chunks of operands are counted from `first_chunk` on; those that are read lie in one cycle of the swizzle.
    CK_FMHA_DEVICE explicit SharedRows(SharedMemory memory, unsigned first_chunk = 0) : memory_(memory)
    {
        const index_t row = lane_index() % 32, half = lane_index() / 32;
        unroll<kAddresses>([&](auto n) {
            const auto chunk =
                static_cast<index_t>(first_chunk / kAddresses * kAddresses + (first_chunk + n) % kAddresses);
            address_[n] = place(row, 2 * chunk + half);
        });
    }
    // Operands of two products: row 32 block + l mod 32, dimensions 16 chunk + 8 (l / 32) + 0..7.
    template <index_t kBlock, index_t kChunk>
    CK_FMHA_DEVICE Dword4 operand() const
    {
        constexpr index_t kBeyond = 2 * kChunk / Swizzle::kCycle * Swizzle::kCycle * 16;
        return memory_.load<Dword4>(address_[kChunk % kAddresses] + kBlock * 32 * kRowBytes + kBeyond);
    }
    CK_FMHA_DEVICE static index_t place(index_t row, index_t piece)
    {
        constexpr index_t kCycle = Swizzle::kCycle;
        const index_t within = (piece % kCycle) ^ Swizzle::template of_row<false>(row);
        return row * kRowBytes + (piece / kCycle * kCycle + within) * 16;
    }
    CK_FMHA_DEVICE SharedMemory memory() const { return memory_; }

private:
    using Swizzle = gpu::Swizzle<kHeadDim / 8>;
    static constexpr index_t kAddresses = Swizzle::kCycle / 2;
    SharedMemory memory_;
    index_t address_[kAddresses];
};

template <index_t kTileRows, index_t kHeadDim>
class SharedTransposed {
public:
    static constexpr index_t kRowBytes = 2 * kTileRows;
    static constexpr index_t kBytes = kHeadDim * kRowBytes;

    CK_FMHA_DEVICE explicit SharedTransposed(SharedMemory memory) : memory_(memory)
    {
        const index_t dim = lane_index() % 32, half = lane_index() / 32, f = Swizzle::template of_row<true>(dim);
        unroll<kAddresses>([&](auto n) { address_[n] = dim * kRowBytes + ((2 * n + half) ^ f) * 16; });
    }
    // Operands of two products: dimension 32 block + l mod 32; the rows that the lane's elements 8 chunk + 0..7 of a
    // result hold.
    template <index_t kBlock, index_t kChunk>
    CK_FMHA_DEVICE Dword4 operand() const
    {
        // 32 block is a multiple of 8: its part in f flips whole bits of the piece's number.
        constexpr index_t kFlip = 4 * kBlock % Swizzle::kCycle / 2;
        return memory_.load<Dword4>(address_[kChunk ^ kFlip] + kBlock * 32 * kRowBytes);
    }
    // The same for numbers that are known at run time only.
    CK_FMHA_DEVICE Dword4 operand_of(index_t block, index_t chunk) const
    {
        const index_t dim = block * 32 + lane_index() % 32;
        const index_t piece = (2 * chunk + lane_index() / 32) ^ Swizzle::template of_row<true>(dim);
        return memory_.load<Dword4>(dim * kRowBytes + piece * 16);
    }
    // Where four rows from 4 * quad on of one dimension lie (8 bytes).
    CK_FMHA_DEVICE static index_t place(index_t dim, index_t quad)
    {
        const index_t piece = quad / 4 * 2 + quad % 2;
        return dim * kRowBytes + (piece ^ Swizzle::template of_row<true>(dim)) * 16 + quad / 2 % 2 * 8;
    }
    CK_FMHA_DEVICE SharedMemory memory() const { return memory_; }

private:
    using Swizzle = gpu::Swizzle<kTileRows / 8>;
    static constexpr index_t kAddresses = Swizzle::kCycle / 2;
    static_assert(kAddresses == kTileRows / 16, "ck_fmha: a transposed tile has at most 64 rows");
    SharedMemory memory_;
    index_t address_[kAddresses];
};

} // namespace ck_fmha::gpu
