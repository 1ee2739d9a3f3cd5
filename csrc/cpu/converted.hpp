#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "ck_tile_masks/interval.hpp"
#include "cpu/tensor_rows.hpp"
#include "cpu/workspace.hpp"

namespace ck_fmha::cpu {

// Tiles of rows of a tensor as operands. Where many tiles read the same rows and these are no operands as they lie,
// they are converted once a call: O(seqlen) memory instead of a conversion for each tile. The first thread that asks
// for a tile converts it, and has it in its cache.
template <class Operand>
class Converted {
public:
    using Interval = ck_tile_masks::Interval;
    using Staged = typename TensorRows<Operand>::Staged;

    // Conversions are kept if `keep`.
    Converted(const Source& source, int64_t batch, int64_t heads, int64_t seqlen, bool keep, Pairing pairing)
        : source_(source), pairing_(pairing), heads_(heads), num_heads_(batch * heads), seqlen_(padded(seqlen))
    {
        const bool are_operands =
            source.dtype == kOwnDtype<Operand> && (kPack<Operand> == 1 || pairing == Pairing::columns);
        if (keep && !are_operands)
            states_ = std::make_unique<std::atomic<State>[]>(static_cast<size_t>(num_heads_ * tiles_of_head()));
    }

    void lay_out(Arena& arena)
    {
        if (states_) data_ = arena.take<Operand>(static_cast<size_t>(operands_before(num_heads_ * seqlen_)));
    }

    // One tile of one (batch, head), in `buffer` where it is neither an operand as it lies nor kept; no data if it
    // cannot be split.
    Staged tile(const TileKernels<Operand>& kernels, int64_t batch, int64_t head, Interval rows, Operand* buffer) const
    {
        const auto from = TensorRows<Operand>(source_, batch, head).from(rows.begin);
        if (!states_) return from.can_split(kernels, rows.size()) ? stage(from, kernels, rows, buffer) : Staged{};
        Operand* kept = data_ + operands_before((batch * heads_ + head) * seqlen_ + rows.begin);
        std::atomic<State>& state = state_of(batch, head, rows);
        State now = state.load(std::memory_order_acquire);
        if (now == State::untouched && state.compare_exchange_strong(now, State::in_work, std::memory_order_acquire)) {
            now = from.can_split(kernels, rows.size()) ? State::operands : State::cannot_split;
            if (now == State::operands) stage(from, kernels, rows, kept);
            state.store(now, std::memory_order_release);
        }
        for (int spins = 0; now == State::in_work; now = state.load(std::memory_order_acquire))
            if (++spins > 256) std::this_thread::yield();
        return now == State::operands ? Staged{kept, leading_dimension()} : Staged{};
    }

    // What `tile` reads, as it lies.
    NextRows soon(int64_t batch, int64_t head, Interval rows) const
    {
        if (!states_ || state_of(batch, head, rows).load(std::memory_order_relaxed) != State::operands)
            return TensorRows<Operand>(source_, batch, head).soon(rows);
        const int64_t first = operands_before((batch * heads_ + head) * seqlen_ + rows.begin);
        const int64_t size = operands_before(rows.end) - operands_before(rows.begin), lines = rows.size();
        const auto bytes = static_cast<ptrdiff_t>(sizeof(Operand)) * size / lines;
        return {reinterpret_cast<const char*>(data_ + first), bytes, static_cast<int>(bytes), rows.size()};
    }

    const Source& original() const { return source_; }

private:
    enum class State : uint8_t { untouched, in_work, operands, cannot_split };

    Staged stage(const TensorRows<Operand>& from, const TileKernels<Operand>& kernels, Interval rows,
                 Operand* buffer) const
    {
        if (pairing_ == Pairing::rows_transposed) return from.stage_transposed(kernels, rows.size(), buffer);
        if (pairing_ == Pairing::rows) return from.stage_rows(kernels, rows.size(), buffer, true);
        return from.stage(kernels, rows.size(), buffer);
    }
    bool transposed() const { return kPack<Operand> > 1 && pairing_ == Pairing::rows_transposed; }
    // Whole tiles where these are transposed, else whole operands.
    int64_t padded(int64_t seqlen) const
    {
        const int64_t unit = transposed() ? kTileK : kPack<Operand>;
        return (seqlen + unit - 1) / unit * unit;
    }
    int numbers_of_row() const
    {
        if (transposed()) return source_.columns;
        if (pairing_ == Pairing::columns) return kPack<Operand> * packed_head_dim<Operand>(source_.columns);
        return padded_head_dim(source_.columns);
    }
    ptrdiff_t leading_dimension() const
    {
        if (transposed()) return packed<Operand>(kTileK);
        return pairing_ == Pairing::columns ? packed_head_dim<Operand>(source_.columns)
                                            : padded_head_dim(source_.columns);
    }
    int64_t operands_before(int64_t row) const { return row * numbers_of_row() / kPack<Operand>; }
    int64_t tiles_of_head() const { return (seqlen_ + kTileK - 1) / kTileK; }
    std::atomic<State>& state_of(int64_t batch, int64_t head, Interval rows) const
    {
        return states_[(batch * heads_ + head) * tiles_of_head() + rows.begin / kTileK];
    }

    Source source_;
    Pairing pairing_;
    int64_t heads_, num_heads_;
    int64_t seqlen_;                               // rows of a head with what fills them up
    std::unique_ptr<std::atomic<State>[]> states_; // of tiles whose operands are kept
    Operand* data_ = nullptr;
};

} // namespace ck_fmha::cpu
