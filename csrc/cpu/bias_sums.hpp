#pragma once

#include <algorithm>
#include <vector>

#include "cpu/column_plan.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

// The gradient of the bias, as far as the backward pass gathers it on its way over the tiles: dS of the scores that the
// bias was added to, summed over the dimensions that it was broadcast over. Every number of it is one sum in an order
// that does not depend on the threads:
//
//     none broadcast    each tile is written where it belongs
//     over queries      each segment of a column of tiles sums over its rows; at last the segments are summed
//     over keys alone   each row sums over its tiles in the order of columns, as dQ does; at last the heads are summed
//
// A bias with queries and keys that heads or samples share is left to a pass of its own (bias_gradient.hpp).
template <class Real>
class BiasSums {
public:
    using Interval = ck_tile_masks::Interval;

    BiasSums(const ck_fmha_bwd_args& args, const ColumnPlan& plan)
        : p_(args.problem), out_(args.dbias), kernels_(tile_kernels<Real>()), plan_(plan)
    {
        const ck_fmha_tensor& t = out_.tensor;
        over_batch_ = t.stride_batch == 0 && p_.batch > 1;
        over_heads_ = t.stride_head == 0 && p_.num_heads > 1;
        over_queries_ = t.stride_seq == 0 && p_.seqlen_q > 1;
        over_keys_ = out_.stride_k == 0 && p_.seqlen_k > 1;
    }

    bool wanted() const { return out_.tensor.data; }
    bool of_queries() const { return wanted() && over_queries_; }
    bool of_keys() const { return wanted() && over_keys_ && !over_queries_; }
    bool of_tiles() const { return wanted() && !over_queries_ && !over_keys_ && !over_batch_ && !over_heads_; }
    // Does the backward pass gather it?
    bool gathered() const { return of_queries() || of_keys() || of_tiles(); }

    void lay_out(Arena& arena)
    {
        const int64_t rows = p_.batch * p_.num_heads * p_.seqlen_q;
        of_segments_ = of_queries() ? arena.take<Real>(plan_.end().segment * kTileK) : nullptr;
        of_rows_ = of_keys() ? arena.take<Real>(rows) : nullptr;
    }

    void write_tile(int64_t b, int64_t h, Interval rows, Interval cols, const Real* tile) const
    {
        store(b, h, rows.begin, cols.begin, tile, kTileK, rows.size(), cols.size());
    }

    // Sums over queries: those of a segment begin at zero, ...
    void begin_segment(int64_t segment) const
    {
        if (of_segments_) std::fill_n(of_segments_ + segment * kTileK, kTileK, Real(0));
    }
    // ... and get a tile's sums. `line` holds kTileK numbers.
    void add_to_segment(int64_t segment, int num_q, int num_k, const Real* tile, Real* line) const
    {
        std::fill_n(line, kTileK, Real(0));
        kernels_.add_rows(tile, kTileK, num_q, num_k, line, 0);
        kernels_.add_rows(line, kTileK, 1, num_k, of_segments_ + segment * kTileK, kTileK);
    }

    // Sums over keys: those of rows begin at zero, ...
    void begin_rows(int64_t b, int64_t h, Interval rows) const
    {
        if (of_rows_) std::fill_n(of_rows(b, h, rows), rows.size(), Real(0));
    }
    // ... a tile's sums are made in `line`, of kTileQ numbers, with `transposed` as scratch, ...
    void sum_over_keys(int num_q, int num_k, const Real* tile, Real* transposed, Real* line) const
    {
        std::fill_n(line, kTileQ, Real(0));
        kernels_.transpose(tile, kTileK, num_q, num_k, transposed);
        kernels_.add_rows(transposed, kTileQ, num_k, num_q, line, 0);
    }
    // ... and added when it is the column's turn.
    void add_to_rows(int64_t b, int64_t h, Interval rows, const Real* line) const
    {
        kernels_.add_rows(line, kTileQ, 1, rows.size(), of_rows(b, h, rows), kTileQ);
    }

    // After the last tile: the sums of segments and rows become the result.
    void finish() const
    {
        if (of_queries())
            finish_segments();
        else if (of_keys())
            finish_rows();
    }

private:
    Real* of_rows(int64_t b, int64_t h, Interval rows) const
    {
        return of_rows_ + (b * p_.num_heads + h) * p_.seqlen_q + rows.begin;
    }

    int64_t results_of_batch() const { return over_batch_ ? 1 : p_.batch; }
    int64_t results_of_heads() const { return over_heads_ ? 1 : p_.num_heads; }
    int64_t result_of(int64_t b, int64_t h) const
    {
        return (over_batch_ ? 0 : b) * results_of_heads() + (over_heads_ ? 0 : h);
    }

    void finish_segments() const
    {
        const int64_t keys = over_keys_ ? 1 : p_.seqlen_k;
        std::vector<double> sums(results_of_batch() * results_of_heads() * keys); // double, for there may be many terms
        const int64_t group = p_.num_heads / p_.num_heads_kv;
        for (int64_t pair = 0; pair < plan_.num_pairs(); ++pair)
            for (const ColumnPlan::Task& task : plan_.list(pair).tasks)
                for (int32_t n = task.first_segment; n < task.first_segment + task.num_segments; ++n) {
                    const ColumnPlan::Segment& segment = plan_.list(pair).segments[n];
                    const int64_t h = pair % p_.num_heads_kv * group + segment.head_in_group;
                    const Interval cols = plan_.masks().distinct(0).cols(task.line);
                    const Real* terms = of_segments_ + (plan_.first(pair).segment + n) * kTileK;
                    double* sum = sums.data() + result_of(pair / p_.num_heads_kv, h) * keys;
                    for (index_t c = 0; c < cols.size(); ++c)
                        sum[over_keys_ ? 0 : cols.begin + c] += terms[c];
                }
        write(sums, [&](int64_t b, int64_t h, int64_t first, const Real* numbers, int count) {
            store(b, h, 0, first, numbers, count, 1, count);
        });
    }

    void finish_rows() const
    {
        std::vector<double> sums(results_of_batch() * results_of_heads() * p_.seqlen_q);
        for (int64_t b = 0; b < p_.batch; ++b)
            for (int64_t h = 0; h < p_.num_heads; ++h) {
                const Real* terms = of_rows_ + (b * p_.num_heads + h) * p_.seqlen_q;
                double* sum = sums.data() + result_of(b, h) * p_.seqlen_q;
                for (int64_t i = 0; i < p_.seqlen_q; ++i)
                    sum[i] += terms[i];
            }
        write(sums, [&](int64_t b, int64_t h, int64_t first, const Real* numbers, int count) {
            store(b, h, first, 0, numbers, 1, count, 1);
        });
    }

    // Calls store_numbers(b, h, first, numbers, count) for pieces of the sums, equally many for each result.
    template <class StoreNumbers>
    void write(const std::vector<double>& sums, const StoreNumbers& store_numbers) const
    {
        const int64_t results = results_of_batch() * results_of_heads();
        const int64_t each = static_cast<int64_t>(sums.size()) / std::max<int64_t>(results, 1);
        Real numbers[kTileK];
        for (int64_t r = 0; r < results; ++r)
            for (int64_t first = 0; first < each; first += kTileK) {
                const int count = static_cast<int>(std::min<int64_t>(kTileK, each - first));
                for (int n = 0; n < count; ++n)
                    numbers[n] = static_cast<Real>(sums[r * each + first + n]);
                store_numbers(r / results_of_heads(), r % results_of_heads(), first, numbers, count);
            }
    }

    void store(int64_t b, int64_t h, int64_t i, int64_t j, const Real* src, int ld_src, int rows, int cols) const
    {
        const ck_fmha_tensor& t = out_.tensor;
        const int32_t dtype = p_.extras.bias_dtype;
        const int64_t at = b * t.stride_batch + h * t.stride_head + i * t.stride_seq + j * out_.stride_k;
        kernels_.store_rows[dtype](src, ld_src, rows, cols, static_cast<char*>(t.data) + at * element_size(dtype),
                                   t.stride_seq);
    }

    const ck_fmha_problem& p_;
    const ck_fmha_scores out_;
    const TileKernels<Real>& kernels_;
    const ColumnPlan& plan_;
    bool over_batch_, over_heads_, over_queries_, over_keys_;
    Real* of_segments_ = nullptr; // (segments of the call, kTileK)
    Real* of_rows_ = nullptr;     // (batch, num_heads, seqlen_q)
};

} // namespace ck_fmha::cpu
