#pragma once

#include "gpu/tile/mma_layout.hpp"
#include "gpu/tile/query_nvidia.hpp"

namespace ck_fmha::gpu {

// Products of single warps (mma.sync), whose operands ldmatrix reads: a wave is one warp, whose two blocks share every
// operand read from shared memory, or with head_dim 256 two warps of one block.
template <class T, index_t kTileK, index_t kHeadDim, bool kQueryInShared = fwd_query_in_shared(kHeadDim)>
struct MmaWave
    : MmaLayout<T, kTileK, kHeadDim, kFwdRowsPerWave, fwd_threads_per_wave(kWaveSize, kHeadDim) / kWaveSize> {
    using Layout =
        MmaLayout<T, kTileK, kHeadDim, kFwdRowsPerWave, fwd_threads_per_wave(kWaveSize, kHeadDim) / kWaveSize>;
    using typename Layout::Element;
    using typename Layout::Output;
    using typename Layout::Probabilities;
    using typename Layout::Scores;
    using Keys = SharedKeys<kHeadDim>;
    using Values = SharedValues<kHeadDim>;
    using Query = QueryOperands<Layout::kWarpRows, kHeadDim, kQueryInShared>;
    using Layout::first_row;
    using Layout::kDimBlocks;
    using Layout::kDimChunks;
    using Layout::kKeyBlocks;
    using Layout::kKeyChunks;
    using Layout::kRowBlocks;
    using Layout::kWarpRows;
    using Layout::kWarps;

    // Complete after the next KeyValueTiles::receive.
    CK_FMHA_DEVICE static Query load_query(const RowsInMemory& rows, index_t band, SharedMemory shared)
    {
        return Query(rows, band * kWarps + first_row() / kWarpRows, shared);
    }

    CK_FMHA_DEVICE static Scores scores(const Query& q, const Keys& keys)
    {
        Scores s = {};
        const auto& queries = q.at_hand();
        if constexpr (Query::kShared) {
            // Chunks whose addresses differ by a constant follow each other: else registers run out.
            constexpr index_t kSteps = Keys::kChunksOfSwizzle;
#pragma unroll
            for (index_t n = 0; n < kSteps; ++n) {
                const auto queries_n = queries.from_chunk(n);
                const auto keys_n = keys.from_chunk(n);
                unroll<kDimChunks / kSteps>([&](auto beyond) { add_chunk<kSteps * beyond>(s, queries_n, keys_n); });
            }
        } else {
            unroll<kDimChunks>([&](auto c) { add_chunk<c>(s, queries, keys); });
        }
        return s;
    }
    // The products of dimensions 16 kChunk .. + 15.
    template <index_t kChunk, class Queries>
    CK_FMHA_DEVICE static void add_chunk(Scores& s, const Queries& queries, const Keys& keys)
    {
        MmaA a[kRowBlocks];
        unroll<kRowBlocks>([&](auto m) { a[m] = queries.template operand<m, kChunk>(); });
        unroll<kKeyBlocks / 2>([&](auto pair) {
            const Dword4 k = keys.template operands<pair, kChunk>();
            unroll<kRowBlocks>([&](auto m) {
                Element::multiply_add(s.block[m][2 * pair], a[m], k[0], k[1]);
                Element::multiply_add(s.block[m][2 * pair + 1], a[m], k[2], k[3]);
            });
        });
    }

    CK_FMHA_DEVICE static void add_products(Output& o, const Probabilities& p, const Values& values)
    {
        unroll<kKeyChunks>([&](auto c) {
            constexpr index_t kChunk = c;
            unroll<kDimBlocks / 2>([&](auto pair) {
                const Dword4 v = values.template operands<pair, kChunk>();
                unroll<kRowBlocks>([&](auto m) {
                    Element::multiply_add(o.block[m][2 * pair], p.chunk[m][c], v[0], v[1]);
                    Element::multiply_add(o.block[m][2 * pair + 1], p.chunk[m][c], v[2], v[3]);
                });
            });
        });
    }
};

} // namespace ck_fmha::gpu
