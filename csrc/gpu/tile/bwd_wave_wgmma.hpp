#pragma once

#include "gpu/tile/bwd_exchange_wgmma.hpp"
#include "gpu/tile/bwd_query_panels.hpp"
#include "gpu/tile/per_query.hpp"
#include "gpu/tile/quads_of_rows.hpp"

// The tiles of one warpgroup of the backward, which owns 64 keys, 16 of them in each warp. Scores are computed
// transposed, S^T = K Q^T, for all queries of a tile; P^T and dS^T, rounded, are then the A of dV += P^T dO and
// dK += dS^T Q as they lie in registers. dS^T goes to shared memory too, as the A of dQ = dS K.

namespace ck_fmha::gpu {

template <class T, index_t kHeadDim, index_t kThreads_>
struct WgmmaBwdWave {
    using Atom = MmaAtom;
    using Element = MatrixElement<T>;

    static constexpr index_t kThreads = kThreads_;
    static constexpr index_t kTileQ = bwd_tile_q(kWaveSize);
    static constexpr index_t kTileK = bwd_tile_k(kHeadDim, kThreads);
    static constexpr index_t kKeys = kBwdKeysPerBand;
    static constexpr index_t kThreadsPerWave = 2 * kWaveSize; // of a band
    static_assert(kTileK * 2 == kThreads, "ck_fmha: a warpgroup has 64 keys");
    static constexpr index_t kQueryBlocks = kTileQ / Atom::kColumns;
    static constexpr index_t kQueryChunks = kTileQ / Atom::kDepth;
    static constexpr index_t kDimChunks = kHeadDim / Atom::kDepth;

    static constexpr bool kScoresLeaveNoRegisters = true;

    // Scores, transposed: rows are keys.
    struct Acc {
        MmaAcc block[kQueryBlocks];
    };
    using Scores = Acc;
    struct Operand { // P^T or dS^T
        MmaA chunk[kQueryChunks];
    };
    struct Gradients {
        MmaAcc block[1][kHeadDim / Atom::kColumns];
    };
    using Exchange = WgmmaBwdExchange<kTileK, kTileQ>;
    using QueryGradients = WgmmaBwdQueryGradients<T, kHeadDim, kTileQ, kTileK>;
    using Queries = PanelsOperand<kTileQ, kHeadDim>;

    // K or V of the column, in shared memory; complete after the next BwdQueryPanels::receive.
    struct Keys {
        SharedMemory column;
    };
    static constexpr index_t kColumnBytes = kTileK * 2 * kHeadDim;
    CK_FMHA_DEVICE static Keys load_keys(const RowsInMemory& rows, index_t column, index_t, SharedMemory to)
    {
        TileCopy<kTileK, kHeadDim, kThreads, SharedPanels<kTileK, kHeadDim>>::load(rows, column, to);
        return {to};
    }

    // Which keys of the warp are attended, for `keep`: a lane knows those of queries l and l + 32. ask(query): bits of
    // the keys of the band.
    template <class Ask>
    CK_FMHA_DEVICE static unsigned find_bits(const Ask& ask)
    {
        const index_t first = thread_index() / kWaveSize % 2 * 16; // in the band
        const unsigned low = ask(lane_index()) >> first, high = ask(lane_index() + 32) >> first;
        return (low & 0xffffu) | high << 16;
    }

    // Products go on while the warps do something else: nobody touches a result before wait(result), or
    // wait<kLeft>(result) with so many sums begun after it.
    static constexpr bool kRunAhead = true;
    template <index_t kLeft = 0>
    CK_FMHA_DEVICE static void wait(Acc& x)
    {
        wait_for_products<kLeft>();
        hold(x.block);
    }
    CK_FMHA_DEVICE static void wait(Gradients& x)
    {
        wait_for_products();
        hold(x.block[0]);
    }

    // First those of K, then those of V.
    CK_FMHA_DEVICE static void add_both_scores(Acc& s, const Queries& q, const Keys& k, Acc& dp, const Queries& d_o,
                                               const Keys& v)
    {
        hold(s.block);
        hold(dp.block);
        begin_products();
        add_scores(s, q, k);
        add_scores(dp, d_o, v);
    }
    CK_FMHA_DEVICE static void add_scores(Acc& s, const Queries& queries, const Keys& keys)
    {
        using Product = WarpgroupProduct<T, kTileQ, false>;
        const auto rows =
            PanelsOperand<kTileK, kHeadDim>(keys.column).from_any(thread_index() / kWarpgroupSize * 64, 0);
        unroll<kDimChunks>([&](auto c) {
            Product::multiply_add(s.block, rows.template from<0, 16 * c>(), queries.template from<0, 16 * c>(), true);
        });
        end_products();
    }
    CK_FMHA_DEVICE static void add_products(Gradients& g, const Queries& queries, const Operand& own, const Exchange&)
    {
        using Product = WarpgroupProduct<T, kHeadDim, true>;
        hold(g.block[0]);
        hold(own.chunk);
        begin_products();
        unroll<kQueryChunks>(
            [&](auto c) { Product::multiply_add(g.block[0], own.chunk[c], queries.template from<16 * c, 0>(), true); });
        end_products();
    }

    // One number for each of the queries that this lane holds scores of: two of a block of 8.
    struct PerQuery {
        float of_block[kQueryBlocks][2];
    };
    // factor * s - lse
    CK_FMHA_DEVICE static void scale_and_shift(Acc& s, float factor, const PerQuery& lse)
    {
        for_each(s, [&](float& x, auto b, auto e) { x = x * factor - lse.of_block[b][e % 2]; });
    }
    // Every key's score: the query's number.
    CK_FMHA_DEVICE static Acc all_keys(const PerQuery& value)
    {
        Acc s;
        for_each(s, [&](float& x, auto b, auto e) { x = value.of_block[b][e % 2]; });
        return s;
    }
    // The scores of keys that are not attended, as find_bits says, become -inf.
    CK_FMHA_DEVICE static void keep(Acc& s, unsigned bits)
    {
        unroll<kQueryBlocks>([&](auto b) {
            unroll<2>([&](auto e) {
                const unsigned of_query = from_lane(bits, 8 * b % 32 + Atom::column_of_lane() + e);
                const unsigned mine = of_query >> (8 * b / 32 * 16 + Atom::row_of_lane());
                unroll<2>([&](auto half) {
                    float& x = s.block[b][2 * half + e];
                    x = (mine & (1u << (8 * half))) != 0 ? x : -kInfinity;
                });
            });
        });
    }
    CK_FMHA_DEVICE static void exp2(Acc& s)
    {
        for_each(s, [&](float& x, auto, auto) { x = gpu::exp2(x); });
    }
    CK_FMHA_DEVICE static void multiply(Acc& a, const Acc& b)
    {
        for_each(a, [&](float& x, auto n, auto e) { x *= b.block[n][e]; });
    }
    CK_FMHA_DEVICE static Operand to_operand(const Acc& x)
    {
        Operand p;
        unroll<kQueryChunks>([&](auto c) {
            unroll<4>([&](auto dword) {
                const MmaAcc& eight = x.block[2 * c + dword / 2];
                p.chunk[c][dword] = Element::pack(eight[dword % 2 * 2], eight[dword % 2 * 2 + 1]);
            });
        });
        return p;
    }

    // A lane holds two keys of the band; before for_each_quad, by all lanes: see MmaLayout.
    static constexpr index_t kKeysOfLane = 2;
    CK_FMHA_DEVICE static index_t key_of_lane(index_t lane, index_t n)
    {
        return thread_index() / kWaveSize % 2 * 16 + 8 * n + lane / 4;
    }
    CK_FMHA_DEVICE static void gather_quads(Gradients& g) { gpu::gather_quads(g.block); }
    // store(dim, four values): dimensions of this lane's key n; dim is a multiple of 4.
    template <index_t kKeyOfLane, class Store>
    CK_FMHA_DEVICE static void for_each_quad(const Gradients& g, index_t head_dim, index_t, const Store& store)
    {
        gpu::for_each_quad<kKeyOfLane>(g.block, head_dim, store);
    }

private:
    // map(element, block of queries, number of the element)
    template <class Map>
    CK_FMHA_DEVICE static void for_each(Acc& s, const Map& map)
    {
        unroll<kQueryBlocks>([&](auto b) { unroll<4>([&](auto e) { map(s.block[b][e], b, e); }); });
    }
};

} // namespace ck_fmha::gpu
