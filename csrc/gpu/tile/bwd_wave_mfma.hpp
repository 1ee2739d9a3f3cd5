#pragma once

#include "gpu/tile/wave_mfma.hpp"

// The tiles of one wave of the backward. A wave owns 32 keys, one a lane (each is held by two lanes, which share the
// queries): scores S = Q K^T are not transposed here, so that four queries of P and dS are operands of dV^T += dO^T P
// and dK^T += Q^T dS as they lie in registers. Only dQ = dS K sums over the keys of all waves: dS goes through shared
// memory, and each wave computes a part of dQ.
//
// With fewer bands of keys than waves, waves `kBands` apart own the same keys; each has a part of the dimensions of
// their gradients.

namespace ck_fmha::gpu {

template <class T, index_t kHeadDim, index_t kWaves, index_t kBands, bool kIsScarce_>
struct MfmaBwdWave {
    static constexpr bool kIsScarce = kIsScarce_; // scalar registers are
    static constexpr index_t kTileQ = 32;
    static constexpr index_t kKeys = 32;
    static constexpr index_t kTileK = kBands * kKeys;
    static constexpr index_t kThreadsPerWave = kWaveSize;
    static constexpr bool kRunAhead = false; // products are over when they return
    static constexpr bool kScoresLeaveNoRegisters = false;
    static constexpr index_t kOwnDims = kHeadDim / (kWaves / kBands); // of the gradients of the wave's keys

    using Whole = MfmaWave<T, kTileQ, kHeadDim>;
    using Part = MfmaWave<T, kTileQ, kOwnDims>;
    using Atom = typename Whole::Atom;
    using Element = typename Whole::Element;
    using Acc = typename Whole::Acc; // scores of 32 queries: element 4 j + i is query 8 j + 4 half + i
    using Scores = Acc;
    using Gradients = typename Part::Output; // dK^T or dV^T

    using Rows = SharedRows<kTileQ, kHeadDim>;             // Q, dO
    using Transposed = SharedTransposed<kTileQ, kHeadDim>; // Q^T, dO^T

    // Rows of K or V as operands: this lane's key.
    using Keys = typename Whole::Query;
    static constexpr index_t kColumnBytes = 0; // of shared memory
    CK_FMHA_DEVICE static Keys load_keys(const RowsInMemory& rows, index_t, index_t band, SharedMemory)
    {
        return Whole::load_query(rows, band);
    }
    static constexpr index_t kKeysOfLane = 1, kKeyStep = 1;
    CK_FMHA_DEVICE static index_t key_of_lane(index_t lane = lane_index(), index_t = 0) { return lane % 32; }
    // The query of the tile whose bits this lane gives to `keep`.
    CK_FMHA_DEVICE static index_t query_of_bits() { return lane_index() % kTileQ; }
    // What `keep` takes; ask(query of the tile): which keys of the band it attends.
    template <class Ask>
    CK_FMHA_DEVICE static unsigned find_bits(const Ask& ask)
    {
        return ask(query_of_bits());
    }

    // Of waves with the same keys the first one answers for the scores.
    CK_FMHA_DEVICE static bool has_scores_of_its_own() { return kBands == kWaves || wave_index<kWaveSize>() < kBands; }
    // As in MfmaWave.
    static constexpr index_t kKeysOfBits = kKeys, kLanesOfBits = 2;
    CK_FMHA_DEVICE static index_t share_of_bits() { return Atom::half(); }
    CK_FMHA_DEVICE static index_t first_query_of_lane() { return 4 * Atom::half(); }
    CK_FMHA_DEVICE static index_t first_key_of_lane() { return key_of_lane(); }

    struct Nothing {}; // of what other waves hold
    // P or dS.
    struct Operand {
        Dword4 chunk[2];
    };
    CK_FMHA_DEVICE static void add_scores(Acc& s, const Rows& queries, const Keys& keys)
    {
        unroll<Whole::kDimChunks>([&](auto c) {
            if constexpr (c == 8) no_load_crosses();
            const Dword4 q = queries.template operand<0, c>();
            s = Element::multiply(q.xy, keys.chunk[c].xy, s);
            s = Element::multiply(q.zw, keys.chunk[c].zw, s);
        });
    }
    CK_FMHA_DEVICE static void add_products(Gradients& g, const SharedMemory& transposed, const Operand& p, Nothing)
    {
        const Transposed rows(transposed + first_dim() * Transposed::kRowBytes);
        unroll<2>([&](auto c) {
            if constexpr (c > 0 && kHeadDim > 128) no_load_crosses();
            unroll<Part::kDimBlocks>([&](auto b) {
                const Dword4 a = rows.template operand<b, c>();
                g.block[b] = Element::multiply(a.xy, p.chunk[c].xy, g.block[b]);
                g.block[b] = Element::multiply(a.zw, p.chunk[c].zw, g.block[b]);
            });
        });
    }
    // Where control flow joins; for kernels that may use more than 256 registers: others have no such ones.
    CK_FMHA_DEVICE static void to_accumulators(Gradients& g)
    {
        unroll<Part::kDimBlocks>([&](auto b) { gpu::to_accumulators(g.block[b]); });
    }
    CK_FMHA_DEVICE static void gather_quads(Gradients&) {}
    // store(dim, four values) as in MfmaWave, of the wave's dimensions and the key of `lane`, this one.
    template <index_t, class Store>
    CK_FMHA_DEVICE static void for_each_quad(const Gradients& g, index_t head_dim, index_t lane, const Store& store)
    {
        Part::template for_each_quad<0>(
            g, head_dim - first_dim(), [&](index_t dim, Float4 x) { store(first_dim() + dim, x); }, lane);
    }

    // One number for each query of the tile, as shared memory holds them.
    static constexpr index_t kStatisticsBytes = 4 * kTileQ;
    CK_FMHA_DEVICE static Acc load_statistics(const SharedMemory& memory)
    {
        const SharedMemory half = memory + 16 * Atom::half();
        Acc x;
        unroll<4>([&](auto j) {
            const auto four = half.load<Float4>(8 * j * 4);
            unroll<4>([&](auto i) { x[4 * j + i] = four[i.value]; });
        });
        return x;
    }

    // factor * s - lse
    CK_FMHA_DEVICE static void scale_and_shift(Acc& s, float factor, const Acc& lse)
    {
        for_each_pair(s, lse,
                      [&](Float2 x, Float2 l) { return __builtin_elementwise_fma(x, Float2{factor, factor}, -l); });
    }
    CK_FMHA_DEVICE static void shift(Acc& s, const Acc& by)
    {
        for_each_pair(s, by, [](Float2 x, Float2 y) { return x - y; });
    }
    // s * factor + summand
    CK_FMHA_DEVICE static void scale_and_add(Acc& s, float factor, float summand)
    {
        for_each_pair(s, s, [&](Float2 x, Float2) {
            return __builtin_elementwise_fma(x, Float2{factor, factor}, Float2{summand, summand});
        });
    }
    // As in MfmaWave.
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Acc& s, const F& f)
    {
        unroll<16>([&](auto e) {
            if constexpr (e % 8 == 0) no_load_crosses(); // what f computes takes registers
            constexpr Constant<e / 4 * 8 + e % 4> kQuery;
            s[e.value] = of_lane_anew(f(static_cast<float>(s[e.value]), kQuery, Constant<0>{}));
        });
    }
    template <class F>
    CK_FMHA_DEVICE static void for_each_score(Acc& s, Acc& second, const F& f)
    {
        unroll<16>([&](auto e) {
            if constexpr (e % 8 == 0) no_load_crosses();
            const Float2 both = f(static_cast<float>(s[e.value]));
            s[e.value] = of_lane_anew(static_cast<float>(both[0]));
            second[e.value] = of_lane_anew(static_cast<float>(both[1]));
        });
    }
    // Bit n of `bits` in lane l: query l mod 32 of the tile attends key n of the wave; the scores of others become
    // -inf.
    CK_FMHA_DEVICE static void keep(Acc& s, unsigned bits) { select(s, bits, -__builtin_inff()); }
    // The same for dropout, with 0. First the two lanes of a query tell each other the bits of their keys.
    CK_FMHA_DEVICE static Acc dropped(Acc s, bits_t bits)
    {
        no_load_crosses();
        select(s, of_lane_anew(static_cast<unsigned>(bits)), 0.f); // the conditions are not kept for another time
        no_load_crosses();
        return s;
    }
    CK_FMHA_DEVICE static bits_t exchange_bits(bits_t bits)
    {
        const auto mine = static_cast<unsigned>(bits) & 0x0f0f0f0fu << 4 * Atom::half();
        return mine | __builtin_bit_cast(unsigned, other_half(__builtin_bit_cast(float, mine)));
    }
    CK_FMHA_DEVICE static void exp2(Acc& s)
    {
        unroll<16>([&](auto e) { s[e.value] = gpu::exp2(s[e.value]); });
    }
    CK_FMHA_DEVICE static void multiply(Acc& a, const Acc& b)
    {
        for_each_pair(a, b, [](Float2 x, Float2 y) { return x * y; });
    }
    CK_FMHA_DEVICE static Operand to_operand(const Acc& x)
    {
        Operand p;
        unroll<8>([&](auto n) { p.chunk[n / 4][n % 4] = Element::pack(x[2 * n], x[2 * n + 1]); });
        return p;
    }

    // dS of all waves in shared memory: row = query, along it the keys, in the order of the pieces of a transposed
    // tile.
    class Exchange {
    public:
        using Shared = SharedRows<kTileQ, kTileK>;
        static constexpr index_t kBytes = Shared::kBytes;
        // It serves dQ alone. With transposed tiles that come in turns, they are waited for together.
        static constexpr bool kForGradients = false;
        static constexpr bool kBeforeGradients = kHeadDim > 128;

        CK_FMHA_DEVICE explicit Exchange(SharedMemory memory) : memory_(memory)
        {
            const index_t key = wave_index<kWaveSize>() % kBands * kKeys + key_of_lane();
            const index_t position = key / 16 * 16 + key / 4 % 2 * 8 + key / 8 % 2 * 4 + key % 4;
            unroll<4>(
                [&](auto i) { place_[i] = Shared::place(4 * Atom::half() + i, position / 8) + position % 8 * 2; });
        }
        CK_FMHA_DEVICE static Nothing p() { return {}; }
        CK_FMHA_DEVICE static Nothing ds() { return {}; }
        CK_FMHA_DEVICE void store(const Operand&, const Operand& ds) const
        {
            if (kBands < kWaves && wave_index<kWaveSize>() >= kBands) return; // another wave has the same
            unroll<16>([&](auto e) {
                const unsigned pair = ds.chunk[e / 8][e % 8 / 2];
                const auto element = static_cast<unsigned short>(e % 2 == 0 ? pair : pair >> 16);
                memory_.store(place_[e % 4] + 8 * (e / 4) * Shared::kRowBytes, element);
            });
        }
        CK_FMHA_DEVICE SharedMemory memory() const { return memory_; }

    private:
        SharedMemory memory_;
        index_t place_[4];
    };

    // This wave's part of dQ: blocks of 32 dimensions. With fewer of them than waves, several waves share one and take
    // a part of the keys each.
    class QueryGradients {
        static constexpr index_t kBlocks = Whole::kDimBlocks;
        static constexpr index_t kShare = kBlocks < kWaves ? kWaves / kBlocks : 1; // waves that share a block
        static constexpr index_t kOwned = kBlocks < kWaves ? 1 : kBlocks / kWaves; // blocks of a wave
        static constexpr index_t kOwnBands = kBands / kShare;                      // of keys
        static constexpr index_t kRowBytes = 4 * kHeadDim;                         // of the sums of dQ
        static_assert(kOwnBands >= 1, "ck_fmha: waves that share a block of dQ have a band of keys each");

    public:
        // K^T of the column's keys, by way of a shared tile that nobody uses yet.
        template <class Tensors>
        CK_FMHA_DEVICE QueryGradients(const Keys&, const Tensors& t, index_t column, SharedMemory unused,
                                      const Exchange& exchange)
            : ds_(exchange.memory(), share() * kOwnBands * 2), sums_(t.dq)
        {
            const Transposed shared(unused);
            TransposingCopy<kTileQ, kHeadDim, kWaves * kWaveSize> copy(t.k);
            const index_t last = (t.k.num_rows - 1) / kKeys;
            unroll<kBands>([&](auto band) {
                // A band past the end has nothing to do.
                copy.load(ck_tile_masks::min(column * kBands + band, last));
                barrier();
                copy.store(shared);
                barrier();
                if (kShare > 1 && static_cast<unsigned>(band / kOwnBands) != share()) return;
                unroll<kOwned>([&](auto b) {
                    unroll<2>(
                        [&](auto c) { keys_[band % kOwnBands].chunk[b][c] = shared.operand_of(first_block() + b, c); });
                });
            });
        }
        // Adds what the live bands contribute to the sums of the tile's rows.
        template <class Live>
        CK_FMHA_DEVICE void add(const Live& live, index_t tile) const
        {
            const Buffer sums = sums_.tile(tile);
            Acc sum[kOwned] = {};
            unroll<kOwnBands>([&](auto band) {
                if (!live(static_cast<index_t>(share() * kOwnBands) + band)) return;
                unroll<2>([&](auto c) {
                    const Dword4 a = ds_.template operand<0, 2 * band + c>();
                    unroll<kOwned>([&](auto b) {
                        const Dword4 k = keys_[band].chunk[b][c];
                        sum[b] = Element::multiply(a.xy, k.xy, sum[b]);
                        sum[b] = Element::multiply(a.zw, k.zw, sum[b]);
                    });
                });
            });
            const index_t offset = 4 * Atom::half() * kRowBytes + (first_block() * 32 + lane_index() % 32) * 4;
            unroll<kOwned>([&](auto b) {
                unroll<16>([&](auto e) {
                    constexpr index_t kMore = (8 * (e / 4) + e % 4) * kRowBytes + b * 32 * 4;
                    sums.template atomic_add<kMore>(offset, sum[b][e.value]);
                });
            });
        }

        static constexpr bool kSumsInOrder = true;

    private:
        CK_FMHA_DEVICE static unsigned share()
        {
            return kShare == 1 ? 0 : static_cast<unsigned>(wave_index<kWaveSize>()) / static_cast<unsigned>(kBlocks);
        }
        CK_FMHA_DEVICE static index_t first_block()
        {
            return static_cast<index_t>(static_cast<unsigned>(wave_index<kWaveSize>()) % (kBlocks / kOwned) * kOwned);
        }

        struct Band {
            Dword4 chunk[kOwned][2];
        };
        typename Exchange::Shared ds_;
        TilesInMemory<kTileQ, kIsScarce> sums_; // of dQ
        Band keys_[kOwnBands];
    };

private:
    // An element of all lanes is two queries and all keys: two of these words are its condition, lane by lane.
    CK_FMHA_DEVICE static void select(Acc& s, unsigned bits, float others)
    {
        const auto word = static_cast<index_t>(bits);
        unroll<16>([&](auto e) {
            constexpr index_t kQuery = e / 4 * 8 + e % 4;
            const auto low = static_cast<unsigned>(value_of_lane(word, kQuery));
            const auto high = static_cast<unsigned>(value_of_lane(word, kQuery + 4));
            if (!in_lanes(static_cast<bits_t>(high) << 32 | low)) s[e.value] = others;
        });
    }

    CK_FMHA_DEVICE static index_t first_dim()
    {
        return kBands == kWaves ? 0 : wave_index<kWaveSize>() / kBands * kOwnDims;
    }

    template <class Map>
    CK_FMHA_DEVICE static void for_each_pair(Acc& a, const Acc& b, const Map& map)
    {
        unroll<8>([&](auto e) {
            const Float2 y = map(Float2{a[2 * e], a[2 * e + 1]}, Float2{b[2 * e], b[2 * e + 1]});
            a[2 * e] = y.x;
            a[2 * e + 1] = y.y;
        });
    }
};

} // namespace ck_fmha::gpu
