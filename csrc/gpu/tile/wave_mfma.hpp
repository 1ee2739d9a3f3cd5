#pragma once

#include "gpu/tile/copy_amd.hpp"
#include "gpu/tile/per_query.hpp"

// The tiles of one wave, and what a pipeline does with them. A wave holds kRows queries; with this atom every lane
// holds one of them (each query is held by two lanes, which share its keys and its output's dimensions), so that what
// is one number for each query is one number for each lane.

namespace ck_fmha::gpu {

template <class T, index_t kTileK, index_t kHeadDim>
struct MfmaWave {
    using Atom = MfmaAtom<T>;
    using Element = typename Atom::Element;
    using Acc = typename Atom::Acc;
    using Keys = SharedRows<kTileK, kHeadDim>;
    using Values = SharedTransposed<kTileK, kHeadDim>;

    static constexpr index_t kRows = Atom::kWaveRows;
    static constexpr index_t kKeyBlocks = kTileK / Atom::kBlockKeys;
    static constexpr index_t kDimBlocks = kHeadDim / Atom::kBlockDims;
    static constexpr index_t kDimChunks = kHeadDim / Atom::kChunkDims;
    static constexpr index_t kKeyChunks = kTileK / Atom::kChunkKeys;

    static constexpr bool kScoresLeaveNoRegisters = false;
    static constexpr index_t kQueriesOfLane = 1;
    using PerQuery = gpu::PerQuery<kQueriesOfLane>;
    using Sums = Float2; // two partial sums of a lane's query, which are added to together

    struct Query {
        Dword4 chunk[kDimChunks];
    };
    struct Scores {
        Acc block[kKeyBlocks];
    };
    struct Probabilities {
        Dword4 chunk[kKeyChunks];
    };
    struct Output {
        Acc block[kDimBlocks];
    };

    // The row of Q that this lane's number n belongs to, counted from the wave's first; and that whose bits it gives
    // to `keep`.
    CK_FMHA_DEVICE static index_t query_of_lane(index_t, index_t lane = lane_index()) { return lane % kRows; }
    CK_FMHA_DEVICE static index_t query_of_bits(index_t lane = lane_index()) { return lane % kRows; }
    // The two lanes of a query may know the bits of the keys that they hold only.
    static constexpr index_t kKeysOfBits = kTileK, kLanesOfBits = 2;
    CK_FMHA_DEVICE static index_t share_of_bits() { return Atom::half(); }
    // Of a lane's scores: for_each_score counts queries and keys from there.
    CK_FMHA_DEVICE static index_t first_query_of_lane() { return Atom::query_of_lane(); }
    CK_FMHA_DEVICE static index_t first_key_of_lane() { return 4 * Atom::half(); }

    CK_FMHA_DEVICE static Query load_query(const RowsInMemory& rows, index_t band, SharedMemory)
    {
        return load_query(rows, band);
    }
    CK_FMHA_DEVICE static Query load_query(const RowsInMemory& rows, index_t band)
    {
        Query q;
        // A band past the end computes what nobody stores.
        const index_t last = (rows.num_rows - 1) / kRows;
        const Buffer buffer = TilesInMemory<kRows>(rows).tile(ck_tile_masks::min(band, last));
        unroll<kDimChunks>([&](auto c) {
            const index_t byte = 2 * (c * Atom::kChunkDims + 8 * Atom::half());
            q.chunk[c] = buffer.load(Constant<4>{}, offset_in_buffer(rows, Atom::query_of_lane(), byte));
        });
        return q;
    }

    CK_FMHA_DEVICE static Scores scores(const Query& q, const Keys& keys)
    {
        Scores s = {};
        unroll<kDimChunks>([&](auto c) {
            if constexpr (c == 8) no_load_crosses();
            unroll<kKeyBlocks>([&](auto b) {
                const Dword4 k = keys.template operand<b, c>();
                s.block[b] = Element::multiply(k.xy, q.chunk[c].xy, s.block[b]);
                s.block[b] = Element::multiply(k.zw, q.chunk[c].zw, s.block[b]);
            });
        });
        return s;
    }

    CK_FMHA_DEVICE static void add_products(Output& o, const Probabilities& p, const Values& values)
    {
        unroll<kKeyChunks>([&](auto c) {
            if constexpr (kDimBlocks > kMostInVectorRegisters && c > 0) no_load_crosses();
            unroll<kDimBlocks>([&](auto b) {
                const Dword4 v = values.template operand<b, c>();
                o.block[b] = Element::multiply(v.xy, p.chunk[c].xy, o.block[b]);
                o.block[b] = Element::multiply(v.zw, p.chunk[c].zw, o.block[b]);
            });
        });
    }

    // s * factor - shift
    CK_FMHA_DEVICE static void scale_and_shift(Scores& s, float factor, const PerQuery& shift)
    {
        for_each_pair(s.block, [&](Float2 x) {
            return __builtin_elementwise_fma(x, Float2{factor, factor}, Float2{-shift[0], -shift[0]});
        });
    }
    CK_FMHA_DEVICE static void shift(Scores& s, const PerQuery& by)
    {
        for_each_pair(s.block, [&](Float2 x) { return x - Float2{by[0], by[0]}; });
    }
    CK_FMHA_DEVICE static void scale(Scores& s, float factor)
    {
        for_each_pair(s.block, [&](Float2 x) { return x * Float2{factor, factor}; });
    }
    // s * factor + summand
    CK_FMHA_DEVICE static void scale_and_add(Scores& s, float factor, float summand)
    {
        scale_and_shift(s, factor, {-summand});
    }
    // Each score x becomes f(x, query, key), constants counted from the first ones of the lane.
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Scores& s, const F& f)
    {
        unroll<kKeyBlocks>([&](auto b) {
            unroll<16>([&](auto e) {
                if constexpr (e % 8 == 0) no_load_crosses(); // what f computes takes registers
                constexpr Constant<32 * b + e / 4 * 8 + e % 4> kKey;
                // Computed here, not where it is wanted.
                s.block[b][e.value] = of_lane_anew(f(static_cast<float>(s.block[b][e.value]), Constant<0>{}, kKey));
            });
        });
    }
    // f(x): what it becomes, and what goes to the same place of `second`.
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Scores& s, Scores& second, const F& f)
    {
        unroll<kKeyBlocks>([&](auto b) {
            unroll<16>([&](auto e) {
                if constexpr (e % 8 == 0) no_load_crosses();
                const Float2 both = f(static_cast<float>(s.block[b][e.value]));
                s.block[b][e.value] = of_lane_anew(static_cast<float>(both[0]));
                second.block[b][e.value] = of_lane_anew(static_cast<float>(both[1]));
            });
        });
    }
    // Bit n of `bits`: key n of the tile is attended by query_of_bits(); the others' scores become -inf.
    CK_FMHA_DEVICE static void keep(Scores& s, bits_t bits) { select<kMinusInfinity>(s, bits); }
    // The same for dropout: the others become 0.
    CK_FMHA_DEVICE static void drop(Scores& s, bits_t bits) { select<0>(s, bits); }
    CK_FMHA_DEVICE static void multiply(Scores& a, const Scores& b)
    {
        unroll<kKeyBlocks>([&](auto n) { a.block[n] *= b.block[n]; });
    }
    // Of the keys that this lane holds.
    CK_FMHA_DEVICE static PerQuery max_in_lane(const Scores& s)
    {
        float m = s.block[0][0];
        unroll<kKeyBlocks>([&](auto b) {
            unroll<8>(
                [&](auto e) { m = __builtin_fmaxf(__builtin_fmaxf(m, s.block[b][2 * e]), s.block[b][2 * e + 1]); });
        });
        return {m};
    }
    CK_FMHA_DEVICE static PerQuery max_over_lanes(const PerQuery& x)
    {
        return {__builtin_fmaxf(x[0], other_half(x[0]))};
    }
    CK_FMHA_DEVICE static PerQuery sum_over_lanes(const Sums& sums)
    {
        const float sum = sums.x + sums.y;
        return {sum + other_half(sum)};
    }

    CK_FMHA_DEVICE static void exp2(Scores& s)
    {
        unroll<kKeyBlocks>(
            [&](auto b) { unroll<16>([&](auto e) { s.block[b][e.value] = gpu::exp2(s.block[b][e.value]); }); });
    }
    CK_FMHA_DEVICE static void add_to_sums(Sums& sums, const Scores& s)
    {
        unroll<kKeyBlocks>(
            [&](auto b) { unroll<8>([&](auto e) { sums += Float2{s.block[b][2 * e], s.block[b][2 * e + 1]}; }); });
    }
    CK_FMHA_DEVICE static Probabilities to_operand(const Scores& s)
    {
        Probabilities p;
        unroll<kKeyChunks>([&](auto c) {
            unroll<4>([&](auto n) {
                constexpr index_t kBlock = c / 2, kElement = c % 2 * 8 + 2 * n;
                p.chunk[c][n.value] = Element::pack(s.block[kBlock][kElement], s.block[kBlock][kElement + 1]);
            });
        });
        return p;
    }
    CK_FMHA_DEVICE static void scale(Sums& sums, const PerQuery& factor) { sums *= Float2{factor[0], factor[0]}; }
    CK_FMHA_DEVICE static void scale(Output& o, const PerQuery& factor)
    {
        for_each_pair(o.block, [&](Float2 x) { return x * Float2{factor[0], factor[0]}; });
    }

    // Before for_each_quad, by all lanes: here a lane holds four dimensions in a row as it is.
    CK_FMHA_DEVICE static void gather_quads(Output&) {}
    // store(dim, four values): dimensions dim .. dim + 3 of this lane's query n; dim is a multiple of 4.
    template <index_t, class Store>
    CK_FMHA_DEVICE static void for_each_quad(const Output& o, index_t head_dim, const Store& store,
                                             index_t lane = lane_index())
    {
        const index_t half = lane / 32;
        unroll<kDimBlocks>([&](auto b) {
            Acc acc = o.block[b];
            if constexpr (kDimBlocks > kMostInVectorRegisters) {
                no_load_crosses();
                to_accumulators(acc);
            }
            unroll<4>([&](auto j) {
                constexpr index_t kEight = b * Atom::kBlockDims + 8 * j; // both halves of the wave write one eight
                if (kEight >= head_dim) return;
                store(kEight + 4 * half, Float4{acc[4 * j], acc[4 * j + 1], acc[4 * j + 2], acc[4 * j + 3]});
            });
        });
    }
    // Is this the lane that writes what belongs to the whole query?
    CK_FMHA_DEVICE static bool first_of_query() { return Atom::half() == 0; }

private:
    static constexpr index_t kMostInVectorRegisters = 4; // blocks of an output
    static constexpr unsigned kMinusInfinity = 0xff800000u;

    template <unsigned kOthers>
    CK_FMHA_DEVICE static void select(Scores& s, bits_t bits)
    {
        const bits_t mine = bits >> (4 * Atom::half());
        unroll<kKeyBlocks>([&](auto b) {
            const auto word = static_cast<unsigned>(mine >> (32 * b));
            unroll<16>([&](auto e) {
                constexpr index_t kBit = e / 4 * 8 + e % 4;
                const unsigned all = static_cast<unsigned>(static_cast<int>(word << (31 - kBit)) >> 31);
                const unsigned score = __builtin_bit_cast(unsigned, static_cast<float>(s.block[b][e.value]));
                s.block[b][e.value] = __builtin_bit_cast(float, (score & all) | (kOthers & ~all));
            });
        });
    }
    // Two elements at a time, for the packed instructions.
    template <index_t kBlocks, class Map>
    CK_FMHA_DEVICE static void for_each_pair(Acc (&blocks)[kBlocks], const Map& map)
    {
        unroll<kBlocks>([&](auto b) {
            if constexpr (kBlocks > kMostInVectorRegisters) {
                no_load_crosses(); // accumulators are moved to be multiplied, a block at a time
                to_accumulators(blocks[b]);
            }
            unroll<8>([&](auto e) {
                Acc& acc = blocks[b];
                const Float2 y = map(Float2{acc[2 * e], acc[2 * e + 1]});
                acc[2 * e] = y.x;
                acc[2 * e + 1] = y.y;
            });
            if constexpr (kBlocks > kMostInVectorRegisters) to_accumulators(blocks[b]);
        });
    }
};

} // namespace ck_fmha::gpu
