#pragma once

#include <algorithm>

#include "ck_tile_masks/bit_matrix.hpp"
#include "ck_tile_masks/interval.hpp"
#include "cpu/dropout.hpp"
#include "cpu/tensor_rows.hpp"

namespace ck_fmha::cpu {

// Softcap, bias, ALiBi and dropout of a call, tile by tile.
template <class Real>
class ScoreExtras {
public:
    using Interval = ck_tile_masks::Interval;

    explicit ScoreExtras(const ck_fmha_problem& p)
        : p_(p), e_(p.extras), kernels_(tile_kernels<Real>()), threshold_(dropout_threshold(e_.dropout_p))
    {
    }

    bool has_bias() const { return e_.bias.tensor.data || e_.alibi_slopes; }
    bool change_scores() const { return has_bias() || e_.softcap != 0; }
    bool has_dropout() const { return threshold_ > 0; }
    // What dropout multiplies the elements with that it keeps.
    Real keep_scale() const
    {
        return threshold_ >= kDropoutSteps ? Real(0)
                                           : static_cast<Real>(double{kDropoutSteps} / (kDropoutSteps - threshold_));
    }

    enum class Layout { s, s_t }; // rows of a tile are queries, or keys

    // `tile` and `scratch` hold a tile each; the result's bias lies in `tile`, in the asked layout.
    ScoreChanges<Real> changes(Layout layout, int64_t batch, int64_t head, Interval rows, Interval cols, Real* tile,
                               Real* scratch) const
    {
        if (!has_bias()) return {static_cast<Real>(e_.softcap), nullptr};
        const Layout stored = stands_transposed() ? Layout::s_t : Layout::s;
        if (!e_.bias.tensor.data)
            std::fill_n(tile, kTileQ * kTileK, Real(0));
        else if (stored == layout)
            load(stored, batch, head, rows, cols, tile);
        else {
            load(stored, batch, head, rows, cols, scratch);
            const bool by_keys = stored == Layout::s_t;
            kernels_.transpose(scratch, 64, by_keys ? cols.size() : rows.size(), by_keys ? rows.size() : cols.size(),
                               tile);
        }
        add_alibi(batch, head, rows, cols, tile, layout == Layout::s ? 1 : -1);
        return {static_cast<Real>(e_.softcap), tile};
    }

    // What dropout keeps, per key or per query; null without dropout.
    const bits_t* keep_key_bits(int64_t batch, int64_t head, Interval rows, Interval cols, bits_t (&bits)[64]) const
    {
        if (!has_dropout()) return nullptr;
        isa_kernels().dropout_key_bits({e_.dropout_seed, threshold_, static_cast<uint32_t>(batch),
                                        static_cast<uint32_t>(head), static_cast<uint32_t>(rows.begin),
                                        static_cast<uint32_t>(cols.begin)},
                                       bits);
        return bits;
    }
    const bits_t* keep_query_bits(int64_t batch, int64_t head, Interval rows, Interval cols, bits_t (&bits)[64]) const
    {
        if (!keep_key_bits(batch, head, rows, cols, bits)) return nullptr;
        ck_tile_masks::transpose_bits(bits);
        return bits;
    }

private:
    // Keys far apart, queries side by side: read as (keys, queries).
    bool stands_transposed() const
    {
        return e_.bias.stride_k != 1 && e_.bias.stride_k != 0 && e_.bias.tensor.stride_seq == 1;
    }
    const char* bias_at(int64_t batch, int64_t head, int64_t i, int64_t j) const
    {
        const ck_fmha_tensor& t = e_.bias.tensor;
        return static_cast<const char*>(t.data) +
               element_size(e_.bias_dtype) *
                   (batch * t.stride_batch + head * t.stride_head + i * t.stride_seq + j * e_.bias.stride_k);
    }
    void load(Layout stored, int64_t batch, int64_t head, Interval rows, Interval cols, Real* tile) const
    {
        const auto load_rows = kernels_.load_rows[e_.bias_dtype];
        const ptrdiff_t stride_q = e_.bias.tensor.stride_seq;
        const char* first = bias_at(batch, head, rows.begin, cols.begin);
        if (stored == Layout::s_t) {
            load_rows(first, e_.bias.stride_k, cols.size(), rows.size(), tile, kTileQ);
        } else if (e_.bias.stride_k == 1) {
            load_rows(first, stride_q, rows.size(), cols.size(), tile, kTileK);
        } else if (e_.bias.stride_k == 0) {
            load_rows(first, stride_q, rows.size(), 1, tile, kTileK);
            for (int r = 0; r < rows.size(); ++r)
                std::fill_n(tile + r * kTileK, kTileK, tile[r * kTileK]);
        } else { // a gap between all elements: rare, one by one
            for (int r = 0; r < rows.size(); ++r)
                for (int c = 0; c < cols.size(); ++c)
                    load_rows(bias_at(batch, head, rows.begin + r, cols.begin + c), 0, 1, 1, tile + r * kTileK + c, 1);
        }
    }
    // step 1: rows of the tile are queries; -1: they are keys.
    void add_alibi(int64_t batch, int64_t head, Interval rows, Interval cols, Real* tile, int step) const
    {
        if (!e_.alibi_slopes) return;
        const float slope = e_.alibi_slopes[batch * e_.alibi_stride_batch + head];
        kernels_.add_alibi(slope, rows.begin + p_.seqlen_k - p_.seqlen_q - cols.begin, step, -step, tile);
    }

    const ck_fmha_problem& p_;
    const ck_fmha_extras& e_;
    const TileKernels<Real>& kernels_;
    const uint32_t threshold_;
};

} // namespace ck_fmha::cpu
