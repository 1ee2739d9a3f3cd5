#pragma once

#include "gpu/tile/bwd_exchange_nvidia.hpp"
#include "gpu/tile/bwd_query_tiles_nvidia.hpp"

// The tiles of one warp of the backward. The kShare warps of a band own its 32 keys: scores are computed transposed,
// S^T = K Q^T, by each warp for a part of the tile's queries; P^T and dS^T, rounded, are then the A of dV += P^T dO and
// dK += dS^T Q as they lie in registers. Of dV and dK each warp has a part of the dimensions, over all queries: those
// of the other warps come through shared memory, where dS goes for dQ = dS K anyway. So every operand read from shared
// memory serves 32 rows of a product, and the gradients of 128 keys fit into registers.

namespace ck_fmha::gpu {

template <class T, index_t kHeadDim, index_t kThreads>
struct MmaBwdWave {
    using Atom = MmaAtom;
    using Element = MatrixElement<T>;
    using Part = BwdPart<kHeadDim, kThreads>;
    using Exchange = BwdExchange<Part>;

    static constexpr index_t kTileQ = Part::kTileQ;
    static constexpr index_t kTileK = Part::kTileK;
    static constexpr index_t kKeys = kBwdKeysPerBand;
    static constexpr index_t kThreadsPerWave = Part::kShare * kWaveSize; // of a band
    static constexpr bool kRunAhead = false;                             // products are over when they return
    static constexpr index_t kOwnDims = kHeadDim / Part::kShare;         // of the gradients of the band's keys
    static constexpr index_t kKeyBlocks = kKeys / Atom::kRows;
    static constexpr index_t kQueryBlocks = Part::kQueries / Atom::kColumns;
    static constexpr index_t kQueryChunks = Part::kQueries / Atom::kDepth;
    static constexpr index_t kDimBlocks = kOwnDims / Atom::kColumns;
    static constexpr index_t kDimChunks = kHeadDim / Atom::kDepth;

    // The mask is then asked for the elements of a tile before its scores are computed, not after.
    static constexpr bool kScoresLeaveNoRegisters = true;

    // Scores, transposed: rows are keys.
    struct Acc {
        MmaAcc block[kKeyBlocks][kQueryBlocks];
    };
    using Scores = Acc;
    using Operand = BwdOperand<Part>; // P^T or dS^T
    struct Gradients {
        MmaAcc block[kKeyBlocks][kDimBlocks];
    };

    // K or V of the column, in shared memory; complete after the next BwdQueryTiles::receive.
    struct Keys {
        SharedMemory column;
        CK_FMHA_DEVICE SharedQueries<kHeadDim> of_band() const
        {
            return SharedQueries<kHeadDim>(column + Part::band() * kKeys * kRowBytes);
        }
    };
    static constexpr index_t kColumnBytes = kTileK * 2 * kHeadDim;
    CK_FMHA_DEVICE static Keys load_keys(const RowsInMemory& rows, index_t column, index_t, SharedMemory to)
    {
        TileCopy<kTileK, kHeadDim, kThreads>::load(rows, column, to);
        return {to};
    }

    // The query of the tile whose bits this lane gives to `keep`. It knows those of all keys of the band.
    CK_FMHA_DEVICE static index_t query_of_bits() { return Part::first_query() + lane_index() % Part::kQueries; }
    // What `keep` takes; ask(query of the tile): which keys of the band it attends.
    template <class Ask>
    CK_FMHA_DEVICE static unsigned find_bits(const Ask& ask)
    {
        return ask(query_of_bits());
    }
    static constexpr index_t kKeysOfBits = kKeys, kLanesOfBits = 1;
    CK_FMHA_DEVICE static index_t share_of_bits() { return 0; }
    CK_FMHA_DEVICE static bits_t exchange_bits(bits_t bits) { return bits; }
    // As in MmaWave.
    CK_FMHA_DEVICE static bool has_scores_of_its_own() { return true; }
    CK_FMHA_DEVICE static index_t first_query_of_lane() { return Part::first_query() + Atom::column_of_lane(); }
    CK_FMHA_DEVICE static index_t first_key_of_lane() { return Atom::row_of_lane(); }

    // Operands are loaded just before their products, and all steps are unrolled: the compiler then finds products of
    // other steps for the time of a load. Loaded a step ahead by hand, they cost more than they hide.
    CK_FMHA_DEVICE static void add_scores(Acc& s, const SharedMemory& queries, const Keys& keys)
    {
        const SharedKeys<kHeadDim> rows(queries + Part::first_query() * kRowBytes); // here the operand B
        const SharedQueries<kHeadDim> band = keys.of_band();
        unroll<kDimChunks>([&](auto c) {
            constexpr index_t kChunk = c;
            MmaA k[kKeyBlocks];
            unroll<kKeyBlocks>([&](auto m) { k[m] = band.template operand<m, kChunk>(); });
            unroll<kQueryBlocks / 2>([&](auto pair) {
                const Dword4 q = rows.template operands<pair, kChunk>();
                unroll<kKeyBlocks>([&](auto m) {
                    Element::multiply_add(s.block[m][2 * pair], k[m], q[0], q[1]);
                    Element::multiply_add(s.block[m][2 * pair + 1], k[m], q[2], q[3]);
                });
            });
        });
    }
    // `own`: P^T or dS^T of this warp's queries; `all`: of all, in shared memory.
    CK_FMHA_DEVICE static void add_products(Gradients& g, const SharedMemory& queries, const Operand& own,
                                            const SharedMemory& all)
    {
        add_part(g, queries, Part::of_warp(), own);
#pragma unroll 1
        for (index_t n = 1; n < Part::kShare; ++n) {
            const index_t part = (Part::of_warp() + n) % Part::kShare;
            add_part(g, queries, part, Exchange::load(all, part));
        }
    }

    // One number for each of the queries that this lane holds scores of: two of a block of 8.
    struct PerQuery {
        float of_block[kQueryBlocks][2];
    };
    // factor * s - lse
    CK_FMHA_DEVICE static void scale_and_shift(Acc& s, float factor, const PerQuery& lse)
    {
        for_each(s, [&](float& x, auto, auto b, auto e) { x = x * factor - lse.of_block[b][e % 2]; });
    }
    // Every key's score: the query's number.
    CK_FMHA_DEVICE static Acc all_keys(const PerQuery& value)
    {
        Acc s;
        for_each(s, [&](float& x, auto, auto b, auto e) { x = value.of_block[b][e % 2]; });
        return s;
    }
    CK_FMHA_DEVICE static void shift(Acc& s, const PerQuery& by)
    {
        for_each(s, [&](float& x, auto, auto b, auto e) { x -= by.of_block[b][e % 2]; });
    }
    // s * factor + summand
    CK_FMHA_DEVICE static void scale_and_add(Acc& s, float factor, float summand)
    {
        for_each(s, [&](float& x, auto, auto, auto) { x = x * factor + summand; });
    }
    // As in MmaWave.
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Acc& s, const F& f)
    {
        for_each(s, [&](float& x, auto m, auto b, auto e) {
            x = f(x, Constant<Atom::kColumns * b + e % 2>{}, Constant<Atom::kRows * m + 8 * (e / 2)>{});
        });
    }
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Acc& s, Acc& second, const F& f)
    {
        for_each(s, [&](float& x, auto m, auto b, auto e) {
            const Float2 both = f(x);
            x = both[0];
            second.block[m][b][e] = both[1];
        });
    }
    // Bit n of `bits`: key n of the band is attended by query_of_bits(); the others' scores become -inf.
    CK_FMHA_DEVICE static void keep(Acc& s, unsigned bits) { select(s, bits, -kInfinity); }
    // The same for dropout, with 0.
    CK_FMHA_DEVICE static Acc dropped(Acc s, bits_t bits)
    {
        select(s, static_cast<unsigned>(bits), 0.f);
        return s;
    }
    CK_FMHA_DEVICE static void exp2(Acc& s)
    {
        for_each(s, [&](float& x, auto, auto, auto) { x = gpu::exp2(x); });
    }
    CK_FMHA_DEVICE static void multiply(Acc& a, const Acc& b)
    {
        for_each(a, [&](float& x, auto m, auto n, auto e) { x *= b.block[m][n][e]; });
    }
    CK_FMHA_DEVICE static Operand to_operand(const Acc& x)
    {
        Operand p;
        unroll<kKeyBlocks>([&](auto m) {
            unroll<kQueryChunks>([&](auto c) {
                unroll<4>([&](auto dword) {
                    const MmaAcc& eight = x.block[m][2 * c + dword / 2];
                    p.chunk[m][c][dword] = Element::pack(eight[dword % 2 * 2], eight[dword % 2 * 2 + 1]);
                });
            });
        });
        return p;
    }

    // A lane holds four keys of the band; before for_each_quad, by all lanes: see MmaWave.
    static constexpr index_t kKeysOfLane = 2 * kKeyBlocks, kKeyStep = 8;
    CK_FMHA_DEVICE static index_t key_of_lane(index_t lane, index_t n) { return 8 * n + lane / 4; }
    CK_FMHA_DEVICE static void gather_quads(Gradients& g) { gpu::gather_quads(g.block); }
    // store(dim, four values): dimensions of the warp and of this lane's key n; dim is a multiple of 4.
    template <index_t kKeyOfLane, class Store>
    CK_FMHA_DEVICE static void for_each_quad(const Gradients& g, index_t head_dim, index_t, const Store& store)
    {
        const index_t first = Part::of_warp() * kOwnDims;
        gpu::for_each_quad<kKeyOfLane>(g.block, head_dim - first,
                                       [&](index_t dim, const Float4& x) { store(first + dim, x); });
    }

    using QueryGradients = BwdQueryGradients<T, kHeadDim, Part>;

private:
    static constexpr index_t kRowBytes = 2 * kHeadDim;

    CK_FMHA_DEVICE static void add_part(Gradients& g, const SharedMemory& queries, index_t part, const Operand& p)
    {
        const auto values = SharedValues<kHeadDim>(queries + part * Part::kQueries * kRowBytes)
                                .from_dims(Part::of_warp() * kOwnDims / 16);
        unroll<kQueryChunks>([&](auto c) {
            constexpr index_t kChunk = c;
            unroll<kDimBlocks / 2>([&](auto pair) {
                const Dword4 v = values.template operands<pair, kChunk>();
                unroll<kKeyBlocks>([&](auto m) {
                    Element::multiply_add(g.block[m][2 * pair], p.chunk[m][c], v[0], v[1]);
                    Element::multiply_add(g.block[m][2 * pair + 1], p.chunk[m][c], v[2], v[3]);
                });
            });
        });
    }
    CK_FMHA_DEVICE static void select(Acc& s, unsigned bits, float others)
    {
        unroll<kQueryBlocks>([&](auto b) {
            unroll<2>([&](auto e) {
                const unsigned mine =
                    from_lane(bits, Atom::kColumns * b + Atom::column_of_lane() + e) >> Atom::row_of_lane();
                unroll<2 * kKeyBlocks>([&](auto eight) {
                    float& x = s.block[eight / 2][b][eight % 2 * 2 + e];
                    x = (mine & (1u << (8 * eight))) != 0 ? x : others;
                });
            });
        });
    }
    // map(element, block of keys, block of queries, number of the element)
    template <class Map>
    CK_FMHA_DEVICE static void for_each(Acc& s, const Map& map)
    {
        unroll<kKeyBlocks>([&](auto m) {
            unroll<kQueryBlocks>([&](auto b) { unroll<4>([&](auto e) { map(s.block[m][b][e], m, b, e); }); });
        });
    }
};

} // namespace ck_fmha::gpu
