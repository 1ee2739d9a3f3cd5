#pragma once

#include "gpu/kernel/bwd_launch.hpp"
#include "gpu/tile/dq_sums_nvidia.hpp"
#include "gpu/tile/shared_panels.hpp"

// What the warpgroups of the backward tell each other, dS, and what they compute of it together, dQ.

namespace ck_fmha::gpu {

// dS^T of all keys: a row for each, along it the queries.
template <index_t kTileK, index_t kTileQ>
class WgmmaBwdExchange {
public:
    static constexpr index_t kBytes = kTileK * 2 * kTileQ;
    static constexpr bool kForGradients = false; // of K and V
    static constexpr bool kBeforeGradients = false;

    CK_FMHA_DEVICE explicit WgmmaBwdExchange(SharedMemory memory) : memory_(memory) {}
    CK_FMHA_DEVICE const WgmmaBwdExchange& p() const { return *this; }
    CK_FMHA_DEVICE const WgmmaBwdExchange& ds() const { return *this; }
    CK_FMHA_DEVICE SharedMemory memory() const { return memory_; }
    template <class Operand>
    CK_FMHA_DEVICE void store(const Operand&, const Operand& ds) const
    {
        const SharedQueries<kTileQ> rows(memory_ + thread_index() / kWaveSize * 16 * 2 * kTileQ);
        unroll<kTileQ / 16>([&](auto c) {
            constexpr index_t kChunk = c;
            rows.template store<0, kChunk>(ds.chunk[c]);
        });
        show_to_products();
    }

private:
    SharedMemory memory_;
};

// A warpgroup's part of dQ: some dimensions, all keys.
template <class T, index_t kHeadDim, index_t kTileQ, index_t kTileK>
class WgmmaBwdQueryGradients : public DqSums<kHeadDim> {
    static constexpr index_t kWarpgroups = kTileK / 64;
    static constexpr index_t kOwnDims = kHeadDim / kWarpgroups;
    static constexpr index_t kDims = kOwnDims < 64 ? kOwnDims : 64; // at once
    using Product = WarpgroupProduct<T, kDims, true, true>;
    using Exchange = WgmmaBwdExchange<kTileK, kTileQ>;
    static_assert(kTileQ == kBwdRowsPerGroup, "ck_fmha: sums lie in tiles of kBwdRowsPerGroup rows");

public:
    template <class Keys, class Tensors>
    CK_FMHA_DEVICE WgmmaBwdQueryGradients(const Keys& keys, const Tensors& t, index_t, SharedMemory,
                                          const Exchange& exchange)
        : keys_(keys.column), ds_(exchange.memory()), sums_({reinterpret_cast<float*>(const_cast<char*>(t.dq.data))})
    {
    }
    // Adds what all keys contribute to the sums of the tile's rows.
    template <class Live>
    CK_FMHA_DEVICE void add(const Live&, index_t tile) const
    {
        const index_t first_row = thread_index() / kWaveSize % 4 * 16;
        float* const sums = sums_.get().first + static_cast<bits_t>(static_cast<unsigned>(tile)) * this->kTileSize;
        unroll<kOwnDims / kDims>([&](auto part) {
            const index_t first_dim = thread_index() / kWarpgroupSize * kOwnDims + part * kDims;
            const auto keys = keys_.from_any(0, first_dim);
            MmaAcc sum[kDims / 8] = {};
            hold(sum);
            begin_products();
            unroll<kTileK / 16>([&](auto c) {
                Product::multiply_add(sum, ds_.template from<16 * c, 0>(), keys.template from<16 * c, 0>(), true);
            });
            end_products();
            wait_for_products();
            hold(sum);
            unroll<2>([&](auto half) {
                float* const to = sums + this->place(first_row + 8 * half, first_dim);
                unroll<kDims / 16>([&](auto pair) {
                    const MmaAcc &a = sum[2 * pair], &b = sum[2 * pair + 1];
                    atomic_add(to + 128 * pair, Float4{a[2 * half], a[2 * half + 1], b[2 * half], b[2 * half + 1]});
                });
            });
        });
    }

private:
    PanelsOperand<kTileK, kHeadDim> keys_;
    PanelsOperand<kTileK, kTileQ> ds_;
    struct Address {
        float* first;
    };
    Seldom<3, Address> sums_; // of dQ
};

} // namespace ck_fmha::gpu
