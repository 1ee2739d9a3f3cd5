#pragma once

// The gradient of a bias that has queries and keys and that samples or heads share: dS of the scores that it was added
// to, summed over these. A pass of its own that recomputes S and dP (two products of a tile) instead of storing dS:
// each number of the result is then a sum in one fixed order, whatever the threads do, in memory O(seqlen) besides the
// result. All other biases are served by the backward pass itself (bias_sums.hpp).

#include <algorithm>
#include <vector>

#include "cpu/masked_heads.hpp"
#include "cpu/parallel.hpp"
#include "cpu/score_extras.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

template <class Real>
class BiasGradient {
public:
    BiasGradient(const ck_fmha_bwd_args& args, const MaskedHeads& masks, const ScoreExtras<Real>& extras,
                 const Real* lse, const Real* delta)
        : p_(args.problem),
          kernels_(tile_kernels<Real>()),
          masks_(masks),
          extras_(extras),
          lse_(lse),
          delta_(delta),
          out_(args.dbias),
          q_{args.q, p_.dtype, static_cast<int>(p_.head_dim)},
          k_{args.k, p_.dtype, static_cast<int>(p_.head_dim)},
          v_{args.v, p_.dtype, static_cast<int>(p_.head_dim_v)},
          d_o_{args.d_o, p_.dtype, static_cast<int>(p_.head_dim_v)}
    {
    }

    void run()
    {
        // A task is one tile of the result.
        const Sum over_batch(out_.tensor.stride_batch, p_.batch), over_head(out_.tensor.stride_head, p_.num_heads);
        const int64_t rows = masks_.distinct(0).num_tiles_y(), cols = masks_.distinct(0).num_tiles_x();
        const int64_t num_tasks = over_batch.results * over_head.results * rows * cols;
        std::vector<Scratch> scratch(num_workers(p_.num_threads, num_tasks));
        const Workspace memory([&](Arena& arena) {
            for (Scratch& s : scratch)
                s.lay_out(arena, padded_head_dim(q_.columns), padded_head_dim(v_.columns));
        });
        parallel_for(p_.num_threads, num_tasks, [&](size_t n, int thread) {
            Scratch& s = scratch[thread];
            const auto task = static_cast<int64_t>(n);
            const auto j = static_cast<index_t>(task % cols), i = static_cast<index_t>(task / cols % rows);
            const int64_t h = task / cols / rows % over_head.results, b = task / cols / rows / over_head.results;
            std::fill_n(s.sum, kTileQ * kTileK, Real(0));
            bool live = false;
            for (int64_t bn = b; bn < b + over_batch.terms; ++bn)
                for (int64_t hn = h; hn < h + over_head.terms; ++hn)
                    if (masks_.at(bn, hn).TileMask(i, j)) {
                        add_tile(masks_.at(bn, hn), bn, hn, i, j, s);
                        live = true;
                    }
            if (live) write(b, h, i, j, s);
        });
    }

private:
    // A dimension of stride 0 is summed over: one result of `extent` terms; any other has `extent` results.
    struct Sum {
        int64_t results, terms;
        Sum(int64_t stride, int64_t extent) : results(stride == 0 ? 1 : extent), terms(stride == 0 ? extent : 1) {}
    };

    struct Scratch {
        Real *q, *d_o, *k, *k_t, *v, *v_t, *scores, *dp, *dbias, *sum, *bias, *bias_scratch;
        void lay_out(Arena& arena, size_t d, size_t dv)
        {
            for (Real** rows : {&q, &k, &k_t})
                *rows = arena.take<Real>(64 * d);
            for (Real** rows : {&d_o, &v, &v_t})
                *rows = arena.take<Real>(64 * dv);
            for (Real** tile : {&scores, &dp, &dbias, &sum, &bias, &bias_scratch})
                *tile = arena.take<Real>(kTileQ * kTileK);
        }
    };

    void add_tile(const TiledMask& mask, int64_t b, int64_t h, index_t i, index_t j, Scratch& s) const
    {
        const int64_t head_kv = h / (p_.num_heads / p_.num_heads_kv);
        const int64_t first = (b * p_.num_heads + h) * p_.seqlen_q + mask.rows(i).begin;
        const auto rows = mask.rows(i), cols = mask.cols(j);
        bits_t bits[kTileQ], keep_bits[kTileQ];
        BwdTile<Real> tile{};
        tile.num_q = rows.size();
        tile.num_k = cols.size();
        tile.head_dim = q_.columns;
        tile.head_dim_v = v_.columns;
        tile.softmax_scale = static_cast<Real>(p_.softmax_scale);
        tile.keep_scale = extras_.keep_scale();
        const auto k = rows_of(k_, b, head_kv, cols).stage(kernels_, cols.size(), s.k);
        const auto v = rows_of(v_, b, head_kv, cols).stage(kernels_, cols.size(), s.v);
        kernels_.transpose(k.data, k.ld, cols.size(), q_.columns, s.k_t);
        kernels_.transpose(v.data, v.ld, cols.size(), v_.columns, s.v_t);
        const auto q = rows_of(q_, b, h, rows).stage(kernels_, rows.size(), s.q);
        const auto d_o = rows_of(d_o_, b, h, rows).stage(kernels_, rows.size(), s.d_o);
        tile.k_t = s.k_t;
        tile.v_t = s.v_t;
        tile.q = q.data;
        tile.ld_q = q.ld;
        tile.d_o = d_o.data;
        tile.ld_do = d_o.ld;
        tile.lse = lse_ + first;
        tile.delta = delta_ + first;
        tile.changes = extras_.changes(ScoreExtras<Real>::Layout::s, b, h, rows, cols, s.bias, s.bias_scratch);
        tile.query_bits = query_bits(mask, i, j, bits);
        tile.keep_bits = extras_.keep_query_bits(b, h, rows, cols, keep_bits);
        tile.s = s.scores;
        tile.dp = s.dp;
        BwdPlaces<Real>::in_place(tile);
        tile.dbias = s.dbias;
        kernels_.bwd_tile(tile);
        kernels_.add_rows(s.dbias, kTileK, rows.size(), cols.size(), s.sum, kTileK);
    }

    void write(int64_t b, int64_t h, index_t i, index_t j, const Scratch& s) const
    {
        const index_t num_q = masks_.distinct(0).rows(i).size(), num_k = masks_.distinct(0).cols(j).size();
        const int32_t dtype = p_.extras.bias_dtype;
        const int64_t at = b * out_.tensor.stride_batch + h * out_.tensor.stride_head +
                           i * int64_t{kTileQ} * out_.tensor.stride_seq + j * int64_t{kTileK} * out_.stride_k;
        char* data = static_cast<char*>(out_.tensor.data) + at * element_size(dtype);
        kernels_.store_rows[dtype](s.sum, kTileK, num_q, num_k, data, out_.tensor.stride_seq);
    }

    static TensorRows<Real> rows_of(const Source& source, int64_t b, int64_t h, ck_tile_masks::Interval rows)
    {
        return TensorRows<Real>(source, b, h).from(rows.begin);
    }

    const ck_fmha_problem& p_;
    const TileKernels<Real>& kernels_;
    const MaskedHeads& masks_;
    const ScoreExtras<Real>& extras_;
    const Real *lse_, *delta_;
    const ck_fmha_scores out_;
    const Source q_, k_, v_, d_o_;
};

template <class Real>
void bias_gradient(const ck_fmha_bwd_args& args, const MaskedHeads& masks, const ScoreExtras<Real>& extras,
                   const Real* lse, const Real* delta)
{
    BiasGradient<Real>(args, masks, extras, lse, delta).run();
}

} // namespace ck_fmha::cpu
