#include "fmha/mask_data_definitions.hpp"

#include <algorithm>

#include "ck_tile_masks/masks/big_bird_table.hpp"
#include "ck_tile_masks/masks/block_list.hpp"
#include "ck_tile_masks/masks/deepspeed_big_bird.hpp"
#include "ck_tile_masks/masks/documents.hpp"
#include "ck_tile_masks/masks/lengths.hpp"
#include "fmha/mask_nodes.hpp"
#include "fmha/owned_block_table.hpp"

namespace ck_fmha {

namespace ctm = ck_tile_masks;

namespace {

using ctm::MaskCall;

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("ck_fmha: " + what); }

std::string str(int64_t n) { return std::to_string(n); }

template <class Def, class Owner>
std::unique_ptr<BoundMask> bind_owned(const Def& def, const MaskCall& call, Owner owner)
{
    return std::make_unique<BoundMaskOf<ctm::bound_mask_t<Def>, Owner>>(ctm::bind_mask(def, call), std::move(owner));
}

// --- Documents ----------------------------------------------------------------------------------------------------

class Documents final : public MaskExpr {
public:
    explicit Documents(MaskArguments& a)
        : causal_(static_cast<ctm::DocumentCausal>(a.param("causal", 0, 2))),
          documents_(std::make_shared<std::vector<ctm::Document>>())
    {
        const IndexArray q = a.ascending("cu_seqlens_q", 0, false), k = a.ascending("cu_seqlens_k", 0, false);
        if (q->empty() || q->size() != k->size())
            a.fail("cu_seqlens_q and cu_seqlens_k must be equally long and not empty, got " + str(int64_t(q->size())) +
                   " and " + str(int64_t(k->size())) + " offsets");
        end_q_ = q->back();
        end_k_ = k->back();
        for (size_t n = 0; n + 1 < q->size(); ++n)
            if ((*q)[n] < (*q)[n + 1] && (*k)[n] < (*k)[n + 1])
                documents_->push_back({(*q)[n], (*q)[n + 1], (*k)[n], (*k)[n + 1]});
    }
    std::unique_ptr<BoundMask> bind(const MaskCall& call) const override
    {
        check("cu_seqlens_q", end_q_, "seqlen_q", call.seqlen_q);
        check("cu_seqlens_k", end_k_, "seqlen_k", call.seqlen_k);
        const ctm::Documents def(documents_->data(), static_cast<index_t>(documents_->size()), causal_);
        return bind_owned(def, call, documents_);
    }
    bool varies_by_head() const override { return false; }
    bool varies_by_batch() const override { return false; }
    void check_counts(int64_t, int64_t) const override {}

private:
    static void check(const char* name, index_t end, const char* seqlen_name, index_t seqlen)
    {
        if (end > seqlen)
            refuse(std::string("Documents: ") + name + " ends at " + str(end) + ", past the " + seqlen_name + " " +
                   str(seqlen) + " of the call: the last offset may be at most " + seqlen_name);
    }

    ctm::DocumentCausal causal_;
    index_t end_q_ = 0, end_k_ = 0;
    std::shared_ptr<std::vector<ctm::Document>> documents_;
};

// --- Lengths --------------------------------------------------------------------------------------------------------

class Lengths final : public MaskExpr {
public:
    explicit Lengths(MaskArguments& a) : padding_(static_cast<ctm::Padding>(a.param("padding", 0, 1)))
    {
        const bool has_q = a.flag("has_q"), has_k = a.flag("has_k");
        if (!has_q && !has_k) a.fail("lengths_q or lengths_k must be given");
        if (has_q) lengths_q_ = a.data("lengths_q", 0);
        if (has_k) lengths_k_ = a.data("lengths_k", 0);
        if (has_q && has_k && lengths_q_->size() != lengths_k_->size())
            a.fail("lengths_q and lengths_k must be equally long, got " + str(int64_t(lengths_q_->size())) + " and " +
                   str(int64_t(lengths_k_->size())));
    }
    std::unique_ptr<BoundMask> bind(const MaskCall& call) const override
    {
        if (call.batch >= num_samples())
            refuse("Lengths of " + str(num_samples()) + " samples have none for batch " + str(call.batch));
        check("lengths_q", lengths_q_, call.batch, "seqlen_q", call.seqlen_q);
        check("lengths_k", lengths_k_, call.batch, "seqlen_k", call.seqlen_k);
        const ctm::Lengths def(span(lengths_q_), span(lengths_k_), padding_);
        return bind_owned(def, call, std::make_pair(lengths_q_, lengths_k_));
    }
    bool varies_by_head() const override { return false; }
    bool varies_by_batch() const override { return num_samples() > 1; }
    void check_counts(int64_t batch, int64_t) const override
    {
        if (batch != num_samples())
            refuse("Lengths of " + str(num_samples()) + " samples, the call has " + str(batch) +
                   ": give one length for each of them");
    }

private:
    static ctm::IndexSpan span(const IndexArray& array)
    {
        return array ? ctm::IndexSpan{array->data(), static_cast<index_t>(array->size())} : ctm::IndexSpan{};
    }
    int64_t num_samples() const { return static_cast<int64_t>((lengths_q_ ? lengths_q_ : lengths_k_)->size()); }
    static void check(const char* name, const IndexArray& lengths, index_t batch, const char* seqlen_name,
                      index_t seqlen)
    {
        if (lengths && (*lengths)[batch] > seqlen)
            refuse(std::string("Lengths: ") + name + "[" + str(batch) + "] is " + str((*lengths)[batch]) +
                   ", more than the " + seqlen_name + " " + str(seqlen) + " of the call");
    }

    ctm::Padding padding_;
    IndexArray lengths_q_, lengths_k_; // null: all positions are valid
};

// --- BlockList ------------------------------------------------------------------------------------------------------

class BlockList final : public MaskExpr {
public:
    explicit BlockList(MaskArguments& a) : data_(std::make_shared<Data>())
    {
        block_y_ = a.index("block_y", 1);
        block_x_ = a.index("block_x", 1);
        const index_t num_rows = a.index("num_rows", 0, kMaxBlocks), num_cols = a.index("num_cols", 0, kMaxBlocks);
        seqlen_q_ = a.index("seqlen_q", -1);
        seqlen_k_ = a.index("seqlen_k", -1);
        const IndexArray offsets = a.ascending("row_offsets", 0, false), columns = a.data("columns", 0, num_cols - 1);
        const IndexArray bitmap_of = a.data("bitmap_of", -1), words = a.data("bitmaps", INT32_MIN);
        check_lists(a, num_rows, *offsets, *columns);
        if (bitmap_of->size() != columns->size())
            a.fail("bitmap_of must have one number for each of the " + str(int64_t(columns->size())) + " blocks, got " +
                   str(int64_t(bitmap_of->size())));
        store_bitmaps(a, *bitmap_of, *words);
        store_partial(num_rows, num_cols, *offsets, *columns, *bitmap_of);
        data_->blocks = OwnedBlockTable(1, num_rows, num_cols, *offsets, *columns);
    }
    std::unique_ptr<BoundMask> bind(const MaskCall& call) const override
    {
        const ctm::BlockTable blocks = data_->blocks.view();
        check("seqlen_q", call.seqlen_q, seqlen_q_, block_y_, blocks.num_rows);
        check("seqlen_k", call.seqlen_k, seqlen_k_, block_x_, blocks.num_cols);
        ctm::PartialBlocks partial;
        partial.blocks = data_->partial.view();
        partial.bitmap_of_cols = data_->bitmap_of_cols.data();
        partial.bitmap_of_rows = data_->bitmap_of_rows.data();
        partial.bitmaps = data_->bitmaps.data();
        partial.num_bitmaps = data_->num_bitmaps;
        return bind_owned(ctm::BlockList(block_y_, block_x_, blocks, partial), call, data_);
    }
    bool varies_by_head() const override { return false; }
    bool varies_by_batch() const override { return false; }
    void check_counts(int64_t, int64_t) const override {}

private:
    static constexpr int64_t kMaxBlocks = 1 << 26; // along one axis; bounds what a wrong number can allocate

    struct Data {
        OwnedBlockTable blocks, partial;
        std::vector<index_t> bitmap_of_cols, bitmap_of_rows;
        std::vector<bits_t> bitmaps;
        index_t num_bitmaps = 0;
    };

    static void check_lists(const MaskArguments& a, index_t num_rows, const std::vector<index_t>& offsets,
                            const std::vector<index_t>& columns)
    {
        if (int64_t(offsets.size()) != int64_t{num_rows} + 1 || offsets.front() != 0 ||
            size_t(offsets.back()) != columns.size())
            a.fail("row_offsets must have num_rows + 1 = " + str(int64_t{num_rows} + 1) +
                   " numbers from 0 to the number of blocks, " + str(int64_t(columns.size())));
        for (index_t row = 0; row < num_rows; ++row)
            for (index_t n = offsets[row] + 1; n < offsets[row + 1]; ++n)
                if (columns[n] <= columns[n - 1])
                    a.fail("columns of row " + str(row) + " must be ascending without repetition, got " +
                           str(columns[n - 1]) + " before " + str(columns[n]));
    }

    void store_bitmaps(const MaskArguments& a, const std::vector<index_t>& bitmap_of, const std::vector<index_t>& words)
    {
        const int64_t words_of_one = int64_t{block_y_} * 2 * ctm::div_up(block_x_, 64);
        const int64_t count = int64_t(words.size()) / words_of_one;
        if (int64_t(words.size()) % words_of_one != 0)
            a.fail("bitmaps must have " + str(words_of_one) + " words each, got " + str(int64_t(words.size())) +
                   " words");
        for (const index_t n : bitmap_of)
            if (n >= count) a.fail("bitmap_of names bitmap " + str(n) + " of " + str(count));
        const auto word = [&](size_t n) { return static_cast<bits_t>(static_cast<uint32_t>(words[n])); };
        for (size_t n = 0; n < words.size(); n += 2)
            data_->bitmaps.push_back(word(n) | word(n + 1) << 32);
        data_->num_bitmaps = static_cast<index_t>(count);
    }

    void store_partial(index_t num_rows, index_t num_cols, const std::vector<index_t>& offsets,
                       const std::vector<index_t>& columns, const std::vector<index_t>& bitmap_of)
    {
        std::vector<index_t> partial_offsets = {0}, partial_columns;
        for (index_t row = 0; row < num_rows; ++row) {
            for (index_t n = offsets[row]; n < offsets[row + 1]; ++n)
                if (bitmap_of[n] >= 0) {
                    partial_columns.push_back(columns[n]);
                    data_->bitmap_of_cols.push_back(bitmap_of[n]);
                }
            partial_offsets.push_back(static_cast<index_t>(partial_columns.size()));
        }
        // Without partial blocks there is no need for offsets either.
        if (partial_columns.empty()) return;
        data_->partial = OwnedBlockTable(1, num_rows, num_cols, std::move(partial_offsets), std::move(partial_columns));
        for (const index_t entry : data_->partial.entry_of_rows())
            data_->bitmap_of_rows.push_back(data_->bitmap_of_cols[entry]);
    }

    static void check(const char* name, index_t seqlen, index_t expected, index_t block, index_t count)
    {
        if (expected >= 0 && seqlen != expected)
            refuse(std::string("BlockList made for ") + name + " " + str(expected) + ", the call has " + str(seqlen));
        if (ctm::div_up(seqlen, block) != count)
            refuse(std::string("BlockList of ") + str(count) + " blocks of " + str(block) + " along " + name +
                   ", the call's " + str(seqlen) + " are " + str(ctm::div_up(seqlen, block)) + " blocks");
    }

    index_t block_y_, block_x_, seqlen_q_, seqlen_k_;
    std::shared_ptr<Data> data_;
};

// --- Tables of random blocks
// ------------------------------------------------------------------------------------------

// random_blocks: int (heads, rows, r), in any order, with repetitions, which count once.
class RandomBlockTable {
public:
    explicit RandomBlockTable(MaskArguments& a)
        : heads_(a.index("random_blocks: heads", 1)),
          rows_(a.index("random_blocks: rows", 0)),
          per_row_(a.index("random_blocks: r", 0))
    {
    }

    void read(MaskArguments& a)
    {
        const IndexArray table = a.data("random_blocks", 0, kMaxColumn - 1);
        // In this order, so that the products stay within 64 bits.
        const int64_t lines = int64_t{heads_} * rows_;
        if (lines > ctm::kIndexMax || lines * per_row_ != int64_t(table->size()))
            a.fail("random_blocks must have heads * rows * r = " + str(heads_) + " * " + str(rows_) + " * " +
                   str(per_row_) + " numbers, got " + str(int64_t(table->size())));
        for (const index_t column : *table)
            num_cols_ = std::max(num_cols_, column + 1);
        if (int64_t{heads_} * (int64_t{rows_} + 2 + num_cols_) > kMaxLines)
            a.fail("random_blocks must have heads * (rows + blocks) of at most 2^26, got " + str(heads_) + " heads, " +
                   str(rows_) + " rows and block " + str(num_cols_ - 1));
        whole_ = std::make_shared<OwnedBlockTable>(make(*table, 0));
        inner_ = std::make_shared<OwnedBlockTable>(make(*table, 1));
    }

    // The table for `num_blocks_q` rows of blocks: one that lists all of them, or (as published models store it) all
    // but the first and the last one.
    std::shared_ptr<const OwnedBlockTable> fit(index_t num_blocks_q, index_t num_blocks_k, index_t head) const
    {
        if (heads_ > 1 && head >= heads_)
            refuse("BigBird: random_blocks has " + str(heads_) + " heads, asked for head " + str(head));
        if (rows_ != num_blocks_q && rows_ != num_blocks_q - 2)
            refuse("BigBird: random_blocks has " + str(rows_) + " rows, the call has " + str(num_blocks_q) +
                   " rows of blocks: list all of them, or all but the first and the last");
        if (num_cols_ > num_blocks_k)
            refuse("BigBird: random_blocks names block " + str(num_cols_ - 1) + ", the call has " + str(num_blocks_k) +
                   " columns of blocks");
        return rows_ == num_blocks_q ? whole_ : inner_;
    }
    void check_counts(int64_t num_heads) const
    {
        if (heads_ != 1 && heads_ != num_heads)
            refuse("BigBird: random_blocks has " + str(heads_) + " heads, the call has " + str(num_heads) +
                   " query heads: give one table for each of them, or one for all");
    }
    bool varies_by_head() const { return heads_ > 1; }

private:
    static constexpr index_t kMaxColumn = 1 << 24; // blocks in a row; bounds what a wrong number can allocate
    static constexpr int64_t kMaxLines = 1 << 26;

    // The table with `border` empty rows before and after those listed.
    OwnedBlockTable make(const std::vector<index_t>& table, index_t border) const
    {
        std::vector<index_t> begin = {0}, cols;
        const auto add_empty_rows = [&] { begin.insert(begin.end(), border, static_cast<index_t>(cols.size())); };
        for (index_t head = 0; head < heads_; ++head) {
            add_empty_rows();
            for (index_t row = 0; row < rows_; ++row) {
                const auto first = table.begin() + (ptrdiff_t{head} * rows_ + row) * per_row_;
                std::vector<index_t> line(first, first + per_row_);
                std::sort(line.begin(), line.end());
                cols.insert(cols.end(), line.begin(), std::unique(line.begin(), line.end()));
                begin.push_back(static_cast<index_t>(cols.size()));
            }
            add_empty_rows();
        }
        return OwnedBlockTable(heads_, rows_ + 2 * border, num_cols_, std::move(begin), std::move(cols));
    }

    index_t heads_, rows_, per_row_;
    index_t num_cols_ = 0;
    std::shared_ptr<const OwnedBlockTable> whole_, inner_;
};

// BigBird with listed random blocks, ours or DeepSpeed's.
template <bool kDeepSpeed>
class BigBirdTable final : public MaskExpr {
public:
    explicit BigBirdTable(MaskArguments& a)
        : block_(a.index("block_size", 1)),
          window_(a.index("num_window_blocks", 1)),
          global_(a.index("num_global_blocks", 0)),
          random_(a)
    {
        if (window_ % 2 == 0) a.fail("num_window_blocks must be odd, got " + str(window_));
        if constexpr (kDeepSpeed) unidirectional_ = a.flag("unidirectional");
        random_.read(a);
    }
    std::unique_ptr<BoundMask> bind(const MaskCall& call) const override
    {
        const auto table =
            random_.fit(ctm::div_up(call.seqlen_q, block_), ctm::div_up(call.seqlen_k, block_), call.head);
        if constexpr (kDeepSpeed)
            return bind_owned(ctm::DeepSpeedBigBirdTable(block_, window_, global_, table->view(), unidirectional_),
                              call, table);
        else
            return bind_owned(ctm::BigBirdTable(block_, window_, global_, table->view()), call, table);
    }
    bool varies_by_head() const override { return random_.varies_by_head(); }
    bool varies_by_batch() const override { return false; }
    void check_counts(int64_t, int64_t num_heads) const override { random_.check_counts(num_heads); }

private:
    index_t block_, window_, global_;
    bool unidirectional_ = false;
    RandomBlockTable random_;
};

} // namespace

// causal (0 = none, 1 = top-left, 2 = bottom-right); data: cu_seqlens_q, cu_seqlens_k
Expr parse_documents(MaskArguments& arguments) { return std::make_shared<Documents>(arguments); }

// padding (0 = right, 1 = left), has_q, has_k; data: lengths_q if has_q, lengths_k if has_k
Expr parse_lengths(MaskArguments& arguments) { return std::make_shared<Lengths>(arguments); }

// block_y, block_x, num_rows, num_cols, seqlen_q, seqlen_k (-1 = any with as many blocks); data: row_offsets, columns,
// bitmap_of (for each block the number of its bitmap, -1 = whole), bitmaps (for each its rows of ceil(block_x / 64)
// words of 64 bits, in halves, the low one first)
Expr parse_block_list(MaskArguments& arguments) { return std::make_shared<BlockList>(arguments); }

// block_size, num_window_blocks (odd), num_global_blocks, heads, rows, r; data: random_blocks (heads * rows * r)
Expr parse_big_bird_table(MaskArguments& arguments) { return std::make_shared<BigBirdTable<false>>(arguments); }

// block_size, num_window_blocks (odd), num_global_blocks, heads, rows, r, unidirectional; data: random_blocks
Expr parse_deepspeed_big_bird_table(MaskArguments& arguments)
{
    return std::make_shared<BigBirdTable<true>>(arguments);
}

} // namespace ck_fmha
