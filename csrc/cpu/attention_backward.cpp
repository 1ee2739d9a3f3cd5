#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "cpu/attention.hpp"
#include "cpu/backward_scratch.hpp"
#include "cpu/bias_gradient.hpp"
#include "cpu/bias_sums.hpp"
#include "cpu/column_plan.hpp"
#include "cpu/converted.hpp"
#include "cpu/huge_pages.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plans.hpp"
#include "cpu/row_sums.hpp"
#include "cpu/score_extras.hpp"
#include "cpu/task_queue.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/tile_kernels.hpp"
#include "cpu/workspace.hpp"
#include "fmha/validate.hpp"

// Backward: each task walks the live tiles of one column of tiles (or of a part of a long one), recomputes P from Q, K
// and the LSE, keeps dK and dV of its column, and adds each tile's dQ to its row, where the columns take turns
// (row_sums.hpp). Tasks of a (batch, head_kv) are handed out in ascending order of columns, hence the column that a
// task waits for has been handed out before and waits for smaller ones only: no deadlock.

namespace ck_fmha::cpu {
namespace {

template <class Operand>
class Backward {
    using Real = RealOf<Operand>;

public:
    Backward(const ck_fmha_bwd_args& args, const MaskExpr& mask)
        : args_(args),
          p_(args.problem),
          head_dim_(static_cast<int>(p_.head_dim)),
          head_dim_v_(static_cast<int>(p_.head_dim_v)),
          ld_(padded_head_dim(head_dim_)),
          ld_v_(padded_head_dim(head_dim_v_)),
          group_(p_.num_heads / p_.num_heads_kv),
          kernels_(tile_kernels<Operand>()),
          results_(tile_kernels<Real>()),
          extras_(p_),
          plan_(plan_of<ColumnPlan>(mask, p_)),
          masks_(plan_->masks()),
          bias_sums_(args, *plan_),
          row_sums_(args, masks_, bias_sums_),
          num_row_tiles_(masks_.distinct(0).num_tiles_y()),
          k_{args.k, p_.dtype, head_dim_},
          v_{args.v, p_.dtype, head_dim_v_},
          q_{args.q, p_.dtype, head_dim_},
          d_o_{args.d_o, p_.dtype, head_dim_v_},
          dk_{args.dk, p_.dtype, head_dim_},
          dv_{args.dv, p_.dtype, head_dim_v_},
          q_cols_(q_, p_.batch, p_.num_heads, p_.seqlen_q, queries_are_reread(), Pairing::columns),
          d_o_cols_(d_o_, p_.batch, p_.num_heads, p_.seqlen_q, queries_are_reread(), Pairing::columns),
          q_rows_(q_, p_.batch, p_.num_heads, p_.seqlen_q, queries_are_reread(), Pairing::rows),
          d_o_rows_(d_o_, p_.batch, p_.num_heads, p_.seqlen_q, queries_are_reread(), Pairing::rows)
    {
    }

    void run()
    {
        const int64_t num_row_tiles = p_.batch * p_.num_heads * num_row_tiles_;
        const bool any = args_.dq.data || args_.dk.data || args_.dv.data || bias_sums_.gathered();
        const int64_t num_tasks = any ? plan_->num_tasks() : 0;
        const int workers = num_workers(p_.num_threads, std::max(num_row_tiles, num_tasks));
        const int64_t rows = p_.batch * p_.num_heads * p_.seqlen_q;
        finished_parts_ = std::make_unique<std::atomic<int32_t>[]>(plan_->end().column);
        std::vector<BackwardScratch<Operand>> scratch(workers);
        const Workspace memory([&](Arena& arena) {
            for (BackwardScratch<Operand>& s : scratch) {
                s.lay_out(arena, head_dim_, head_dim_v_, extras_.has_bias(), bias_sums_.gathered());
                row_sums_.lay_out(arena, s.row_tiles);
            }
            lse_ = arena.take<Real>(rows);
            delta_ = arena.take<Real>(rows);
            row_sums_.lay_out(arena);
            partial_ = arena.take<Real>(static_cast<size_t>(plan_->end().slot) * kTileK * (ld_ + ld_v_));
            bias_sums_.lay_out(arena);
            if (kPack<Operand> > 1) {
                q_cols_.lay_out(arena);
                d_o_cols_.lay_out(arena);
            }
            q_rows_.lay_out(arena);
            d_o_rows_.lay_out(arena);
        });

        TaskQueue queue(*plan_);
        std::vector<TaskQueue::Work> at(workers, {-1, 0}); // what each thread did last
        const auto prepare = [&](size_t n, int thread) { prepare_row(static_cast<int64_t>(n), scratch[thread]); };
        const auto compute = [&](size_t, int thread) {
            if (queue.take(at[thread])) run_task(at[thread].pair, at[thread].task, scratch[thread]);
        };
        parallel_phases(p_.num_threads, workers, Phase(num_row_tiles, prepare), Phase(num_tasks, compute));
        if (bias_sums_.gathered())
            bias_sums_.finish();
        else if (bias_sums_.wanted())
            bias_gradient<Real>(args_, masks_, extras_, lse_, delta_);
    }

private:
    // Is a tile of queries visited more than twice on average?
    bool queries_are_reread() const { return plan_->num_live() > 2 * p_.batch * p_.num_heads * num_row_tiles_; }

    using Task = ColumnPlan::Task;
    using Segment = ColumnPlan::Segment;

    // Q and dO as they are read, delta, the LSE and the beginning of sums, for one row of tiles
    void prepare_row(int64_t row_tile, BackwardScratch<Operand>& s)
    {
        const int64_t bh = row_tile / num_row_tiles_, b = bh / p_.num_heads, h = bh % p_.num_heads;
        const TiledMask& mask = masks_.at(b, h);
        const auto i = static_cast<index_t>(row_tile % num_row_tiles_);
        const auto rows = mask.rows(i);
        const int64_t first = bh * p_.seqlen_q + rows.begin;

        const auto d_o = staged_numbers(d_o_rows_, b, h, rows, s.dv);
        const auto o = numbers_of({args_.o, p_.dtype, head_dim_v_}, b, h)
                           .from(rows.begin)
                           .stage_padded(results_, rows.size(), s.o);
        const Real* d_lse = static_cast<const Real*>(args_.dlse);
        results_.bwd_delta(d_o.data, d_o.ld, o.data, o.ld, d_lse ? d_lse + first : nullptr, rows.size(), head_dim_v_,
                           delta_ + first);
        const Real* lse = static_cast<const Real*>(args_.lse);
        constexpr Real infinity = std::numeric_limits<Real>::infinity();
        for (int64_t n = first; n < first + rows.size(); ++n)
            lse_[n] = lse[n] == -infinity ? infinity : lse[n]; // makes P = exp(S - lse) of an empty row zero
        row_sums_.begin(b, h, i);
    }

    typename TensorRows<Real>::Staged staged_numbers(const Converted<Operand>& tensor, int64_t b, int64_t h,
                                                     Interval rows, Real* buffer) const
    {
        if constexpr (kPack<Operand> == 1)
            return tensor.tile(kernels_, b, h, rows, buffer);
        else
            return numbers_of(tensor.original(), b, h).from(rows.begin).stage_padded(results_, rows.size(), buffer);
    }

    void run_task(int64_t pair, int64_t number, BackwardScratch<Operand>& s)
    {
        const Task& task = plan_->list(pair).tasks[number];
        const int64_t slot = plan_->first(pair).slot + task.slot;
        const bool whole_column = task.num_parts == 1;
        Real* dk = whole_column ? s.dk : partial_ + slot * kTileK * (ld_ + ld_v_);
        Real* dv = whole_column ? s.dv : dk + kTileK * ld_;
        walk(pair, number, s, dk, dv);
        if (whole_column) {
            write(pair, task, dk, dv);
        } else if (++finished_parts_[plan_->first(pair).column + task.column] == task.num_parts) {
            // The last part to finish adds up all of them, in their order.
            Real* first = partial_ + (slot - task.part) * kTileK * (ld_ + ld_v_);
            const int size = kTileK * (ld_ + ld_v_);
            for (int part = 1; part < task.num_parts; ++part)
                results_.add_rows(first + static_cast<ptrdiff_t>(part) * size, size, 1, size, first, size);
            write(pair, task, first, first + kTileK * ld_);
        }
    }

    // What the next tile reads of Q and dO.
    void set_next_rows(int64_t b, int64_t h, Interval rows, NextRows (&next)[4]) const
    {
        next[0] = q_rows_.soon(b, h, rows);
        next[1] = d_o_rows_.soon(b, h, rows);
        next[2] = kPack<Operand> > 1 ? q_cols_.soon(b, h, rows) : NextRows{};
        next[3] = kPack<Operand> > 1 ? d_o_cols_.soon(b, h, rows) : NextRows{};
    }
    // What the first tile of another head in the same task reads.
    void set_next_segment(int64_t pair, index_t j, int64_t number, NextRows (&next)[4]) const
    {
        const Segment& segment = plan_->list(pair).segments[number];
        const int64_t b = pair / p_.num_heads_kv, h = pair % p_.num_heads_kv * group_ + segment.head_in_group;
        const TiledMask& mask = masks_.at(b, h);
        const auto first = mask.GetTileIndexIteratorAlongY(j, segment.begin, segment.end);
        if (!first.at_end()) set_next_rows(b, h, mask.rows(first.current()), next);
    }

    // What is written after the last tile of a task, and read next if its thread goes on with the next task.
    void set_next_task(int64_t pair, int64_t number, NextRows (&next)[4]) const
    {
        const auto& tasks = plan_->list(pair).tasks;
        const int64_t b = pair / p_.num_heads_kv, head_kv = pair % p_.num_heads_kv;
        const auto cols = masks_.distinct(0).cols(tasks[number].line);
        next[0] = args_.dk.data ? numbers_of(dk_, b, head_kv).soon(cols) : NextRows{};
        next[1] = args_.dv.data ? numbers_of(dv_, b, head_kv).soon(cols) : NextRows{};
        const bool last = number + 1 == static_cast<int64_t>(tasks.size());
        const auto next_cols = last ? Interval{} : masks_.distinct(0).cols(tasks[number + 1].line);
        next[2] = rows_of(k_, b, head_kv).soon(next_cols);
        next[3] = rows_of(v_, b, head_kv).soon(next_cols);
    }

    // dK, dV and dQ over the live tiles of a task
    void walk(int64_t pair, int64_t number, BackwardScratch<Operand>& s, Real* dk, Real* dv)
    {
        const Task& task = plan_->list(pair).tasks[number];
        const int64_t b = pair / p_.num_heads_kv, head_kv = pair % p_.num_heads_kv;
        const index_t j = task.line;
        const auto cols = masks_.distinct(0).cols(j);
        bits_t bits[kTileQ], keep_bits[kTileQ];
        const TileScope<Operand> scope(kernels_);

        BwdTile<Operand> tile{};
        tile.num_k = cols.size();
        tile.head_dim = head_dim_;
        tile.head_dim_v = head_dim_v_;
        tile.softmax_scale = static_cast<Real>(p_.softmax_scale);
        tile.keep_scale = extras_.keep_scale();
        tile.s = s.s;
        tile.dp = s.dp;
        tile.p = s.p;
        tile.ds_rows = s.ds_rows;
        tile.ds = s.ds;
        if (BwdPlaces<Operand>::kInPlace) BwdPlaces<Operand>::in_place(tile);
        tile.dbias = s.dbias;
        tile.dk = args_.dk.data ? dk : nullptr;
        tile.dv = args_.dv.data ? dv : nullptr;
        std::fill_n(dk, kTileK * ld_, Real(0));
        std::fill_n(dv, kTileK * ld_v_, Real(0));

        const bool can_split_column = stage_column(kernels_, b, head_kv, cols, s.staged, tile);
        for (int32_t n = 0; n < task.num_segments; ++n) {
            const Segment& segment = plan_->list(pair).segments[task.first_segment + n];
            const int64_t h = head_kv * group_ + segment.head_in_group, bh = b * p_.num_heads + h;
            const int64_t segment_of_call = plan_->first(pair).segment + task.first_segment + n;
            bias_sums_.begin_segment(segment_of_call);
            const TiledMask& mask = masks_.at(b, h);
            for (auto next = mask.GetTileIndexIteratorAlongY(j, segment.begin, segment.end); !next.at_end();) {
                const index_t i = next.current();
                next.advance();
                const auto rows = mask.rows(i);
                const auto q_rows = q_rows_.tile(kernels_, b, h, rows, s.staged.q_rows);
                const auto d_o_rows = d_o_rows_.tile(kernels_, b, h, rows, s.staged.d_o_rows);
                auto q = q_rows, d_o = d_o_rows;
                if (kPack<Operand> > 1) {
                    q = q_cols_.tile(kernels_, b, h, rows, s.staged.q);
                    d_o = d_o_cols_.tile(kernels_, b, h, rows, s.staged.d_o);
                }
                if (!next.at_end())
                    set_next_rows(b, h, mask.rows(next.current()), tile.next);
                else if (n + 1 < task.num_segments)
                    set_next_segment(pair, j, task.first_segment + n + 1, tile.next);
                else
                    set_next_task(pair, number, tile.next);
                tile.num_q = rows.size();
                tile.dq = row_sums_.of_dq() ? s.row_tiles.current().dq : nullptr;
                tile.q = q.data;
                tile.ld_q = q.ld;
                tile.d_o = d_o.data;
                tile.ld_do = d_o.ld;
                tile.q_rows = q_rows.data;
                tile.ld_q_rows = q_rows.ld;
                tile.d_o_rows = d_o_rows.data;
                tile.ld_do_rows = d_o_rows.ld;
                tile.lse = lse_ + bh * p_.seqlen_q + rows.begin;
                tile.delta = delta_ + bh * p_.seqlen_q + rows.begin;
                tile.changes = extras_.changes(ScoreExtras<Real>::Layout::s, b, h, rows, cols, s.bias, s.bias_scratch);
                tile.query_bits = query_bits(mask, i, j, bits);
                tile.keep_bits = extras_.keep_query_bits(b, h, rows, cols, keep_bits);
                if (can_split_column && tile.q && tile.d_o && can_split(tile.delta, tile.num_q))
                    kernels_.bwd_tile(tile);
                else
                    compute_numbers(tile, b, h, head_kv, rows, cols, s.numbers);
                if (bias_sums_.of_tiles()) bias_sums_.write_tile(b, h, rows, cols, s.dbias);
                if (bias_sums_.of_queries())
                    bias_sums_.add_to_segment(segment_of_call, tile.num_q, tile.num_k, s.dbias, s.dbias_line);
                if (bias_sums_.of_keys())
                    bias_sums_.sum_over_keys(tile.num_q, tile.num_k, s.dbias, s.bias_scratch,
                                             s.row_tiles.current().bias);
                if (row_sums_.wanted()) row_sums_.add(s.row_tiles, b, h, i, j);
            }
        }
        row_sums_.add_rest(s.row_tiles);
    }

    // K and V of a column; can they be split?
    template <class Numbers>
    bool stage_column(const TileKernels<Numbers>& kernels, int64_t b, int64_t head_kv, Interval cols,
                      BackwardOperands<Numbers>& s, BwdTile<Numbers>& tile) const
    {
        const auto k = TensorRows<Numbers>(k_, b, head_kv).from(cols.begin);
        const auto v = TensorRows<Numbers>(v_, b, head_kv).from(cols.begin);
        if (!k.can_split(kernels, cols.size()) || !v.can_split(kernels, cols.size())) return false;
        const auto k_cols = k.stage(kernels, cols.size(), s.k), v_cols = v.stage(kernels, cols.size(), s.v);
        kernels.transpose(k_cols.data, k_cols.ld, cols.size(), packed<Numbers>(head_dim_), s.k_t);
        kernels.transpose(v_cols.data, v_cols.ld, cols.size(), packed<Numbers>(head_dim_v_), s.v_t);
        const auto k_rows = k.stage_rows(kernels, cols.size(), s.k, true);
        tile.k_t = s.k_t;
        tile.v_t = s.v_t;
        tile.k = k_rows.data;
        tile.ld_k = k_rows.ld;
        return true;
    }

    // A tile with numbers that are not the sums of their parts, which does what `split` would.
    void compute_numbers(const BwdTile<Operand>& split, int64_t b, int64_t h, int64_t head_kv, Interval rows,
                         Interval cols, BackwardOperands<Real>& staged) const
    {
        if constexpr (kParts<Operand> > 1) {
            BwdTile<Real> tile{};
            static_cast<BwdTileCall<Real>&>(tile) = split;
            BwdPlaces<Real>::in_place(tile);
            stage_column(results_, b, head_kv, cols, staged, tile);
            const auto q = numbers_of(q_, b, h).from(rows.begin).stage_padded(results_, rows.size(), staged.q);
            const auto d_o = numbers_of(d_o_, b, h).from(rows.begin).stage_padded(results_, rows.size(), staged.d_o);
            tile.q = tile.q_rows = q.data;
            tile.ld_q = tile.ld_q_rows = q.ld;
            tile.d_o = tile.d_o_rows = d_o.data;
            tile.ld_do = tile.ld_do_rows = d_o.ld;
            results_.bwd_tile(tile);
        }
    }

    // Is dS the sum of its parts with these deltas?
    static bool can_split(const Real* delta, int count)
    {
        return kParts<Operand> == 1 ||
               std::all_of(delta, delta + count, [](Real x) { return std::abs(x) <= kLargestDelta; });
    }

    void write(int64_t pair, const Task& task, const Real* dk, const Real* dv) const
    {
        const int64_t b = pair / p_.num_heads_kv, head_kv = pair % p_.num_heads_kv;
        const auto cols = masks_.distinct(0).cols(task.line);
        if (args_.dk.data) numbers_of(dk_, b, head_kv).from(cols.begin).write(results_, dk, ld_, cols.size());
        if (args_.dv.data) numbers_of(dv_, b, head_kv).from(cols.begin).write(results_, dv, ld_v_, cols.size());
    }

    static TensorRows<Operand> rows_of(const Source& source, int64_t batch, int64_t head)
    {
        return TensorRows<Operand>(source, batch, head);
    }
    static TensorRows<Real> numbers_of(const Source& source, int64_t batch, int64_t head)
    {
        return TensorRows<Real>(source, batch, head);
    }

    const ck_fmha_bwd_args& args_;
    const ck_fmha_problem& p_;
    const int head_dim_, head_dim_v_;
    const int ld_, ld_v_;
    const int64_t group_; // query heads per key/value head
    const TileKernels<Operand>& kernels_;
    const TileKernels<Real>& results_;
    const ScoreExtras<Real> extras_;
    const std::shared_ptr<const ColumnPlan> plan_;
    const MaskedHeads& masks_;
    BiasSums<Real> bias_sums_;
    RowSums<Real> row_sums_;
    const int64_t num_row_tiles_;
    const Source k_, v_, q_, d_o_, dk_, dv_;
    Converted<Operand> q_cols_, d_o_cols_; // of pairs only
    Converted<Operand> q_rows_, d_o_rows_;

    std::unique_ptr<std::atomic<int32_t>[]> finished_parts_; // per cut column
    Real *lse_ = nullptr, *delta_ = nullptr, *partial_ = nullptr;
};

} // namespace

void attention_backward(const ck_fmha_bwd_args& args, const MaskExpr& mask)
{
    validate(args);
    mask.check_counts(args.problem.batch, args.problem.num_heads);
    const ck_fmha_problem& p = args.problem;
    if (p.batch == 0 || p.num_heads == 0) return;
    want_huge_pages(args.dq, p.batch, p.num_heads, p.seqlen_q, p.head_dim, p.dtype);
    want_huge_pages(args.dk, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim, p.dtype);
    want_huge_pages(args.dv, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim_v, p.dtype);
    if (p.dtype == CK_FMHA_FLOAT64)
        Backward<double>(args, mask).run();
    else if (p.dtype == CK_FMHA_BFLOAT16 && has_products<Bf16Pair>())
        Backward<Bf16Pair>(args, mask).run();
    else if (p.dtype == CK_FMHA_FLOAT16 && has_products<Float16Pair>())
        Backward<Float16Pair>(args, mask).run();
    else
        Backward<float>(args, mask).run();
}

} // namespace ck_fmha::cpu
