#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "cpu/bias_sums.hpp"
#include "cpu/masked_heads.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

// What the backward pass sums over the columns of a row of tiles: dQ, and the gradient of a bias without keys. Columns
// add to a row in ascending order: a row carries the number of the column whose turn it is. So every sum has one order,
// whatever the threads do, and no partial dQ is stored but a few that wait for their turn.
//
// A thread whose tile comes too early keeps it and goes on; it waits when it has kMaxWaiting of them, and at the end of
// its column. While it waits it adds each of them as soon as its turn comes. The column with the lowest number that is
// not finished waits for nobody, so that all of them get their turn.
template <class Real>
class RowSums {
public:
    using Interval = ck_tile_masks::Interval;
    static constexpr int kMaxWaiting = 8;

    RowSums(const ck_fmha_bwd_args& args, const MaskedHeads& masks, const BiasSums<Real>& bias)
        : p_(args.problem),
          dq_{args.dq, p_.dtype, static_cast<int>(p_.head_dim)},
          ld_(padded_head_dim(dq_.columns)),
          kernels_(tile_kernels<Real>()),
          masks_(masks),
          bias_(bias),
          num_row_tiles_(masks.distinct(0).num_tiles_y())
    {
    }

    bool of_dq() const { return dq_.tensor.data; }
    bool wanted() const { return of_dq() || bias_.of_keys(); }

    void lay_out(Arena& arena)
    {
        // dQ accumulates in `Real`: in the output itself, or beside it when that is narrower.
        const bool own = of_dq() && p_.dtype != kOwnDtype<Real>;
        beside_ = own ? arena.take<Real>(p_.batch * p_.num_heads * p_.seqlen_q * dq_.columns) : nullptr;
        if (!turn_ && wanted())
            turn_ = std::make_unique<std::atomic<index_t>[]>(p_.batch * p_.num_heads * num_row_tiles_);
    }

    // What a tile adds to its row.
    struct Tile {
        Real* dq;         // (kTileQ, padded head_dim)
        Real* bias;       // (kTileQ)
        int64_t b, h;     // the head, ...
        index_t row, col; // ... and the tile in it
    };

    // The tiles of one thread: those that wait for their turn, then the one that is being computed, then free ones.
    struct Tiles {
        std::array<Tile, kMaxWaiting + 1> all;
        int num_waiting = 0;

        void lay_out(Arena& arena, int ld)
        {
            for (Tile& tile : all) {
                tile.dq = arena.take<Real>(static_cast<size_t>(kTileQ) * ld);
                tile.bias = arena.take<Real>(kTileQ);
            }
        }
        Tile& current() { return all[num_waiting]; }
    };
    void lay_out(Arena& arena, Tiles& tiles) const
    {
        if (wanted()) tiles.lay_out(arena, ld_);
    }

    // Sums of zero, and the first column's turn.
    void begin(int64_t b, int64_t h, index_t i) const
    {
        if (!wanted()) return;
        const TiledMask& mask = masks_.at(b, h);
        const Interval rows = mask.rows(i);
        const index_t first = mask.NextLiveTileAlongX(i, 0, mask.num_tiles_x());
        turn(b, h, i).store(first, std::memory_order_relaxed);
        bias_.begin_rows(b, h, rows);
        if (!of_dq()) return;
        const Rows dq = dq_rows(b, h, rows.begin);
        for (index_t r = 0; r < rows.size(); ++r)
            std::fill_n(dq.data + r * dq.ld, dq_.columns, Real(0));
        if (first == mask.num_tiles_x()) finish(b, h, rows, dq);
    }

    // Adds the current tile, which is (i, j) of this head, now or when its turn comes.
    void add(Tiles& tiles, int64_t b, int64_t h, index_t i, index_t j) const
    {
        Tile& tile = tiles.current();
        tile.b = b;
        tile.h = h;
        tile.row = i;
        tile.col = j;
        ++tiles.num_waiting;
        add_due(tiles);
        wait(tiles, kMaxWaiting);
    }
    // Adds all that wait.
    void add_rest(Tiles& tiles) const { wait(tiles, 0); }

private:
    struct Rows {
        Real* data;
        ptrdiff_t ld;
    };

    std::atomic<index_t>& turn(int64_t b, int64_t h, index_t i) const
    {
        return turn_[(b * p_.num_heads + h) * num_row_tiles_ + i];
    }

    // Until no more than `most` wait.
    void wait(Tiles& tiles, int most) const
    {
        for (int spins = 0; tiles.num_waiting > most; ++spins) {
            if (spins > 256) std::this_thread::yield();
            add_due(tiles);
        }
    }

    // Adds the waiting tiles whose turn has come.
    void add_due(Tiles& tiles) const
    {
        for (int n = 0; n < tiles.num_waiting;) {
            const Tile& tile = tiles.all[n];
            if (turn(tile.b, tile.h, tile.row).load(std::memory_order_acquire) != tile.col) {
                ++n;
                continue;
            }
            add_now(tile);
            std::swap(tiles.all[n], tiles.all[--tiles.num_waiting]);
        }
    }

    void add_now(const Tile& tile) const
    {
        const TiledMask& mask = masks_.at(tile.b, tile.h);
        const Interval rows = mask.rows(tile.row);
        const index_t next = mask.NextLiveTileAlongX(tile.row, tile.col + 1, mask.num_tiles_x());
        if (bias_.of_keys()) bias_.add_to_rows(tile.b, tile.h, rows, tile.bias);
        if (of_dq()) {
            const Rows dq = dq_rows(tile.b, tile.h, rows.begin);
            kernels_.add_rows(tile.dq, ld_, rows.size(), dq_.columns, dq.data, dq.ld);
            if (next == mask.num_tiles_x()) finish(tile.b, tile.h, rows, dq);
        }
        turn(tile.b, tile.h, tile.row).store(next, std::memory_order_release);
    }

    Rows dq_rows(int64_t b, int64_t h, index_t row) const
    {
        if (beside_) return {beside_ + ((b * p_.num_heads + h) * p_.seqlen_q + row) * dq_.columns, dq_.columns};
        const auto out = TensorRows<Real>(dq_, b, h).from(row);
        return {out.own(), out.stride()};
    }
    void finish(int64_t b, int64_t h, Interval rows, const Rows& dq) const
    {
        if (!beside_) return;
        TensorRows<Real>(dq_, b, h).from(rows.begin).write(kernels_, dq.data, dq_.columns, rows.size());
    }

    const ck_fmha_problem& p_;
    const Source dq_;
    const int ld_;
    const TileKernels<Real>& kernels_;
    const MaskedHeads& masks_;
    const BiasSums<Real>& bias_;
    const int64_t num_row_tiles_;
    std::unique_ptr<std::atomic<index_t>[]> turn_; // per row of tiles: the column that adds next
    Real* beside_ = nullptr;
};

} // namespace ck_fmha::cpu
