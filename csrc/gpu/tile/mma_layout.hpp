#pragma once

#include "gpu/kernel/fwd_launch.hpp"
#include "gpu/tile/per_query.hpp"
#include "gpu/tile/quads_of_rows.hpp"

// The scores and the output of one wave as they lie in registers, and all that is done with them there; products are
// added by MmaWave and WgmmaWave. A wave holds kRows queries in blocks of 16 kWarps, of which each of its warps has 16
// rows. A lane holds scores of two queries of each block, and four lanes share them.

namespace ck_fmha::gpu {

template <class T, index_t kTileK, index_t kHeadDim, index_t kRows_, index_t kWarps_>
struct MmaLayout {
    using Atom = MmaAtom;
    using Element = MatrixElement<T>;

    static constexpr index_t kRows = kRows_;
    static constexpr index_t kWarps = kWarps_;
    static constexpr index_t kBlockRows = kWarps * Atom::kRows;
    static constexpr index_t kRowBlocks = kRows / kBlockRows;
    static constexpr index_t kWarpRows = kRowBlocks * Atom::kRows;
    static constexpr index_t kKeyBlocks = kTileK / Atom::kColumns;
    static constexpr index_t kDimBlocks = kHeadDim / Atom::kColumns;
    static constexpr index_t kDimChunks = kHeadDim / Atom::kDepth;
    static constexpr index_t kKeyChunks = kTileK / Atom::kDepth;

    // The mask is then asked for the elements of a tile before its scores are computed, not after.
    static constexpr bool kScoresLeaveNoRegisters = true;
    static constexpr index_t kQueriesOfLane = 2 * kRowBlocks;
    using PerQuery = gpu::PerQuery<kQueriesOfLane>;
    using Sums = PerQuery;

    struct Scores {
        MmaAcc block[kRowBlocks][kKeyBlocks];
    };
    struct Probabilities {
        MmaA chunk[kRowBlocks][kKeyChunks];
    };
    struct Output {
        MmaAcc block[kRowBlocks][kDimBlocks];
    };

    // The row of Q that this lane's number n belongs to, counted from the wave's first; and that whose bits it gives
    // to `keep`.
    CK_FMHA_DEVICE static index_t query_of_lane(index_t n, index_t = 0)
    {
        return first_row() + n / 2 * kBlockRows + n % 2 * 8 + Atom::row_of_lane();
    }
    CK_FMHA_DEVICE static index_t query_of_bits(index_t lane = lane_index())
    {
        return first_row() + lane % kWarpRows / Atom::kRows * kBlockRows + lane % Atom::kRows;
    }
    // That lane knows the bits of all keys.
    static constexpr index_t kKeysOfBits = kTileK, kLanesOfBits = 1;
    CK_FMHA_DEVICE static index_t share_of_bits() { return 0; }
    // Of a lane's scores: for_each_score counts queries and keys from there.
    CK_FMHA_DEVICE static index_t first_query_of_lane() { return first_row() + Atom::row_of_lane(); }
    CK_FMHA_DEVICE static index_t first_key_of_lane() { return Atom::column_of_lane(); }

    // s * factor - shift
    CK_FMHA_DEVICE static void scale_and_shift(Scores& s, float factor, const PerQuery& shift)
    {
        for_each(s.block, [&](float& x, index_t n) { x = x * factor - shift[n]; });
    }
    CK_FMHA_DEVICE static void shift(Scores& s, const PerQuery& by)
    {
        for_each(s.block, [&](float& x, index_t n) { x -= by[n]; });
    }
    // s * factor + summand
    CK_FMHA_DEVICE static void scale_and_add(Scores& s, float factor, float summand)
    {
        for_each(s.block, [&](float& x, index_t) { x = x * factor + summand; });
    }
    CK_FMHA_DEVICE static void multiply(Scores& a, const Scores& b)
    {
        unroll<kRowBlocks>([&](auto m) {
            unroll<kKeyBlocks>([&](auto n) { unroll<4>([&](auto e) { a.block[m][n][e] *= b.block[m][n][e]; }); });
        });
    }
    CK_FMHA_DEVICE static void scale(Scores& s, float factor)
    {
        for_each(s.block, [&](float& x, index_t) { x *= factor; });
    }
    // Each score x becomes f(x, query, key), constants counted from the first ones of the lane.
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Scores& s, const F& f)
    {
        unroll<kKeyBlocks>([&](auto b) {
            constexpr index_t kKey = Atom::kColumns * b;
            unroll<kRowBlocks>([&](auto m) {
                constexpr index_t kQuery = kBlockRows * m;
                unroll<4>([&](auto e) {
                    float& x = s.block[m][b][e];
                    x = f(x, Constant<kQuery + 8 * (e / 2)>{}, Constant<kKey + e % 2>{});
                });
            });
        });
    }
    // f(x): what it becomes, and what goes to the same place of `second`.
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Scores& s, Scores& second, const F& f)
    {
        unroll<kKeyBlocks>([&](auto b) {
            unroll<kRowBlocks>([&](auto m) {
                unroll<4>([&](auto e) {
                    const Float2 both = f(s.block[m][b][e]);
                    s.block[m][b][e] = both[0];
                    second.block[m][b][e] = both[1];
                });
            });
        });
    }
    // Bit n of `bits`: key n of the tile is attended by query_of_bits(); the others' scores become -inf.
    CK_FMHA_DEVICE static void keep(Scores& s, bits_t bits) { select(s, bits, -kInfinity); }
    // The same for dropout: the others become 0.
    CK_FMHA_DEVICE static void drop(Scores& s, bits_t bits) { select(s, bits, 0.f); }
    CK_FMHA_DEVICE static void select(Scores& s, bits_t bits, float others)
    {
        unroll<kQueriesOfLane>([&](auto n) {
            const index_t asked = n / 2 * Atom::kRows + n % 2 * 8 + Atom::row_of_lane(); // the lane that has the bits
            const bits_t mine = from_lane(bits, asked) >> Atom::column_of_lane();
            unroll<kKeyBlocks>([&](auto b) {
                const auto word = static_cast<unsigned>(mine >> (8 * b / 32 * 32));
                unroll<2>([&](auto e) {
                    float& x = s.block[n / 2][b][n % 2 * 2 + e];
                    x = (word & (1u << (8 * b % 32 + e))) != 0 ? x : others;
                });
            });
        });
    }
    // Of the keys that this lane holds.
    CK_FMHA_DEVICE static PerQuery max_in_lane(const Scores& s)
    {
        PerQuery m = PerQuery::all(-kInfinity);
        for_each(s.block, [&](float x, index_t n) { m[n] = larger(m[n], x); });
        return m;
    }
    CK_FMHA_DEVICE static PerQuery max_over_lanes(PerQuery x)
    {
        unroll<kQueriesOfLane>([&](auto n) {
            x[n] = larger(x[n], from_neighbour<1>(x[n]));
            x[n] = larger(x[n], from_neighbour<2>(x[n]));
        });
        return x;
    }
    CK_FMHA_DEVICE static PerQuery sum_over_lanes(PerQuery x)
    {
        unroll<kQueriesOfLane>([&](auto n) {
            x[n] += from_neighbour<1>(x[n]);
            x[n] += from_neighbour<2>(x[n]);
        });
        return x;
    }

    CK_FMHA_DEVICE static void exp2(Scores& s)
    {
        for_each(s.block, [&](float& x, index_t) { x = gpu::exp2(x); });
    }
    CK_FMHA_DEVICE static void add_to_sums(Sums& sums, const Scores& s)
    {
        for_each(s.block, [&](float x, index_t n) { sums[n] += x; });
    }
    CK_FMHA_DEVICE static Probabilities to_operand(const Scores& s)
    {
        Probabilities p;
        unroll<kRowBlocks>([&](auto m) {
            unroll<kKeyChunks>([&](auto c) {
                unroll<4>([&](auto dword) {
                    const MmaAcc& keys = s.block[m][2 * c + dword / 2];
                    p.chunk[m][c][dword] = Element::pack(keys[dword % 2 * 2], keys[dword % 2 * 2 + 1]);
                });
            });
        });
        return p;
    }
    CK_FMHA_DEVICE static void scale(Sums& sums, const PerQuery& factor)
    {
        unroll<kQueriesOfLane>([&](auto n) { sums[n] *= factor[n]; });
    }
    CK_FMHA_DEVICE static void scale(Output& o, const PerQuery& factor)
    {
        for_each(o.block, [&](float& x, index_t n) { x *= factor[n]; });
    }

    // Before for_each_quad, by all lanes.
    CK_FMHA_DEVICE static void gather_quads(Output& o) { gpu::gather_quads(o.block); }
    // store(dim, four values): dimensions dim .. dim + 3 of this lane's query n; dim is a multiple of 4.
    template <index_t kQueryOfLane, class Store>
    CK_FMHA_DEVICE static void for_each_quad(const Output& o, index_t head_dim, const Store& store, index_t = 0)
    {
        gpu::for_each_quad<kQueryOfLane>(o.block, head_dim, store);
    }
    // Is this the lane that writes what belongs to the whole query?
    CK_FMHA_DEVICE static bool first_of_query() { return lane_index() % 4 == 0; }

protected:
    // Of this warp's part of a block.
    CK_FMHA_DEVICE static index_t first_row()
    {
        return kWarps == 1 ? 0 : thread_index() / kWaveSize % kWarps * Atom::kRows;
    }

private:
    // map(element, number n of its query)
    template <index_t kBlocks, class Blocks, class Map>
    CK_FMHA_DEVICE static void for_each_of(Blocks& blocks, const Map& map)
    {
        unroll<kBlocks>([&](auto b) {
            unroll<kRowBlocks>([&](auto m) { unroll<4>([&](auto e) { map(blocks[m][b][e], 2 * m + e / 2); }); });
        });
    }
    template <index_t kBlocks, class Map>
    CK_FMHA_DEVICE static void for_each(MmaAcc (&blocks)[kRowBlocks][kBlocks], const Map& map)
    {
        for_each_of<kBlocks>(blocks, map);
    }
    template <index_t kBlocks, class Map>
    CK_FMHA_DEVICE static void for_each(const MmaAcc (&blocks)[kRowBlocks][kBlocks], const Map& map)
    {
        for_each_of<kBlocks>(blocks, map);
    }
};

} // namespace ck_fmha::gpu
