#include <atomic>
#include <limits>
#include <memory>
#include <vector>

#include "cpu/attention.hpp"
#include "cpu/converted.hpp"
#include "cpu/huge_pages.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plans.hpp"
#include "cpu/row_plan.hpp"
#include "cpu/score_extras.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/tile_kernels.hpp"
#include "cpu/workspace.hpp"
#include "fmha/validate.hpp"

// Forward: each work item walks the live tiles of one row of tiles (or of a part of it, when the row is long) with the
// online softmax of Milakov and Gimelshein (2018), as FlashAttention does (Dao et al., 2022).

namespace ck_fmha::cpu {
namespace {

// Tiles of Q, K and V as operands, where they do not lie so in memory.
template <class Operand>
struct StagedTile {
    Operand *q, *q_t, *k, *v;

    void lay_out(Arena& arena, int head_dim, int head_dim_v)
    {
        const size_t d = packed_head_dim<Operand>(head_dim), dv = padded_head_dim(head_dim_v);
        q = arena.take<Operand>(kTileQ * d);
        q_t = arena.take<Operand>(d * kTileQ);
        k = arena.take<Operand>(kTileK * d);
        v = arena.take<Operand>(packed<Operand>(kTileK) * dv);
    }
};

// What one thread works with.
template <class Operand>
struct Scratch {
    using Real = RealOf<Operand>;
    StagedTile<Operand> staged;
    StagedTile<Real> numbers; // of a tile that cannot be split
    Operand* p_t;
    Real *s_t, *o, *bias, *bias_scratch;
    FwdState<Real> state;

    void lay_out(Arena& arena, int head_dim, int head_dim_v, bool has_bias)
    {
        const size_t dv = padded_head_dim(head_dim_v);
        staged.lay_out(arena, head_dim, head_dim_v);
        s_t = arena.take<Real>(kTileK * kTileQ);
        p_t = reinterpret_cast<Operand*>(s_t);
        if (kParts<Operand> > 1) {
            p_t = arena.take<Operand>(packed<Operand>(kTileK) * kTileQ);
            numbers.lay_out(arena, head_dim, head_dim_v);
        }
        o = arena.take<Real>(kTileQ * dv);
        for (Real** tile : {&bias, &bias_scratch})
            *tile = has_bias ? arena.take<Real>(kTileK * kTileQ) : nullptr;
        state = lay_out_state(arena, head_dim_v);
    }
    static FwdState<Real> lay_out_state(Arena& arena, int head_dim_v)
    {
        FwdState<Real> s{};
        s.m = arena.take<Real>(kTileQ);
        s.l = arena.take<Real>(kTileQ);
        s.o_t = arena.take<Real>(static_cast<size_t>(head_dim_v) * kTileQ);
        return s;
    }
};

template <class Operand>
class Forward {
    using Real = RealOf<Operand>;

public:
    Forward(const ck_fmha_fwd_args& args, const MaskExpr& mask)
        : p_(args.problem),
          head_dim_(static_cast<int>(p_.head_dim)),
          head_dim_v_(static_cast<int>(p_.head_dim_v)),
          kernels_(tile_kernels<Operand>()),
          results_(tile_kernels<Real>()),
          extras_(p_),
          natural_scores_(needs_natural_scores(extras_.change_scores(), static_cast<Real>(p_.softmax_scale))),
          plan_(plan_of<RowPlan>(mask, p_)),
          masks_(plan_->masks()),
          q_{args.q, p_.dtype, head_dim_},
          o_{args.o, p_.dtype, head_dim_v_},
          k_({args.k, p_.dtype, head_dim_}, p_.batch, p_.num_heads_kv, p_.seqlen_k, keys_are_reread(),
             Pairing::columns),
          v_({args.v, p_.dtype, head_dim_v_}, p_.batch, p_.num_heads_kv, p_.seqlen_k, keys_are_reread(),
             Pairing::rows_transposed),
          lse_(static_cast<Real*>(args.lse)),
          partial_(plan_->num_slots()),
          finished_parts_(std::make_unique<std::atomic<int32_t>[]>(plan_->num_cut_rows()))
    {
    }

    void run()
    {
        const int64_t num_items = plan_->num_items();
        const int workers = num_workers(p_.num_threads, num_items);
        std::vector<Scratch<Operand>> scratch(workers);
        const Workspace memory([&](Arena& arena) {
            for (Scratch<Operand>& s : scratch)
                s.lay_out(arena, head_dim_, head_dim_v_, extras_.has_bias());
            for (FwdState<Real>& s : partial_)
                s = Scratch<Operand>::lay_out_state(arena, head_dim_v_);
            k_.lay_out(arena);
            v_.lay_out(arena);
        });
        const auto compute = [&](size_t n, int thread) { run_item(static_cast<int64_t>(n), scratch[thread]); };
        parallel_for(p_.num_threads, num_items, compute);
    }

private:
    using Item = RowPlan::Item;
    using Interval = ck_tile_masks::Interval;

    // Is a tile of keys visited more than twice on average?
    bool keys_are_reread() const
    {
        const int64_t tiles = p_.batch * p_.num_heads_kv * masks_.distinct(0).num_tiles_x();
        return plan_->num_live() > 2 * tiles;
    }

    void run_item(int64_t n, Scratch<Operand>& s)
    {
        const Item item = plan_->item(n);
        const TileRange& range = *item.range;
        const bool whole_row = range.num_parts == 1;
        const FwdState<Real>& state = whole_row ? s.state : partial_[item.slot];
        walk(item, queries_of(n + 1), s, state);
        if (whole_row) {
            write(item, s, state);
        } else if (++finished_parts_[item.row] == range.num_parts) {
            // The last part to finish merges all of them, in their order.
            const int32_t first = item.slot - range.part;
            for (int32_t part = 1; part < range.num_parts; ++part)
                results_.fwd_merge(partial_[first], partial_[first + part], head_dim_v_, natural_scores_);
            write(item, s, partial_[first]);
        }
    }

    // What the thread that computes the item before most likely reads next.
    NextRows queries_of(int64_t n) const
    {
        if (n >= plan_->num_items()) return {};
        const Item item = plan_->item(n);
        const auto rows = masks_.at(item.batch, item.head).rows(item.range->line);
        return TensorRows<Operand>(q_, item.batch, item.head).soon(rows);
    }

    // m, l, O over the live tiles of the item's range
    void walk(const Item& item, const NextRows& next_q, Scratch<Operand>& s, const FwdState<Real>& state)
    {
        const TiledMask& mask = masks_.at(item.batch, item.head);
        const index_t i = item.range->line;
        const int64_t b = item.batch, h = item.head, head_kv = h / (p_.num_heads / p_.num_heads_kv);
        const auto rows = mask.rows(i);
        const auto q = TensorRows<Operand>(q_, b, h).from(rows.begin);
        const TensorRows<Operand> o(o_, b, h);
        bits_t bits[kTileQ], keep_bits[kTileQ];
        const TileScope<Operand> scope(kernels_);

        FwdTile<Operand> tile{};
        tile.num_q = rows.size();
        tile.head_dim = head_dim_;
        tile.head_dim_v = head_dim_v_;
        tile.softmax_scale = static_cast<Real>(p_.softmax_scale);
        tile.first = true;
        tile.natural_scores = natural_scores_;
        tile.s_t = s.s_t;
        tile.p_t = s.p_t;
        tile.state = state;

        if (q.can_split(kernels_, tile.num_q)) {
            const auto staged_q = q.stage(kernels_, tile.num_q, s.staged.q);
            kernels_.transpose(staged_q.data, staged_q.ld, tile.num_q, packed<Operand>(head_dim_), s.staged.q_t);
            tile.q_t = s.staged.q_t;
        }
        for (auto next = mask.GetTileIndexIteratorAlongX(i, item.range->begin, item.range->end); !next.at_end();) {
            const index_t j = next.current();
            next.advance();
            const auto cols = mask.cols(j);
            tile.num_k = cols.size();
            const auto staged_k = k_.tile(kernels_, b, head_kv, cols, s.staged.k);
            const auto staged_v = v_.tile(kernels_, b, head_kv, cols, s.staged.v);
            tile.k = staged_k.data;
            tile.ld_k = staged_k.ld;
            tile.v = staged_v.data;
            tile.ld_v = staged_v.ld;
            tile.next[0] = next.at_end() ? next_q : k_.soon(b, head_kv, mask.cols(next.current()));
            tile.next[1] = next.at_end() ? o.soon(rows) : v_.soon(b, head_kv, mask.cols(next.current()));
            tile.changes = extras_.changes(ScoreExtras<Real>::Layout::s_t, b, h, rows, cols, s.bias, s.bias_scratch);
            tile.query_bits = query_bits(mask, i, j, bits);
            tile.keep_bits = extras_.keep_key_bits(b, h, rows, cols, keep_bits);
            if (tile.q_t && tile.k && tile.v)
                kernels_.fwd_tile(tile);
            else
                compute_numbers(tile, b, h, rows, cols, s.numbers);
            tile.first = false;
        }
        if (tile.first) { // nothing attended: the state of the empty row
            std::fill_n(state.m, kTileQ, -std::numeric_limits<Real>::infinity());
            std::fill_n(state.l, kTileQ, Real(0));
            std::fill_n(state.o_t, head_dim_v_ * kTileQ, Real(0));
        }
    }

    // A tile with numbers that are not the sums of their parts, which changes the state as `split` would.
    void compute_numbers(const FwdTile<Operand>& split, int64_t b, int64_t h, Interval rows, Interval cols,
                         StagedTile<Real>& staged)
    {
        if constexpr (kParts<Operand> > 1) {
            const int64_t head_kv = h / (p_.num_heads / p_.num_heads_kv);
            const auto numbers = [](const Source& source, int64_t batch, int64_t head, Interval part) {
                return TensorRows<Real>(source, batch, head).from(part.begin);
            };
            const auto q = numbers(q_, b, h, rows).stage(results_, rows.size(), staged.q);
            const auto k = numbers(k_.original(), b, head_kv, cols).stage(results_, cols.size(), staged.k);
            const auto v = numbers(v_.original(), b, head_kv, cols).stage(results_, cols.size(), staged.v);
            results_.transpose(q.data, q.ld, rows.size(), head_dim_, staged.q_t);
            results_.fwd_tile({split, staged.q_t, k.data, k.ld, v.data, v.ld, split.s_t});
        }
    }

    // O / l and the LSE
    void write(const Item& item, Scratch<Operand>& s, const FwdState<Real>& state)
    {
        const auto rows = masks_.at(item.batch, item.head).rows(item.range->line);
        const auto o = TensorRows<Real>(o_, item.batch, item.head).from(rows.begin);
        Real* lse = lse_ + (item.batch * p_.num_heads + item.head) * p_.seqlen_q + rows.begin;
        Real* direct = o.own();
        const ptrdiff_t ld = direct ? o.stride() : head_dim_v_;
        results_.fwd_finish(state, rows.size(), head_dim_v_, natural_scores_, extras_.keep_scale(),
                            direct ? direct : s.o, ld, lse);
        if (!direct) o.write(results_, s.o, head_dim_v_, rows.size());
    }

    const ck_fmha_problem& p_;
    const int head_dim_, head_dim_v_;
    const TileKernels<Operand>& kernels_;
    const TileKernels<Real>& results_;
    const ScoreExtras<Real> extras_;
    const bool natural_scores_;
    const std::shared_ptr<const RowPlan> plan_;
    const MaskedHeads& masks_;
    const Source q_, o_;
    Converted<Operand> k_, v_;
    Real* lse_;
    std::vector<FwdState<Real>> partial_;
    std::unique_ptr<std::atomic<int32_t>[]> finished_parts_; // per cut row
};

} // namespace

void attention_forward(const ck_fmha_fwd_args& args, const MaskExpr& mask)
{
    validate(args);
    mask.check_counts(args.problem.batch, args.problem.num_heads);
    const ck_fmha_problem& p = args.problem;
    if (p.batch == 0 || p.num_heads == 0 || p.seqlen_q == 0) return;
    want_huge_pages(args.o, p.batch, p.num_heads, p.seqlen_q, p.head_dim_v, p.dtype);
    if (p.dtype == CK_FMHA_FLOAT64)
        Forward<double>(args, mask).run();
    else if (p.dtype == CK_FMHA_BFLOAT16 && has_products<Bf16Pair>())
        Forward<Bf16Pair>(args, mask).run();
    else if (p.dtype == CK_FMHA_FLOAT16 && has_products<Float16Pair>())
        Forward<Float16Pair>(args, mask).run();
    else
        Forward<float>(args, mask).run();
}

} // namespace ck_fmha::cpu
