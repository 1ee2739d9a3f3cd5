#include "mask_grammar.hpp"

#include <algorithm>

#include "ck_tile_masks/index.hpp"

namespace mask_fuzz {

using ck_tile_masks::div_up;
using ck_tile_masks::kIndexMax;

namespace {

// A walk over a combination may take a step for each run of its parts: on sequences longer than this, only definitions
// with few runs are combined.
constexpr index_t kManyRuns = 4096;

class Writer {
public:
    Writer(ByteReader& bytes, const Call& call)
        : bytes_(bytes), call_(call), seqlen_q_(call.call.seqlen_q), seqlen_k_(call.call.seqlen_k)
    {
    }

    // One of the definitions, or a combination, of a mask of seqlen_q_ x seqlen_k_.
    Claim expr(int depth, bool few_runs_only);
    MaskText take() { return std::move(text_); }

    // --- what the definitions below write with -----------------------------------------------------------------

    index_t seqlen_q() const { return seqlen_q_; }
    index_t seqlen_k() const { return seqlen_k_; }
    const Call& call() const { return call_; }
    Draws draws() { return Draws(bytes_); }
    int64_t pick(int64_t low, int64_t high) { return bytes_.pick(low, high); }
    bool coin() { return bytes_.pick(0, 1) != 0; }

    // A number in [low, 2^31 - 1]: mostly small, sometimes about a length, sometimes far beyond.
    index_t number(int64_t low)
    {
        const auto limited = [&](int64_t value) {
            return static_cast<index_t>(std::clamp<int64_t>(value, low, kIndexMax));
        };
        const int64_t which = bytes_.pick(0, 255), kind = which / 16, small = which % 16;
        if (kind < 11) return limited(low + small % 8);
        if (kind == 11) return limited(low + bytes_.pick(0, 80));
        if (kind == 12) return limited(seqlen_q_ + small % 8 - 4);
        if (kind == 13) return limited(seqlen_k_ + small % 8 - 4);
        if (kind == 14) return limited(small % 2 == 0 ? seqlen_k_ / (2 + small / 2) : int64_t{1} << bytes_.pick(0, 30));
        return limited(kIndexMax - small);
    }
    index_t odd(int64_t low) { return number(low) | 1; }
    index_t even(int64_t low) { return number(low) & ~1; }
    // A block size that cuts both sequences into at most 40 blocks: for patterns given as tables.
    index_t table_block() { return std::max(number(1), std::max(div_up(seqlen_q_, 40), div_up(seqlen_k_, 40))); }

    void param(int64_t value) { text_.params.push_back(value); }
    void data(std::vector<index_t> array) { text_.data.push_back(std::move(array)); }

private:
    Claim combination(int which, int depth, bool few_runs_only);
    Claim choice(const char* name, index_t count, index_t chosen, int depth, bool few_runs_only);

    ByteReader& bytes_;
    const Call& call_;
    index_t seqlen_q_, seqlen_k_;
    MaskText text_;
};

// --- The definitions: parameters and data as the table in csrc/fmha/mask_definitions.cpp says ------------------------

void full(Writer&) {}

void diagonal(Writer& w)
{
    w.param(w.coin() ? w.number(0) : -1);
    w.param(w.coin() ? w.number(0) : -1);
    w.param(w.coin());
    w.param(w.coin() ? w.number(0) : 0);
}

void prefix_lm(Writer& w)
{
    w.param(w.number(0));
    w.param(w.coin());
}

void longformer(Writer& w)
{
    w.param(w.even(0));
    w.param(w.number(0));
    w.param(w.number(1));
}

void longformer_tokens(Writer& w)
{
    w.param(w.even(0));
    w.param(w.coin() ? 1 : w.number(1));
    std::vector<index_t> tokens;
    int64_t token = -1;
    for (int64_t n = w.pick(0, 9); n > 0; --n) {
        token += w.number(1);
        if (token >= kIndexMax) break;
        tokens.push_back(static_cast<index_t>(token));
    }
    w.data(std::move(tokens));
}

// Each random block costs a draw in every line.
int64_t random_blocks(Writer& w) { return w.pick(0, 5); }

void big_bird(Writer& w)
{
    w.param(w.number(1));
    w.param(w.odd(1));
    w.param(w.number(0));
    w.param(random_blocks(w));
    w.param(w.pick(INT64_MIN, INT64_MAX));
}

// block_size, num_window_blocks, num_global_blocks, heads, rows, r; data: table
void table_of_random_blocks(Writer& w)
{
    const index_t block = w.table_block();
    const index_t num_rows = div_up(w.seqlen_q(), block), num_cols = div_up(w.seqlen_k(), block);
    const index_t heads = w.coin() ? w.call().num_heads : 1;
    const index_t rows = num_rows >= 2 && w.coin() ? num_rows - 2 : num_rows;
    const int64_t per_row = num_cols == 0 ? 0 : w.pick(0, 4);
    w.param(block);
    w.param(w.odd(1));
    w.param(w.number(0));
    w.param(heads);
    w.param(rows);
    w.param(per_row);
    Draws draws = w.draws();
    std::vector<index_t> table;
    for (int64_t n = heads * rows * per_row; n > 0; --n)
        table.push_back(static_cast<index_t>(draws.pick(0, num_cols - 1)));
    w.data(std::move(table));
}

void big_bird_table(Writer& w) { table_of_random_blocks(w); }

void strided(Writer& w)
{
    w.param(w.number(1));
    w.param(w.number(1));
}

void fixed(Writer& w)
{
    const index_t local = w.number(1);
    w.param(local);
    w.param(std::min(local, w.number(0)));
}

void documents(Writer& w)
{
    w.param(w.pick(0, 2));
    const int64_t count = w.pick(0, 7);
    for (const index_t seqlen : {w.seqlen_q(), w.seqlen_k()}) {
        std::vector<index_t> offsets;
        for (int64_t n = 0; n <= count; ++n)
            offsets.push_back(w.coin() ? static_cast<index_t>(w.pick(0, seqlen)) : std::min(seqlen, w.number(0)));
        std::sort(offsets.begin(), offsets.end());
        w.data(std::move(offsets));
    }
}

void lengths(Writer& w)
{
    const bool has_q = w.coin(), has_k = !has_q || w.coin();
    w.param(w.coin());
    w.param(has_q);
    w.param(has_k);
    const auto write = [&](index_t seqlen) {
        std::vector<index_t> array;
        for (index_t n = 0; n < w.call().batch; ++n)
            array.push_back(static_cast<index_t>(w.pick(0, seqlen)));
        w.data(std::move(array));
    };
    if (has_q) write(w.seqlen_q());
    if (has_k) write(w.seqlen_k());
}

void neighborhood(Writer& w)
{
    const int64_t num_dims = w.pick(1, 3);
    w.param(num_dims);
    w.param(w.coin());
    index_t rest = w.coin() ? w.seqlen_q() : w.seqlen_k(); // the last axis makes the grid about as large as a sequence
    for (int64_t n = 0; n < num_dims; ++n) {
        const index_t size = n == num_dims - 1 && w.coin() ? std::max(1, rest) : w.number(1);
        rest /= size;
        w.param(size);
        w.param(w.odd(1));
        w.param(w.coin() ? 1 : w.number(1));
        w.param(w.pick(0, 3) == 3);
    }
}

void block_list(Writer& w)
{
    const index_t block_y = std::max(w.number(1), div_up(w.seqlen_q(), 40));
    const index_t block_x = std::max(w.number(1), div_up(w.seqlen_k(), 40));
    const index_t num_rows = div_up(w.seqlen_q(), block_y), num_cols = div_up(w.seqlen_k(), block_x);
    const int64_t words_of_one = int64_t{block_y} * 2 * div_up(block_x, 64);
    const int64_t num_bitmaps = words_of_one > 2000 ? 0 : w.pick(0, 3);
    const int64_t listed_of_8 = w.pick(0, 8), partial_of_8 = num_bitmaps == 0 ? 0 : w.pick(0, 8);
    w.param(block_y);
    w.param(block_x);
    w.param(num_rows);
    w.param(num_cols);
    w.param(w.coin() ? w.seqlen_q() : -1);
    w.param(w.coin() ? w.seqlen_k() : -1);
    Draws draws = w.draws();
    std::vector<index_t> offsets = {0}, columns, bitmap_of, bitmaps;
    for (index_t row = 0; row < num_rows; ++row) {
        for (index_t col = 0; col < num_cols; ++col)
            if (draws.pick(0, 7) < listed_of_8) {
                columns.push_back(col);
                const bool partial = draws.pick(0, 7) < partial_of_8;
                bitmap_of.push_back(partial ? static_cast<index_t>(draws.pick(0, num_bitmaps - 1)) : -1);
            }
        offsets.push_back(static_cast<index_t>(columns.size()));
    }
    // Sparse, dense and in between, so that lines with nothing and with everything occur.
    for (int64_t bitmap = 0; bitmap < num_bitmaps; ++bitmap) {
        const int64_t density = w.pick(0, 4);
        for (int64_t n = 0; n < words_of_one; ++n) {
            const uint64_t a = draws.bits(), b = draws.bits();
            const uint64_t word[] = {a & b & (a >> 32), a & b, a, a | b, draws.pick(0, 7) > 0 ? ~uint64_t{0} : a};
            bitmaps.push_back(static_cast<index_t>(static_cast<uint32_t>(word[density])));
        }
    }
    w.data(std::move(offsets));
    w.data(std::move(columns));
    w.data(std::move(bitmap_of));
    w.data(std::move(bitmaps));
}

void deepspeed_fixed(Writer& w)
{
    const index_t local = w.number(1), global = std::min(local, w.number(1));
    w.param(w.number(1));
    w.param(local);
    w.param(global);
    w.param(std::min(local / global, w.number(1)));
    w.param(w.coin());
    w.param(w.coin());
}

void global_blocks(Writer& w)
{
    std::vector<index_t> begins, ends;
    int64_t end = 0;
    for (int64_t n = w.pick(0, 5); n > 0; --n) {
        const int64_t begin = end + (n % 2 == 0 ? w.pick(0, 3) : w.number(0));
        end = begin + w.number(1);
        if (end > kIndexMax) break;
        begins.push_back(static_cast<index_t>(begin));
        ends.push_back(static_cast<index_t>(end));
    }
    w.data(std::move(begins));
    w.data(std::move(ends));
}

void deepspeed_variable(Writer& w)
{
    w.param(w.number(1));
    w.param(w.coin());
    w.param(w.coin());
    std::vector<index_t> sizes = {w.number(1)};
    int64_t end = sizes[0];
    for (int64_t n = w.pick(0, 4); n > 0; --n) {
        const index_t size = w.number(1);
        end += size;
        if (end > kIndexMax) break;
        sizes.push_back(size);
    }
    w.data(std::move(sizes));
    global_blocks(w);
}

void deepspeed_longformer(Writer& w)
{
    w.param(w.number(1));
    w.param(w.odd(1));
    w.param(w.coin());
    global_blocks(w);
}

void deepspeed_big_bird(Writer& w)
{
    big_bird(w);
    w.param(w.coin());
}

void deepspeed_big_bird_table(Writer& w)
{
    table_of_random_blocks(w);
    w.param(w.coin());
}

struct Definition {
    const char* name;
    void (*write)(Writer&);
    bool few_runs; // whatever the parameters, a band attends few runs of positions
};

constexpr Definition kDefinitions[] = {
    {"diagonal", diagonal, true},
    {"full", full, true},
    {"prefix_lm", prefix_lm, true},
    {"documents", documents, true},
    {"lengths", lengths, true},
    // Those with few runs end here: see Writer::expr.
    {"longformer", longformer, false},
    {"longformer_tokens", longformer_tokens, false},
    {"big_bird", big_bird, false},
    {"big_bird_table", big_bird_table, false},
    {"strided", strided, false},
    {"fixed", fixed, false},
    {"neighborhood", neighborhood, false},
    {"block_list", block_list, false},
    {"deepspeed_fixed", deepspeed_fixed, false},
    {"deepspeed_variable", deepspeed_variable, false},
    {"deepspeed_longformer", deepspeed_longformer, false},
    {"deepspeed_big_bird", deepspeed_big_bird, false},
    {"deepspeed_big_bird_table", deepspeed_big_bird_table, false},
};

constexpr int64_t count_few_runs()
{
    int64_t count = 0;
    for (const Definition& definition : kDefinitions)
        count += definition.few_runs;
    return count;
}

constexpr const char* kCombinations[] = {"and", "or", "not", "transpose", "shift", "per_head", "per_sample"};

// --- Combinations
// -----------------------------------------------------------------------------------------------------

Claim Writer::expr(int depth, bool few_runs_only)
{
    // 0 first: an input that has run out of bytes ends here.
    const int64_t which = depth == 0 ? 0 : bytes_.pick(0, 12);
    if (which >= 6) return combination(static_cast<int>(which) - 6, depth, few_runs_only);
    const int64_t last = few_runs_only ? count_few_runs() : static_cast<int64_t>(std::size(kDefinitions));
    const Definition& definition = kDefinitions[bytes_.pick(0, last - 1)];
    text_.structure += definition.name;
    definition.write(*this);
    return {};
}

Claim Writer::combination(int which, int depth, bool few_runs_only)
{
    const std::string name = kCombinations[which];
    if (name == "per_head") return choice("per_head", call_.num_heads, call_.call.head, depth, few_runs_only);
    if (name == "per_sample") return choice("per_sample", call_.batch, call_.call.batch, depth, few_runs_only);
    const index_t seqlen_q = seqlen_q_, seqlen_k = seqlen_k_;
    if (name == "transpose") std::swap(seqlen_q_, seqlen_k_);
    if (name == "shift")
        for (index_t* seqlen : {&seqlen_q_, &seqlen_k_}) {
            // A sequence of a shifted part has fewer than 2^31 elements.
            const index_t size = number(0);
            const index_t shift = coin() ? size : -std::min(size, kIndexMax - *seqlen);
            param(shift);
            *seqlen = std::max(*seqlen - shift, 0);
        }
    text_.structure += name + "(";
    const bool binary = name == "and" || name == "or";
    if (binary && std::max(seqlen_q_, seqlen_k_) > kManyRuns) few_runs_only = true;
    const Claim a = expr(depth - 1, few_runs_only);
    Claim b = a;
    if (binary) {
        text_.structure += ",";
        b = expr(depth - 1, few_runs_only);
    }
    text_.structure += ")";
    seqlen_q_ = seqlen_q;
    seqlen_k_ = seqlen_k;
    if (name == "and") return {false, a.full_exact && b.full_exact};
    if (name == "or") return {a.live_exact && b.live_exact, false};
    if (name == "not") return {a.full_exact, a.live_exact};
    return a;
}

Claim Writer::choice(const char* name, index_t count, index_t chosen, int depth, bool few_runs_only)
{
    Claim claim;
    text_.structure += name;
    for (index_t n = 0; n < count; ++n) {
        text_.structure += n == 0 ? "(" : ",";
        const Claim part = expr(depth - 1, few_runs_only);
        if (n == chosen) claim = part;
    }
    text_.structure += ")";
    return claim;
}

} // namespace

std::shared_ptr<const ck_fmha::MaskExpr> MaskText::build() const
{
    std::vector<ck_fmha::IndexArray> arrays;
    for (const std::vector<index_t>& array : data)
        arrays.push_back(std::make_shared<const std::vector<index_t>>(array));
    return ck_fmha::build_mask(structure, params, arrays);
}

std::string to_string(const MaskText& mask)
{
    std::string out = mask.structure + "\n  params:";
    for (const int64_t value : mask.params)
        out += " " + std::to_string(value);
    for (const std::vector<index_t>& array : mask.data) {
        out += "\n  data:";
        for (const index_t value : array)
            out += " " + std::to_string(value);
    }
    return out;
}

std::string to_string(const Call& call)
{
    return "batch " + std::to_string(call.call.batch) + " of " + std::to_string(call.batch) + ", head " +
           std::to_string(call.call.head) + " of " + std::to_string(call.num_heads) + ", seqlen_q " +
           std::to_string(call.call.seqlen_q) + ", seqlen_k " + std::to_string(call.call.seqlen_k);
}

WrittenMask write_mask(ByteReader& bytes, const Call& call, int max_depth)
{
    Writer writer(bytes, call);
    const Claim claim = writer.expr(max_depth, false);
    return {writer.take(), claim};
}

namespace {

int64_t any_number(ByteReader& bytes)
{
    switch (bytes.pick(0, 7)) {
    case 0:
        return bytes.pick(INT64_MIN, INT64_MAX);
    case 1:
        return kIndexMax + bytes.pick(-3, 3);
    case 2:
        return ck_tile_masks::kIndexMin + bytes.pick(-3, 3);
    case 3:
        return bytes.pick(0, 1000);
    default:
        return bytes.pick(-2, 9);
    }
}

std::vector<index_t> any_array(ByteReader& bytes)
{
    std::vector<index_t> array(static_cast<size_t>(bytes.pick(0, 12)));
    for (index_t& value : array)
        value = static_cast<index_t>(any_number(bytes));
    return array;
}

size_t position_in(size_t size, ByteReader& bytes)
{
    return static_cast<size_t>(bytes.pick(0, static_cast<int64_t>(size)));
}

void edit(std::string& text, ByteReader& bytes)
{
    const size_t at = position_in(text.size(), bytes);
    if (bytes.one_in(2))
        text.erase(at, static_cast<size_t>(bytes.pick(1, 8)));
    else
        text.insert(at, 1, static_cast<char>(bytes.pick(0, 255)));
}

// Inserts, erases or replaces an element.
template <class T, class Make>
void edit(std::vector<T>& list, ByteReader& bytes, const Make& make)
{
    const size_t at = position_in(list.size(), bytes);
    const auto here = list.begin() + static_cast<ptrdiff_t>(at);
    if (at == list.size() || bytes.one_in(4))
        list.insert(here, make());
    else if (bytes.one_in(3))
        list.erase(here);
    else
        *here = make();
}

// Numbers close to those that were right are what a check may miss: one more, one less, as the one before.
template <class T>
void edit_numbers(std::vector<T>& numbers, ByteReader& bytes)
{
    if (numbers.empty() || bytes.one_in(3))
        return edit(numbers, bytes, [&] { return static_cast<T>(any_number(bytes)); });
    const size_t to = position_in(numbers.size() - 1, bytes), from = bytes.one_in(2) ? to : std::max<size_t>(to, 1) - 1;
    numbers[to] = static_cast<T>(static_cast<uint64_t>(numbers[from]) + static_cast<uint64_t>(bytes.pick(-1, 1)));
}

} // namespace

MaskText write_word_salad(ByteReader& bytes)
{
    MaskText mask;
    for (int64_t n = bytes.pick(0, 30); n > 0 && !bytes.empty(); --n) {
        switch (bytes.pick(0, 5)) {
        case 0:
            mask.structure += bytes.choose(kDefinitions).name;
            break;
        case 1:
            mask.structure += std::string(bytes.choose(kCombinations)) + "(";
            break;
        case 2:
            mask.structure += static_cast<char>(bytes.pick(0, 255));
            break;
        case 3:
            mask.structure.append(static_cast<size_t>(bytes.pick(0, 250)), '(');
            break;
        case 4:
            for (int64_t deep = bytes.pick(0, 250); deep > 0; --deep)
                mask.structure += "not(";
            break;
        default:
            mask.structure += bytes.one_in(2) ? "," : ")";
        }
    }
    for (int64_t n = bytes.pick(0, 12); n > 0; --n)
        mask.params.push_back(any_number(bytes));
    for (int64_t n = bytes.pick(0, 4); n > 0; --n)
        mask.data.push_back(any_array(bytes));
    return mask;
}

void corrupt(WrittenMask& mask, ByteReader& bytes)
{
    MaskText& text = mask.text;
    for (int64_t n = bytes.one_in(3) ? 2 : 1; n > 0; --n) {
        switch (bytes.pick(0, 7)) {
        case 0:
            edit(text.structure, bytes);
            mask.claim = {false, false};
            break;
        case 1:
            edit(text.data, bytes, [&] { return any_array(bytes); });
            break;
        case 2:
        case 3:
            edit_numbers(text.params, bytes);
            break;
        default:
            if (!text.data.empty()) edit_numbers(text.data[position_in(text.data.size() - 1, bytes)], bytes);
        }
    }
}

} // namespace mask_fuzz
