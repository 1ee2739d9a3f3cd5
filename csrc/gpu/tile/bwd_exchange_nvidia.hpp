#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/tile/copy_nvidia.hpp"
#include "gpu/tile/dq_sums_nvidia.hpp"

// What the warps of the backward give each other: P and dS of a tile in shared memory, and dQ, which needs dS of all
// of them.

namespace ck_fmha::gpu {

// Which keys and queries of a tile a warp computes scores of.
template <index_t kHeadDim, index_t kThreads>
struct BwdPart {
    static constexpr index_t kTileQ = bwd_tile_q(kWaveSize);
    static constexpr index_t kTileK = bwd_tile_k(kHeadDim, kThreads);
    static constexpr index_t kWarps = kThreads / kWaveSize;
    static constexpr index_t kBands = bwd_bands(kHeadDim, kThreads);
    static constexpr index_t kShare = kWarps / kBands;   // warps of a band
    static constexpr index_t kQueries = kTileQ / kShare; // of each

    CK_FMHA_DEVICE static index_t warp() { return thread_index() / kWaveSize; }
    CK_FMHA_DEVICE static index_t band() { return warp() / kShare; }
    CK_FMHA_DEVICE static index_t of_warp() { return warp() % kShare; }
    CK_FMHA_DEVICE static index_t first_query() { return of_warp() * kQueries; }
};

// P^T or dS^T of a warp as the operand A.
template <class Part>
struct BwdOperand {
    MmaA chunk[kBwdKeysPerBand / MmaAtom::kRows][Part::kQueries / MmaAtom::kDepth];
};

// P^T and dS^T of all warps: a row for each key, along it the queries.
template <class Part>
class BwdExchange {
    using Rows = SharedQueries<Part::kTileQ>;
    using Operand = BwdOperand<Part>;
    static constexpr index_t kRowBytes = 2 * Part::kTileQ;
    static constexpr index_t kKeyBlocks = kBwdKeysPerBand / MmaAtom::kRows;
    static constexpr index_t kQueryChunks = Part::kQueries / MmaAtom::kDepth;

public:
    static constexpr index_t kMatrixBytes = Part::kTileK * kRowBytes;
    static constexpr index_t kBytes = 2 * kMatrixBytes;
    // The gradients of K and V need them, not dQ alone: they wait for a barrier.
    static constexpr bool kForGradients = true;
    static constexpr bool kBeforeGradients = true;

    CK_FMHA_DEVICE explicit BwdExchange(SharedMemory memory) : memory_(memory) {}
    CK_FMHA_DEVICE SharedMemory p() const { return memory_; }
    CK_FMHA_DEVICE SharedMemory ds() const { return memory_ + kMatrixBytes; }

    CK_FMHA_DEVICE void store(const Operand& p, const Operand& ds) const
    {
        store(p, rows(this->p(), Part::of_warp()));
        store(ds, rows(this->ds(), Part::of_warp()));
    }
    // What another warp of the band has stored.
    CK_FMHA_DEVICE static Operand load(const SharedMemory& matrix, index_t part)
    {
        const Rows from = rows(matrix, part);
        Operand x;
        unroll<kKeyBlocks>([&](auto m) {
            constexpr index_t kBlock = m;
            unroll<kQueryChunks>([&](auto c) { x.chunk[m][c] = from.template operand<kBlock, c>(); });
        });
        return x;
    }

private:
    CK_FMHA_DEVICE static Rows rows(const SharedMemory& matrix, index_t part)
    {
        return Rows(matrix + Part::band() * kBwdKeysPerBand * kRowBytes).from_chunk(part * kQueryChunks);
    }
    CK_FMHA_DEVICE static void store(const Operand& x, const Rows& to)
    {
        unroll<kKeyBlocks>([&](auto m) {
            constexpr index_t kBlock = m;
            unroll<kQueryChunks>([&](auto c) { to.template store<kBlock, c>(x.chunk[m][c]); });
        });
    }
    SharedMemory memory_;
};

// A warp's part of dQ: some queries and some dimensions, all keys.
template <class T, index_t kHeadDim, class Part>
class BwdQueryGradients : public DqSums<kHeadDim> {
    using Element = MatrixElement<T>;
    static constexpr index_t kDimWarps = kHeadDim / 16 < 4 ? kHeadDim / 16 : 4;
    static constexpr index_t kQueryWarps = Part::kWarps / kDimWarps;
    static constexpr index_t kWarpDims = kHeadDim / kDimWarps;
    static constexpr index_t kDims = kWarpDims < 32 ? kWarpDims : 32; // at once: for more there are no registers
    static constexpr index_t kRows = Part::kTileQ / kQueryWarps;
    static constexpr index_t kRowBlocks = kRows / MmaAtom::kRows;
    static constexpr index_t kChunksOfBand = kBwdKeysPerBand / MmaAtom::kDepth;

public:
    template <class Keys, class Tensors>
    CK_FMHA_DEVICE BwdQueryGradients(const Keys& keys, const Tensors& t, index_t, SharedMemory,
                                     const BwdExchange<Part>& exchange)
        : keys_(keys.column), ds_(exchange.ds()), sums_({reinterpret_cast<float*>(const_cast<char*>(t.dq.data))})
    {
    }
    // Adds what the live bands contribute to the sums of the tile's rows.
    template <class Live>
    CK_FMHA_DEVICE void add(const Live& live, index_t tile) const
    {
        unsigned bands = 0;
        unroll<Part::kBands>([&](auto n) { bands |= static_cast<unsigned>(live(static_cast<index_t>(n))) << n; });
        if constexpr (kDims == kWarpDims) {
            add(bands, tile, first_dim());
        } else {
#pragma unroll 1
            for (index_t dim = 0; dim < kWarpDims; dim += kDims)
                add(bands, tile, first_dim() + dim);
        }
    }

private:
    using Sums = MmaAcc[kRowBlocks][kDims / 8];
    // Of the live bands; dimensions from first_dim on.
    CK_FMHA_DEVICE void add(unsigned bands, index_t tile, index_t first_dim) const
    {
        const auto keys = SharedValues<kHeadDim>(keys_).from_dims(first_dim / 16);
        const auto queries = SharedKeys<Part::kTileQ>(ds_).from_chunk(first_row() / 16);
        Sums sum = {};
        unroll<Part::kBands>([&](auto band) {
            constexpr index_t kFirst = kChunksOfBand * band;
            if ((bands >> band & 1) == 0) return;
            unroll<kChunksOfBand>([&](auto n) {
                constexpr index_t kChunk = kFirst + n;
                add_products<kChunk>(sum, queries, keys);
            });
        });
        add_to_memory(sum, tile, first_dim);
    }
    CK_FMHA_DEVICE void add_to_memory(const Sums& sum, index_t tile, index_t first_dim) const
    {
        static_assert(Part::kTileQ == kBwdRowsPerGroup, "ck_fmha: sums lie in tiles of kBwdRowsPerGroup rows");
        float* const of_tile = sums_.get().first + static_cast<bits_t>(static_cast<unsigned>(tile)) * this->kTileSize;
        unroll<kRowBlocks>([&](auto m) {
            unroll<2>([&](auto half) {
                float* const to = of_tile + this->place(first_row() + 16 * m + 8 * half, first_dim);
                unroll<kDims / 16>([&](auto pair) {
                    const MmaAcc &a = sum[m][2 * pair], &b = sum[m][2 * pair + 1];
                    atomic_add(to + 128 * pair, Float4{a[2 * half], a[2 * half + 1], b[2 * half], b[2 * half + 1]});
                });
            });
        });
    }
    // Of keys 16 kChunk .. + 15.
    template <index_t kChunk>
    CK_FMHA_DEVICE static void add_products(Sums& sum, const SharedKeys<Part::kTileQ>& queries,
                                            const SharedValues<kHeadDim>& keys)
    {
        MmaA ds[kRowBlocks];
        unroll<kRowBlocks>([&](auto m) { ds[m] = queries.template operand_of_columns<m, kChunk>(); });
        unroll<kDims / 16>([&](auto pair) {
            const Dword4 k = keys.template operands<pair, kChunk>();
            unroll<kRowBlocks>([&](auto m) {
                Element::multiply_add(sum[m][2 * pair], ds[m], k[0], k[1]);
                Element::multiply_add(sum[m][2 * pair + 1], ds[m], k[2], k[3]);
            });
        });
    }

    CK_FMHA_DEVICE static index_t first_dim() { return Part::warp() % kDimWarps * kWarpDims; }
    CK_FMHA_DEVICE static index_t first_row() { return Part::warp() / kDimWarps * kRows; }

    SharedMemory keys_, ds_;
    struct Address {
        float* first;
    };
    Seldom<3, Address> sums_; // of dQ
};

} // namespace ck_fmha::gpu
