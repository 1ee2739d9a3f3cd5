#pragma once

// Rows of the next tile, brought near line by line while this one is computed. Included by isa/*.cpp only.
//
// A processor has few places for lines under way (16 on Intel's), and what the computation itself misses waits for
// one, too: hence a line or two at a time, between many instructions. (Never a loop over lines: compilers take one that
// does nothing else for idle.)

#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

inline constexpr int kLine = 64; // bytes

__attribute__((always_inline)) static inline void bring_line_near(const char* line) { __builtin_prefetch(line, 0, 2); }

// In the inner loops of the products, which take nearly all the time: two neighbouring lines a turn. Rows that lie one
// after the other are one long row, and are taken in its order: the processor then foresees what comes. Of others
// first two lines of every row, then the next two.
class RowsAhead {
public:
    static constexpr int kPair = 2 * kLine;

    // What a block brings, a pair at a time.
    class Pairs {
    public:
        Pairs() = default;
        Pairs(const char* line, ptrdiff_t step) : line_(line), step_(step) {}
        __attribute__((always_inline)) void bring_near()
        {
            const char* const line = next();
            if (!line) return;
            bring_line_near(line);
            bring_line_near(line + kLine);
        }
        // The first line of the next pair; null: none.
        __attribute__((always_inline)) const char* next()
        {
            const char* const line = line_;
            if (line_) line_ += step_;
            return line;
        }

    private:
        const char* line_ = nullptr;
        ptrdiff_t step_ = 0;
    };

    explicit RowsAhead(const NextRows& rows) : rows_(rows), in_one_(rows.stride == rows.size)
    {
        if (!rows.data) rows_.size = 0;
        if (in_one_) rows_.size *= rows.count;
    }

    // For a block whose inner loop takes that many turns.
    Pairs for_block(int turns)
    {
        if (column_ >= rows_.size) return {};
        const char* const line = rows_.data + row_ * rows_.stride + column_;
        if (in_one_) {
            column_ += turns * kPair;
            return {line, kPair};
        }
        row_ += turns;
        if (row_ >= rows_.count) {
            row_ = 0;
            column_ += kPair;
        }
        return {line, rows_.stride};
    }

private:
    NextRows rows_;
    bool in_one_;
    int row_ = 0, column_ = 0;
};

// Between vectors of a tile's exps, where the products are too short for it: of each row the lines `part` and `part` +
// `parts`.
class LinesAhead {
public:
    LinesAhead(const NextRows& rows, int part, int parts)
        : line_(rows.data ? rows.data + part * kLine : nullptr),
          stride_(rows.stride),
          second_((part + parts) * kLine < rows.size ? parts * kLine : 0),
          num_rows_(part * kLine < rows.size ? rows.count : 0)
    {
    }
    __attribute__((always_inline)) void bring_near(int row) const
    {
        if (row >= num_rows_) return;
        bring_line_near(line_ + row * stride_);
        if (second_) bring_line_near(line_ + row * stride_ + second_);
    }

private:
    const char* line_;
    ptrdiff_t stride_, second_;
    int num_rows_;
};

} // namespace ck_fmha::cpu::CK_FMHA_ISA
