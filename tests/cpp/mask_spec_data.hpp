#pragma once

// Specs of the definitions that carry data. Each spec owns what its definition points to.

#include "ck_tile_masks/masks/big_bird_table.hpp"
#include "ck_tile_masks/masks/block_list.hpp"
#include "ck_tile_masks/masks/documents.hpp"
#include "ck_tile_masks/masks/lengths.hpp"
#include "ck_tile_masks/masks/longformer_tokens.hpp"
#include "mask_oracle_data.hpp"
#include "mask_spec.hpp"

namespace mask_tests {

using Numbers = std::vector<index_t>;

inline ck_tile_masks::IndexSpan span(const Numbers& numbers) { return {numbers.data(), index_t(numbers.size())}; }

inline std::string list_of(const Numbers& numbers)
{
    std::string list = "{";
    for (const index_t number : numbers)
        list += text(list.size() > 1 ? ", " : "", number);
    return list + "}";
}

inline Spec<ck_tile_masks::LongformerTokens> longformer_tokens(index_t window, const Numbers& tokens,
                                                               index_t dilation = 1)
{
    const auto data = std::make_shared<Numbers>(tokens);
    return {{window, span(*data), dilation},
            {text("longformer_tokens(window ", window, ", tokens ", list_of(tokens), ", dilation ", dilation, ")"),
             longformer_tokens_oracle(window, tokens, dilation)},
            data};
}

inline Spec<ck_tile_masks::Documents> documents(const std::vector<DocumentSpan>& list, Within within = Within::whole)
{
    using ck_tile_masks::DocumentCausal;
    const auto data = std::make_shared<std::vector<ck_tile_masks::Document>>();
    std::string name = "documents(";
    for (const DocumentSpan& d : list) {
        data->push_back({d.q_begin, d.q_end, d.k_begin, d.k_end});
        name += text("[", d.q_begin, ", ", d.q_end, ") x [", d.k_begin, ", ", d.k_end, "), ");
    }
    const DocumentCausal causal[] = {DocumentCausal::none, DocumentCausal::top_left, DocumentCausal::bottom_right};
    const char* const causal_names[] = {"not causal)", "top-left)", "bottom-right)"};
    return {{data->data(), index_t(data->size()), causal[std::size_t(within)]},
            {name + causal_names[std::size_t(within)], documents_oracle(list, within)},
            data};
}

// Documents of the given lengths, one after the other; those without rows or columns only take their place.
inline Spec<ck_tile_masks::Documents> packed(const Numbers& lengths_q, const Numbers& lengths_k,
                                             Within within = Within::whole)
{
    std::vector<DocumentSpan> list;
    index_t q = 0, k = 0;
    for (std::size_t n = 0; n < lengths_q.size(); q += lengths_q[n], k += lengths_k[n], ++n)
        if (lengths_q[n] > 0 && lengths_k[n] > 0) list.push_back({q, q + lengths_q[n], k, k + lengths_k[n]});
    return documents(list, within);
}

inline Spec<ck_tile_masks::Lengths> lengths(const Numbers& lengths_q, const Numbers& lengths_k, bool left = false)
{
    const auto data = std::make_shared<std::pair<Numbers, Numbers>>(lengths_q, lengths_k);
    using ck_tile_masks::Padding;
    return {{span(data->first), span(data->second), left ? Padding::left : Padding::right},
            {text("lengths(", list_of(lengths_q), ", ", list_of(lengths_k), left ? ", left)" : ", right)"),
             lengths_oracle(lengths_q, lengths_k, left)},
            data};
}

inline std::string shape_of(const BlockMatrix& matrix)
{
    return text(matrix.heads(), " x ", matrix.rows(), " x ", matrix.cols());
}

inline Spec<ck_tile_masks::BigBirdTable> big_bird_table(index_t block, index_t window, index_t num_global,
                                                        const BlockMatrix& random)
{
    const auto data = std::make_shared<BlockLists>(random);
    return {{block, window, num_global, data->table()},
            {text("big_bird_table(block ", block, ", window ", window, ", global ", num_global, ", random ",
                  shape_of(random), ")"),
             big_bird_table_oracle(block, window, num_global, random)},
            data};
}

// Owns what a BlockList points to.
class BlockListData {
public:
    explicit BlockListData(const BlockPattern& pattern)
        : listed_(pattern.listed()), partial_(partial_blocks(pattern)), partial_lists_(partial_)
    {
        const index_t words = (pattern.block_x() - 1) / 64 + 1;
        for (index_t bitmap = 0; bitmap < pattern.num_bitmaps(); ++bitmap)
            for (index_t y = 0; y < pattern.block_y(); ++y)
                for (index_t w = 0; w < words; ++w) {
                    ck_tile_masks::bits_t bits = 0;
                    for (index_t x = 64 * w; x < std::min(64 * w + 64, pattern.block_x()); ++x)
                        bits |= ck_tile_masks::bits_t{pattern.bit(bitmap, y, x)} << (x - 64 * w);
                    bitmaps_.push_back(bits);
                }
        for (index_t I = 0; I < partial_.rows(); ++I)
            for (index_t J = 0; J < partial_.cols(); ++J)
                if (partial_.flag(0, I, J)) of_cols_.push_back(pattern.bitmap_of(I, J));
        for (index_t J = 0; J < partial_.cols(); ++J)
            for (index_t I = 0; I < partial_.rows(); ++I)
                if (partial_.flag(0, I, J)) of_rows_.push_back(pattern.bitmap_of(I, J));
    }

    ck_tile_masks::BlockTable blocks() const { return listed_.table(); }
    ck_tile_masks::PartialBlocks partial() const
    {
        if (bitmaps_.empty()) return {};
        return {partial_lists_.table(), of_cols_.data(), of_rows_.data(), bitmaps_.data()};
    }

private:
    static BlockMatrix partial_blocks(const BlockPattern& pattern)
    {
        BlockMatrix partial(1, pattern.listed().rows(), pattern.listed().cols());
        for (index_t I = 0; I < partial.rows(); ++I)
            for (index_t J = 0; J < partial.cols(); ++J)
                if (pattern.bitmap_of(I, J) >= 0) partial.list(0, I, J);
        return partial;
    }

    BlockLists listed_;
    BlockMatrix partial_;
    BlockLists partial_lists_;
    Numbers of_cols_, of_rows_;
    std::vector<ck_tile_masks::bits_t> bitmaps_;
};

inline Spec<ck_tile_masks::BlockList> block_list(const BlockPattern& pattern)
{
    const auto shared = std::make_shared<const BlockPattern>(pattern);
    const auto data = std::make_shared<const BlockListData>(pattern);
    return {{pattern.block_y(), pattern.block_x(), data->blocks(), data->partial()},
            {text("block_list(blocks of ", pattern.block_y(), " x ", pattern.block_x(), ", ",
                  shape_of(pattern.listed()), ", ", pattern.num_bitmaps(), " bitmaps)"),
             block_list_oracle(shared)},
            data};
}

// A random pattern of rows x cols blocks.
inline Spec<ck_tile_masks::BlockList> block_list(index_t block_y, index_t block_x, index_t rows, index_t cols,
                                                 double density, bool with_bitmaps, unsigned seed)
{
    return block_list(BlockPattern(block_y, block_x, BlockMatrix(1, rows, cols, density, seed), with_bitmaps, seed));
}

} // namespace mask_tests
