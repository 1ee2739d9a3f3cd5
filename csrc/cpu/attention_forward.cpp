#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <vector>

#include "cpu/attention.hpp"
#include "cpu/masked_heads.hpp"
#include "cpu/parallel.hpp"
#include "cpu/ranges.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/tile_kernels.hpp"
#include "cpu/workspace.hpp"
#include "fmha/validate.hpp"

// Forward: each work item walks the live tiles of one row of tiles (or of a part of it, when the row is long) with the
// online softmax of Milakov and Gimelshein (2018), as FlashAttention does (Dao et al., 2022).

namespace ck_fmha::cpu {
namespace {

struct Item {
    int32_t batch;
    int32_t head;
    TileRange range;
    int32_t row;  // number of the cut row, counted over the call
    int32_t slot; // place of this part's partial result
};

// What one thread works with.
struct Scratch {
    float *q_t, *s_t, *k, *v, *rows;
    FwdState state;

    void lay_out(Arena& arena, int head_dim, int head_dim_v)
    {
        const size_t d = padded_head_dim(head_dim), dv = padded_head_dim(head_dim_v);
        q_t = arena.take<float>(d * kTileQ);
        s_t = arena.take<float>(kTileK * kTileQ);
        k = arena.take<float>(kTileK * d);
        v = arena.take<float>(kTileK * dv);
        rows = arena.take<float>(kTileQ * (d > dv ? d : dv));
        state = lay_out_state(arena, head_dim_v);
    }
    static FwdState lay_out_state(Arena& arena, int head_dim_v)
    {
        FwdState s{};
        s.m = arena.take<float>(kTileQ);
        s.l = arena.take<float>(kTileQ);
        s.o_t = arena.take<float>(static_cast<size_t>(head_dim_v) * kTileQ);
        return s;
    }
};

class Forward {
public:
    Forward(const ck_fmha_fwd_args& args, const MaskExpr& mask)
        : args_(args),
          p_(args.problem),
          head_dim_(static_cast<int>(p_.head_dim)),
          head_dim_v_(static_cast<int>(p_.head_dim_v)),
          kernels_(tile_kernels()),
          masks_(mask, p_)
    {
        make_items();
    }

    void run()
    {
        const int num_threads = std::min<int64_t>(p_.num_threads, static_cast<int64_t>(items_.size()));
        std::vector<Scratch> scratch(num_threads);
        const Workspace memory([&](Arena& arena) {
            for (Scratch& s : scratch)
                s.lay_out(arena, head_dim_, head_dim_v_);
            for (FwdState& s : partial_)
                s = Scratch::lay_out_state(arena, head_dim_v_);
        });
        parallel_for(num_threads, items_.size(), [&](size_t n, int thread) { run_item(items_[n], scratch[thread]); });
    }

private:
    void make_items()
    {
        const LineCounts<Axis::rows> counts(masks_, p_);
        int32_t num_rows = 0, num_slots = 0;
        items_.reserve(p_.batch * p_.num_heads * masks_.distinct(0).num_tiles_y());
        for (int32_t b = 0; b < p_.batch; ++b)
            for (int32_t h = 0; h < p_.num_heads; ++h) {
                const size_t begin = items_.size();
                for (index_t line = 0; line < masks_.at(b, h).num_tiles_y(); ++line) {
                    int32_t num_parts = 1;
                    counts.cut(masks_, masks_.index(b, h), line, [&](const TileRange& range) {
                        items_.push_back({b, h, range, num_rows, num_slots + range.part});
                        num_parts = range.num_parts;
                    });
                    if (num_parts > 1) {
                        ++num_rows;
                        num_slots += num_parts;
                    }
                }
                put_longest_first(begin);
            }
        partial_.resize(num_slots);
        finished_parts_ = std::make_unique<std::atomic<int32_t>[]>(num_rows);
    }

    // Orders the items from `begin` on by falling power of two of their live tiles, so that the last ones to finish are
    // short. Linear, for there are as many items as rows of tiles.
    void put_longest_first(size_t begin)
    {
        const auto power = [](const Item& item) { return std::ilogb(static_cast<float>(item.range.num_live + 1)); };
        std::array<size_t, 33> place{}; // of the next item of each power, the highest first
        for (size_t n = begin; n < items_.size(); ++n)
            ++place[32 - power(items_[n])];
        std::exclusive_scan(place.begin(), place.end(), place.begin(), begin);
        std::vector<Item> unordered(items_.begin() + static_cast<ptrdiff_t>(begin), items_.end());
        for (const Item& item : unordered)
            items_[place[32 - power(item)]++] = item;
    }

    void run_item(const Item& item, Scratch& s)
    {
        const bool whole_row = item.range.num_parts == 1;
        const FwdState& state = whole_row ? s.state : partial_[item.slot];
        walk(item, s, state);
        if (whole_row) {
            write(item, s, state);
        } else if (++finished_parts_[item.row] == item.range.num_parts) {
            // The last part to finish merges all of them, in their order.
            const int32_t first = item.slot - item.range.part;
            for (int32_t part = 1; part < item.range.num_parts; ++part)
                kernels_.fwd_merge(partial_[first], partial_[first + part], head_dim_v_);
            write(item, s, partial_[first]);
        }
    }

    // m, l, O over the live tiles of the item's range
    void walk(const Item& item, Scratch& s, const FwdState& state)
    {
        const TiledMask& mask = masks_.at(item.batch, item.head);
        const index_t i = item.range.line;
        const int64_t head_kv = item.head / (p_.num_heads / p_.num_heads_kv);
        const TensorRows q = rows_of(args_.q, item.batch, item.head, head_dim_).from(mask.rows(i).begin);
        const TensorRows k = rows_of(args_.k, item.batch, head_kv, head_dim_);
        const TensorRows v = rows_of(args_.v, item.batch, head_kv, head_dim_v_);
        uint64_t bits[kTileQ];

        FwdTile tile{};
        tile.num_q = mask.rows(i).size();
        tile.head_dim = head_dim_;
        tile.head_dim_v = head_dim_v_;
        tile.softmax_scale = static_cast<float>(p_.softmax_scale);
        tile.first = true;
        tile.q_t = s.q_t;
        tile.s_t = s.s_t;
        tile.state = state;

        const auto staged_q = q.stage(kernels_, tile.num_q, s.rows);
        kernels_.transpose(staged_q.data, staged_q.ld, tile.num_q, head_dim_, s.q_t);
        for (auto j = mask.GetTileIndexIteratorAlongX(i, item.range.begin, item.range.end); !j.at_end(); j.advance()) {
            const auto cols = mask.cols(j.current());
            tile.num_k = cols.size();
            const auto staged_k = k.from(cols.begin).stage(kernels_, tile.num_k, s.k);
            const auto staged_v = v.from(cols.begin).stage(kernels_, tile.num_k, s.v);
            tile.k = staged_k.data;
            tile.ld_k = staged_k.ld;
            tile.v = staged_v.data;
            tile.ld_v = staged_v.ld;
            tile.key_bits = key_bits(mask, i, j.current(), bits);
            kernels_.fwd_tile(tile);
            tile.first = false;
        }
        if (tile.first) { // nothing attended: the state of the empty row
            std::fill_n(state.m, kTileQ, -std::numeric_limits<float>::infinity());
            std::fill_n(state.l, kTileQ, 0.0f);
            std::fill_n(state.o_t, head_dim_v_ * kTileQ, 0.0f);
        }
    }

    // O / l and the LSE
    void write(const Item& item, Scratch& s, const FwdState& state)
    {
        const auto rows = masks_.at(item.batch, item.head).rows(item.range.line);
        const TensorRows o = rows_of(args_.o, item.batch, item.head, head_dim_v_).from(rows.begin);
        float* lse = args_.lse + (item.batch * p_.num_heads + item.head) * p_.seqlen_q + rows.begin;
        if (float* direct = o.float_rows()) {
            kernels_.fwd_finish(state, rows.size(), head_dim_v_, direct, o.stride(), lse);
        } else {
            kernels_.fwd_finish(state, rows.size(), head_dim_v_, s.rows, head_dim_v_, lse);
            o.write(kernels_, s.rows, head_dim_v_, rows.size());
        }
    }

    TensorRows rows_of(const ck_fmha_tensor& t, int64_t batch, int64_t head, int head_dim) const
    {
        return TensorRows(t, p_.dtype, batch, head, head_dim);
    }

    const ck_fmha_fwd_args& args_;
    const ck_fmha_problem& p_;
    const int head_dim_, head_dim_v_;
    const TileKernels& kernels_;
    const MaskedHeads masks_;
    std::vector<Item> items_;
    std::vector<FwdState> partial_;
    std::unique_ptr<std::atomic<int32_t>[]> finished_parts_; // per cut row
};

} // namespace

void attention_forward(const ck_fmha_fwd_args& args, const MaskExpr& mask)
{
    validate(args);
    mask.check_counts(args.problem.batch, args.problem.num_heads);
    if (args.problem.batch == 0 || args.problem.num_heads == 0 || args.problem.seqlen_q == 0) return;
    Forward(args, mask).run();
}

} // namespace ck_fmha::cpu
