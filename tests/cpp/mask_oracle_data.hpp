#pragma once

// The truth about patterns that are data: positions, documents, lengths, lists of blocks.

#include <algorithm>
#include <set>

#include "block_matrix.hpp"
#include "mask_oracle.hpp"

namespace mask_tests {

// As longformer_oracle, with any set of global positions.
inline Oracle longformer_tokens_oracle(element_t window, const std::vector<index_t>& tokens, element_t dilation)
{
    return [=, global = std::set<element_t>(tokens.begin(), tokens.end())](const MaskCall&) {
        return [=](element_t i, element_t j) {
            const element_t distance = i < j ? j - i : i - j;
            const bool in_window = distance % dilation == 0 && distance <= window / 2 * dilation;
            return in_window || global.count(i) == 1 || global.count(j) == 1;
        };
    };
}

// Rows [q_begin, q_end) attend columns [k_begin, k_end).
struct DocumentSpan {
    index_t q_begin, q_end, k_begin, k_end;
};
enum class Within {
    whole,
    top_left,
    bottom_right
}; // a document's rows and columns: all, or causal in either alignment

inline Oracle documents_oracle(const std::vector<DocumentSpan>& documents, Within within)
{
    return [=](const MaskCall&) {
        return [=](element_t i, element_t j) {
            for (const DocumentSpan& d : documents)
                if (i >= d.q_begin && i < d.q_end && j >= d.k_begin && j < d.k_end) {
                    const element_t row = i - d.q_begin, col = j - d.k_begin;
                    const element_t more_keys = (element_t{d.k_end} - d.k_begin) - (element_t{d.q_end} - d.q_begin);
                    return within == Within::whole || col <= row + (within == Within::bottom_right ? more_keys : 0);
                }
            return false;
        };
    };
}

// Is position p of `seqlen` valid for this sample? An empty list of lengths: every one is.
inline bool valid_position(const std::vector<index_t>& lengths, bool left, index_t batch, element_t seqlen, element_t p)
{
    if (lengths.empty()) return true;
    if (batch >= index_t(lengths.size())) return false;
    const element_t length = std::clamp<element_t>(lengths[std::size_t(batch)], 0, seqlen);
    return left ? p >= seqlen - length : p < length;
}

inline Oracle lengths_oracle(const std::vector<index_t>& lengths_q, const std::vector<index_t>& lengths_k, bool left)
{
    return [=](const MaskCall& call) {
        return [=](element_t i, element_t j) {
            return valid_position(lengths_q, left, call.batch, call.seqlen_q, i) &&
                   valid_position(lengths_k, left, call.batch, call.seqlen_k, j);
        };
    };
}

// As big_bird_oracle, with the listed blocks instead of the drawn ones.
inline Oracle big_bird_table_oracle(index_t block, index_t window, index_t num_global, const BlockMatrix& random)
{
    return [=](const MaskCall& call) {
        const element_t nq = (element_t{call.seqlen_q} + block - 1) / block;
        const element_t nk = (element_t{call.seqlen_k} + block - 1) / block;
        return [=](element_t i, element_t j) {
            const element_t I = i / block, J = j / block, g = num_global;
            const bool global = I < g || J < g || I >= nq - g || J >= nk - g;
            const bool in_window = (I < J ? J - I : I - J) <= (window - 1) / 2;
            return global || in_window || random.flag(call.head, index_t(I), index_t(J));
        };
    };
}

// Blocks that are not listed attend nothing, listed ones everything or what their bitmap says.
class BlockPattern {
public:
    // A third of the listed blocks has a bitmap; some bitmaps are empty and some are full.
    BlockPattern(index_t block_y, index_t block_x, const BlockMatrix& listed, bool with_bitmaps, unsigned seed)
        : block_y_(block_y), block_x_(block_x), listed_(listed)
    {
        std::mt19937 engine(seed);
        const double densities[] = {0.5, 0.1, 0.9, 0.02, 0.98, 0, 1};
        for (index_t I = 0; I < listed.rows(); ++I)
            for (index_t J = 0; J < listed.cols(); ++J) {
                bitmap_of_.push_back(-1);
                if (!listed.flag(0, I, J) || !with_bitmaps || engine() % 3 != 0) continue;
                bitmap_of_.back() = index_t(bitmaps_.size());
                std::bernoulli_distribution bit(densities[bitmaps_.size() % 7]);
                std::vector<char> bits(std::size_t(block_y) * std::size_t(block_x));
                for (char& b : bits)
                    b = bit(engine);
                bitmaps_.push_back(bits);
            }
    }

    index_t block_y() const { return block_y_; }
    index_t block_x() const { return block_x_; }
    const BlockMatrix& listed() const { return listed_; }
    index_t num_bitmaps() const { return index_t(bitmaps_.size()); }
    // Number of the bitmap of a listed block, or -1: the whole block.
    index_t bitmap_of(index_t I, index_t J) const
    {
        return bitmap_of_[std::size_t(I) * std::size_t(listed_.cols()) + std::size_t(J)];
    }
    bool bit(index_t bitmap, index_t y, index_t x) const
    {
        return bitmaps_[std::size_t(bitmap)][std::size_t(y) * std::size_t(block_x_) + std::size_t(x)];
    }

private:
    index_t block_y_, block_x_;
    BlockMatrix listed_;
    std::vector<index_t> bitmap_of_;
    std::vector<std::vector<char>> bitmaps_;
};

inline Oracle block_list_oracle(const std::shared_ptr<const BlockPattern>& pattern)
{
    return [=](const MaskCall&) {
        return [=](element_t i, element_t j) {
            const auto I = index_t(i / pattern->block_y()), J = index_t(j / pattern->block_x());
            if (!pattern->listed().flag(0, I, J)) return false;
            const index_t bitmap = pattern->bitmap_of(I, J);
            return bitmap < 0 || pattern->bit(bitmap, index_t(i % pattern->block_y()), index_t(j % pattern->block_x()));
        };
    };
}

} // namespace mask_tests
