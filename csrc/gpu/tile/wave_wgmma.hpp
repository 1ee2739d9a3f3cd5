#pragma once

#include "gpu/tile/shared_panels.hpp"
#include "gpu/tile/wave_mma.hpp"

// The forward's tiles of one warpgroup, which multiplies what lies in shared memory as it lies there. It is the only
// "wave" of its work-group and holds all queries of it, in blocks of 64.

namespace ck_fmha::gpu {

// Q as A of S: in registers, or, where those are full of output, in shared memory.
template <index_t kRows, index_t kHeadDim>
class WarpgroupQuery {
public:
    static constexpr index_t kBytes = 2 * kRows * kHeadDim;
    CK_FMHA_DEVICE WarpgroupQuery(const RowsInMemory& rows, index_t tile, SharedMemory shared) : shared_(shared)
    {
        TileCopy<kRows, kHeadDim, kWarpgroupSize, SharedPanels<kRows, kHeadDim>>::load(rows, tile, shared);
    }
    template <index_t kBlock, index_t kChunk>
    CK_FMHA_DEVICE Descriptor operand() const
    {
        return shared_.template from<64 * kBlock, 16 * kChunk>();
    }

private:
    PanelsOperand<kRows, kHeadDim> shared_;
};
template <index_t kHeadDim>
class WarpgroupQuery<64, kHeadDim> {
public:
    static constexpr index_t kBytes = 0;
    CK_FMHA_DEVICE WarpgroupQuery(const RowsInMemory& rows, index_t tile, SharedMemory shared)
        : registers_(rows, 4 * tile + thread_index() / kWaveSize, shared)
    {
    }
    template <index_t kBlock, index_t kChunk>
    CK_FMHA_DEVICE const MmaA& operand() const
    {
        return registers_.template operand<kBlock, kChunk>();
    }

private:
    QueryOperands<16, kHeadDim, false> registers_;
};

template <class T, index_t kTileK, index_t kHeadDim, index_t kRows_>
struct WgmmaWave : MmaLayout<T, kTileK, kHeadDim, kRows_, 4> {
    using Layout = MmaLayout<T, kTileK, kHeadDim, kRows_, 4>;
    using Layout::kDimChunks;
    using Layout::kKeyChunks;
    using Layout::kRowBlocks;
    using typename Layout::Output;
    using typename Layout::Probabilities;
    using typename Layout::Scores;

    // K as B of S, V as B of O.
    using Keys = PanelsOperand<kTileK, kHeadDim>;
    using Values = PanelsOperand<kTileK, kHeadDim>;
    using Query = WarpgroupQuery<kRows_, kHeadDim>;

    // All warps compute what any of them has to. Of the bands of 32 rows, two warps have rows of one in each block.
    static constexpr index_t kThreadsOfBand = 2 * kWaveSize;
    static constexpr unsigned kBandsTogether = kRowBlocks == 1 ? 0b1 : 0b101; // counted from a warp's first one

    // Complete after the next KeyValueTiles::receive.
    CK_FMHA_DEVICE static Query load_query(const RowsInMemory& rows, index_t tile, SharedMemory shared)
    {
        return Query(rows, tile, shared);
    }

    CK_FMHA_DEVICE static Scores scores(const Query& q, const Keys& keys)
    {
        using Product = WarpgroupProduct<T, kTileK, false>;
        Scores s;
        begin_products();
        unroll<kRowBlocks>([&](auto m) {
            constexpr index_t kBlock = m;
            unroll<kDimChunks>([&](auto c) {
                Product::multiply_add(s.block[m], q.template operand<kBlock, c>(), keys.template from<0, 16 * c>(),
                                      c > 0);
            });
        });
        end_products();
        wait_for_products();
        hold(s);
        return s;
    }
    CK_FMHA_DEVICE static void add_products(Output& o, const Probabilities& p, const Values& values)
    {
        using Product = WarpgroupProduct<T, kHeadDim, true>;
        hold(o);
        unroll<kRowBlocks>([&](auto m) { gpu::hold(p.chunk[m]); });
        begin_products();
        unroll<kRowBlocks>([&](auto m) {
            unroll<kKeyChunks>([&](auto c) {
                Product::multiply_add(o.block[m], p.chunk[m][c], values.template from<16 * c, 0>(), true);
            });
        });
        end_products();
        wait_for_products();
        hold(o);
    }

private:
    template <class Blocks>
    CK_FMHA_DEVICE static void hold(Blocks& x)
    {
        unroll<kRowBlocks>([&](auto m) { gpu::hold(x.block[m]); });
    }
};

// K and V of the forward.
template <index_t kTileK, index_t kHeadDim>
class KeyValuePanels : public TilePairs<kTileK, kHeadDim, kWarpgroupSize, SharedPanels<kTileK, kHeadDim>> {
public:
    using TilePairs<kTileK, kHeadDim, kWarpgroupSize, SharedPanels<kTileK, kHeadDim>>::TilePairs;
    CK_FMHA_DEVICE auto keys() const { return PanelsOperand<kTileK, kHeadDim>(this->first()); }
    CK_FMHA_DEVICE auto values() const { return PanelsOperand<kTileK, kHeadDim>(this->second()); }
};

} // namespace ck_fmha::gpu
