#pragma once

// The laws of a mask, checked by brute force against its oracle. Each law is a function that reports the first fault
// it finds, with the mask, the shape, the tile and the place, and returns whether it found none.

#include <algorithm>
#include <memory>
#include <ostream>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "ck_tile_masks/generic_attention_mask.hpp"
#include "mask_spec.hpp"

namespace mask_tests {

using ck_tile_masks::bits_t;
using ck_tile_masks::DynamicTile;
using ck_tile_masks::GenericAttentionMask;
using ck_tile_masks::kIndexMax;
using ck_tile_masks::kIndexMin;
using ck_tile_masks::kNone;
using ck_tile_masks::TileStatus;

// --- A GenericAttentionMask of any type, so that the laws are compiled once per test --------------------------------

enum class Along { x, y }; // a row of tiles is walked along x, a column along y
enum class Band { live_col, not_full_col, live_row, not_full_row };

class View {
public:
    virtual ~View() = default;
    virtual bool element(index_t i, index_t j) const = 0;
    virtual bits_t row_bits(index_t i, index_t j0, index_t count) const = 0;
    virtual void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const = 0;
    virtual TileStatus status(index_t I, index_t J) const = 0;
    virtual TileStatus status_of_live(index_t I, index_t J) const = 0;
    virtual bool live(index_t I, index_t J) const = 0;
    virtual bool edge(index_t I, index_t J) const = 0;
    virtual index_t num_tiles(Along) const = 0; // tiles in a line
    virtual void walk(Along, index_t line, std::vector<index_t>& tiles) const = 0;
    virtual void walk(Along, index_t line, index_t start, index_t end, std::vector<index_t>& tiles) const = 0;
    virtual index_t num_live(Along, index_t line) const = 0;
    virtual std::vector<index_t> num_live(Along, index_t begin, index_t end) const = 0; // of these lines
    virtual long long num_live() const = 0;
    virtual index_t next(Band, index_t b0, index_t b1, index_t from) const = 0;
    virtual bool has_live_runs() const = 0;
    // Where the run of live columns (rows) that holds `from` ends, for a band of rows (columns).
    virtual index_t live_run_end(bool cols, index_t b0, index_t b1, index_t from) const = 0;
};

template <class Mask>
class ViewOf final : public View {
public:
    explicit ViewOf(const Mask& mask) : mask_(mask) {}

    bool element(index_t i, index_t j) const override { return mask_.ElementwiseMask(i, j); }
    bits_t row_bits(index_t i, index_t j0, index_t count) const override { return mask_.RowBits(i, j0, count); }
    void tile_bits(index_t i0, index_t i1, index_t j0, index_t count, bits_t* bits) const override
    {
        ck_tile_masks::tile_bits(mask_.bound(), i0, i1, j0, count, bits);
    }
    TileStatus status(index_t I, index_t J) const override { return mask_.GetTileStatus(I, J); }
    TileStatus status_of_live(index_t I, index_t J) const override { return mask_.StatusOfLiveTile(I, J); }
    bool live(index_t I, index_t J) const override { return mask_.TileMask(I, J); }
    bool edge(index_t I, index_t J) const override { return mask_.IsEdgeTile(I, J); }
    index_t num_tiles(Along along) const override
    {
        return along == Along::x ? mask_.num_tiles_x() : mask_.num_tiles_y();
    }
    void walk(Along along, index_t line, std::vector<index_t>& tiles) const override
    {
        if (along == Along::x)
            collect(mask_.GetTileIndexIteratorAlongX(line), tiles);
        else
            collect(mask_.GetTileIndexIteratorAlongY(line), tiles);
    }
    void walk(Along along, index_t line, index_t start, index_t end, std::vector<index_t>& tiles) const override
    {
        if (along == Along::x)
            collect(mask_.GetTileIndexIteratorAlongX(line, start, end), tiles);
        else
            collect(mask_.GetTileIndexIteratorAlongY(line, start, end), tiles);
    }
    index_t num_live(Along along, index_t line) const override
    {
        return along == Along::x ? mask_.num_live_tiles_in_row(line) : mask_.num_live_tiles_in_col(line);
    }
    std::vector<index_t> num_live(Along along, index_t begin, index_t end) const override
    {
        std::vector<index_t> counts(static_cast<std::size_t>(end - begin), -7);
        if (along == Along::x)
            mask_.num_live_tiles_in_rows(begin, end, counts.data());
        else
            mask_.num_live_tiles_in_cols(begin, end, counts.data());
        return counts;
    }
    long long num_live() const override { return mask_.num_live_tiles(); }
    index_t next(Band band, index_t b0, index_t b1, index_t from) const override
    {
        const auto& bound = mask_.bound();
        switch (band) {
        case Band::live_col:
            return bound.next_live_col(b0, b1, from);
        case Band::not_full_col:
            return bound.next_not_full_col(b0, b1, from);
        case Band::live_row:
            return bound.next_live_row(b0, b1, from);
        default:
            return bound.next_not_full_row(b0, b1, from);
        }
    }
    bool has_live_runs() const override { return ck_tile_masks::contract::has_live_runs<typename Mask::Bound>; }
    index_t live_run_end([[maybe_unused]] bool cols, [[maybe_unused]] index_t b0, [[maybe_unused]] index_t b1,
                         [[maybe_unused]] index_t from) const override
    {
        if constexpr (ck_tile_masks::contract::has_live_runs<typename Mask::Bound>)
            return cols ? mask_.bound().live_run_end_col(b0, b1, from) : mask_.bound().live_run_end_row(b0, b1, from);
        else
            return kNone;
    }

private:
    // A walk that does not end is cut one step past the longest possible one.
    template <class Iterator>
    static void collect(Iterator it, std::vector<index_t>& tiles)
    {
        tiles.clear();
        const long long longest = static_cast<long long>(it.end()) - it.start();
        for (; !it.at_end() && static_cast<long long>(tiles.size()) <= longest; it.advance())
            tiles.push_back(it.current());
    }

    Mask mask_;
};

using ViewFactory = std::function<std::unique_ptr<View>(const MaskCall&, DynamicTile)>;

template <class Def, class Tile>
std::unique_ptr<View> make_view(const Def& def, const MaskCall& call, Tile tile)
{
    return std::make_unique<ViewOf<GenericAttentionMask<Def, Tile>>>(GenericAttentionMask<Def, Tile>(def, call, tile));
}

template <class Def>
ViewFactory view_factory(const Spec<Def>& spec)
{
    return [spec](const MaskCall& call, DynamicTile tile) { return make_view(spec.def, call, tile); };
}

// --- Reports --------------------------------------------------------------------------------------------------------

// What a law is being checked on.
struct Subject {
    const Claim& claim;
    MaskCall call;
    DynamicTile tile;

    Rect rect(index_t I, index_t J) const
    {
        const auto clip = [](element_t e, index_t end) { return index_t(std::min<element_t>(e, end)); };
        return {clip(element_t{I} * tile.tile_y, call.seqlen_q), clip((element_t{I} + 1) * tile.tile_y, call.seqlen_q),
                clip(element_t{J} * tile.tile_x, call.seqlen_k), clip((element_t{J} + 1) * tile.tile_x, call.seqlen_k)};
    }
};

inline std::ostream& operator<<(std::ostream& out, const Subject& s)
{
    return out << s.claim.name << ", batch " << s.call.batch << ", head " << s.call.head << ", Sq " << s.call.seqlen_q
               << ", Sk " << s.call.seqlen_k << ", tile (" << s.tile.tile_y << ", " << s.tile.tile_x << ")";
}

inline const char* name_of(TileStatus status)
{
    return status == TileStatus::empty ? "empty" : status == TileStatus::edge ? "edge" : "full";
}
inline const char* name_of(Band band)
{
    switch (band) {
    case Band::live_col:
        return "next_live_col";
    case Band::not_full_col:
        return "next_not_full_col";
    case Band::live_row:
        return "next_live_row";
    default:
        return "next_not_full_row";
    }
}

template <class... Part>
bool fault(const Subject& subject, const Part&... part)
{
    ADD_FAILURE() << subject << ": " << text(part...);
    return false;
}

// One column of a band of rows, or one row of a band of columns.
inline Rect line_of_band(bool cols, index_t b0, index_t b1, index_t line)
{
    return cols ? Rect{b0, b1, line, line + 1} : Rect{line, line + 1, b0, b1};
}

// --- The laws ------------------------------------------------------------------------------------------------------

// @law ElementwiseMask(i, j) is the predicate inside the bounds and false outside of them
inline bool check_elements(const Subject& s, const View& view, const Elements& truth)
{
    for (index_t i = -2; i < s.call.seqlen_q + 2; ++i)
        for (index_t j = -2; j < s.call.seqlen_k + 2; ++j)
            if (view.element(i, j) != truth.at(i, j))
                return fault(s, "element (", i, ", ", j, ") must be ", truth.at(i, j));
    for (const index_t far : {kIndexMin, -1000, s.call.seqlen_q + 1000, s.call.seqlen_k + 1000, kIndexMax})
        for (index_t near = -1; near <= std::max(s.call.seqlen_q, s.call.seqlen_k); ++near)
            if (view.element(far, near) || view.element(near, far))
                return fault(s, "elements (", far, ", ", near, ") and (", near, ", ", far, ") are outside");
    return true;
}

// @law bit n of RowBits(i, j0, count) is element (i, j0 + n) for n < count, and 0 for n >= count
inline bool check_row_bits(const Subject& s, const View& view, const Elements& truth)
{
    for (index_t i = 0; i < s.call.seqlen_q; ++i)
        for (index_t j0 = 0; j0 <= s.call.seqlen_k; j0 += 5 + (i + j0) % 11) {
            const index_t longest = std::min(s.call.seqlen_k - j0, 64);
            for (const index_t count : {longest, longest / 2, std::min(longest, 1)}) {
                bits_t expected = 0;
                for (index_t n = 0; n < count; ++n)
                    expected |= bits_t{truth.at(i, j0 + n)} << n;
                const bits_t bits = view.row_bits(i, j0, count);
                if (bits != expected)
                    return fault(s, "RowBits(", i, ", ", j0, ", ", count, ") is ", std::hex, bits, ", must be ",
                                 expected);
            }
        }
    return true;
}

// @law tile_bits are the row_bits of the rows
inline bool check_tile_bits(const Subject& s, const View& view)
{
    bits_t bits[128];
    for (index_t i0 = 0; i0 < s.call.seqlen_q; i0 += 19)
        for (index_t j0 = i0 % 3; j0 < s.call.seqlen_k; j0 += 29) {
            const index_t i1 = std::min(s.call.seqlen_q, i0 + 1 + (7 * i0 + j0) % 100);
            const index_t count = std::min(s.call.seqlen_k - j0, 1 + (i0 + 5 * j0) % 64);
            view.tile_bits(i0, i1, j0, count, bits);
            for (index_t i = i0; i < i1; ++i)
                if (bits[i - i0] != view.row_bits(i, j0, count))
                    return fault(s, "tile_bits([", i0, ", ", i1, "), ", j0, ", ", count, ") of row ", i, " are ",
                                 std::hex, bits[i - i0], ", must be ", view.row_bits(i, j0, count));
        }
    return true;
}

// @law GetTileStatus is exact where the claim says so, and sound otherwise: never `empty` with an attended element,
//      never `full` with an unattended one; a tile outside the bounds is empty
// @law TileMask(I, J) iff the status is not `empty`; StatusOfLiveTile agrees with it on live tiles
// @law IsEdgeTile(I, J) iff the status is `edge`, or it is `full` and the tile sticks out of the bounds
inline bool check_tiles(const Subject& s, const View& view, const Elements& truth)
{
    const index_t num_y = view.num_tiles(Along::y), num_x = view.num_tiles(Along::x);
    const auto covers = [](index_t tiles, index_t tile, index_t seqlen) {
        return element_t{tiles} * tile >= seqlen && (tiles == 0 ? seqlen == 0 : (element_t{tiles} - 1) * tile < seqlen);
    };
    if (!covers(num_y, s.tile.tile_y, s.call.seqlen_q) || !covers(num_x, s.tile.tile_x, s.call.seqlen_k))
        return fault(s, "there are not ", num_y, " x ", num_x, " tiles");

    for (index_t I = 0; I < num_y; ++I)
        for (index_t J = 0; J < num_x; ++J) {
            const Rect rect = s.rect(I, J);
            const index_t area = rect.area(), count = truth.count(rect);
            const TileStatus status = view.status(I, J);
            const char* const name = name_of(status);
            const bool is_empty = status == TileStatus::empty, is_full = status == TileStatus::full;
            if (is_empty ? count > 0 : s.claim.live_exact && count == 0)
                return fault(s, "tile (", I, ", ", J, ") is ", name, ", with ", count, " of ", area, " attended");
            if (is_full ? count < area : s.claim.full_exact && count == area)
                return fault(s, "tile (", I, ", ", J, ") is ", name, ", with ", count, " of ", area, " attended");
            if (view.live(I, J) == is_empty) return fault(s, "TileMask(", I, ", ", J, ") contradicts status ", name);
            if (!is_empty && view.status_of_live(I, J) != status)
                return fault(s, "StatusOfLiveTile(", I, ", ", J, ") contradicts status ", name);
            const bool sticks_out = area < s.tile.tile_y * s.tile.tile_x;
            if (view.edge(I, J) != (status == TileStatus::edge || (is_full && sticks_out)))
                return fault(s, "IsEdgeTile(", I, ", ", J, ") contradicts status ", name);
        }

    for (const index_t out_y : {-1, num_y, num_y + 1, kIndexMax})
        for (index_t in = 0; in <= num_x; ++in)
            if (view.live(out_y, in) || view.edge(out_y, in)) return fault(s, "tile (", out_y, ", ", in, ") is live");
    for (const index_t out_x : {-1, num_x, num_x + 1, kIndexMax})
        for (index_t in = 0; in <= num_y; ++in)
            if (view.live(in, out_x) || view.edge(in, out_x)) return fault(s, "tile (", in, ", ", out_x, ") is live");
    return true;
}

// Some ranges in and around [0, n]: all of them for small n, else two of six kinds that differ from line to line (there
// are thousands of shapes).
inline std::vector<std::pair<index_t, index_t>> some_ranges(index_t n, index_t line)
{
    std::vector<std::pair<index_t, index_t>> ranges;
    if (n <= 3) {
        for (index_t start = -2; start <= n + 1; ++start)
            for (index_t end = 0; end <= n + 2; ++end)
                ranges.emplace_back(start, end);
        return ranges;
    }
    const index_t a = (line * 7 + 1) % n, b = (line * 11 + 3) % n;
    switch (line % 3) {
    case 0:
        return {{std::min(a, b), std::max(a, b) + 1}, {a, a}};
    case 1:
        return {{b, n + 5}, {n, n}};
    default:
        return {{-3, a}, {n - 1, 1}};
    }
}

// Which tiles are live, asked once for each.
class LiveTiles {
public:
    explicit LiveTiles(const View& view) : num_y_(view.num_tiles(Along::y)), num_x_(view.num_tiles(Along::x))
    {
        live_.reserve(std::size_t(num_y_) * std::size_t(num_x_));
        for (index_t I = 0; I < num_y_; ++I)
            for (index_t J = 0; J < num_x_; ++J)
                live_.push_back(view.live(I, J));
    }
    index_t num_lines(Along along) const { return along == Along::x ? num_y_ : num_x_; }
    index_t num_tiles(Along along) const { return along == Along::x ? num_x_ : num_y_; }
    // The live tiles of a line in [start, end).
    void line(Along along, index_t n, index_t start, index_t end, std::vector<index_t>& tiles) const
    {
        tiles.clear();
        end = std::min(end, num_tiles(along));
        for (index_t tile = std::max(start, 0); tile < end; ++tile)
            if (along == Along::x ? live(n, tile) : live(tile, n)) tiles.push_back(tile);
    }

private:
    bool live(index_t I, index_t J) const { return live_[std::size_t(I) * std::size_t(num_x_) + std::size_t(J)]; }

    index_t num_y_, num_x_;
    std::vector<char> live_;
};

// @law a walk visits the live tiles of its line: ascending, each once, never past the end; so the walks along y are the
//      transpose of those along x; a walk in [start, end) is the part of the whole walk in it
// @law counts are lengths of walks, whether lines are counted one by one or many at once
inline bool check_walks(const Subject& s, const View& view, const LiveTiles& live, Along along, long long& total)
{
    const index_t num_lines = live.num_lines(along), n = live.num_tiles(along);
    std::vector<index_t> expected, walk, counts;
    total = 0;
    for (index_t line = 0; line < num_lines; ++line) {
        const auto name = [&] { return text("walk along ", along == Along::x ? "x" : "y", " of line ", line); };
        live.line(along, line, 0, n, expected);
        const auto count = static_cast<index_t>(expected.size());
        total += count;
        counts.push_back(count);
        view.walk(along, line, walk);
        if (walk != expected)
            return fault(s, name(), " is ", ::testing::PrintToString(walk), ", live are ",
                         ::testing::PrintToString(expected));
        if (view.num_live(along, line) != count)
            return fault(s, name(), " has ", count, " tiles, counted as ", view.num_live(along, line));
        for (const auto& [start, end] : some_ranges(n, line)) {
            live.line(along, line, start, end, expected);
            view.walk(along, line, start, end, walk);
            if (walk != expected)
                return fault(s, name(), " in [", start, ", ", end, ") is ", ::testing::PrintToString(walk),
                             ", must be ", ::testing::PrintToString(expected));
        }
    }
    for (const index_t outside : {num_lines, num_lines + 1}) {
        view.walk(along, outside, walk);
        if (!walk.empty()) return fault(s, "the walk of line ", outside, " must be empty: there are ", num_lines);
        if (view.num_live(along, outside) != 0)
            return fault(s, "line ", outside, " must have no live tile: there are ", num_lines);
        counts.push_back(0);
    }
    auto ranges = some_ranges(num_lines + 2, num_lines);
    ranges.emplace_back(0, num_lines + 2);
    for (const auto& [begin, end] : ranges) {
        const index_t first = std::max(begin, 0), last = std::max(std::min(end, num_lines + 2), first);
        const std::vector<index_t> part(counts.begin() + first, counts.begin() + last);
        if (view.num_live(along, first, last) != part)
            return fault(s, "lines ", first, " to ", last - 1, along == Along::x ? " along x" : " along y", " have ",
                         ::testing::PrintToString(part), " live tiles, counted together as ",
                         ::testing::PrintToString(view.num_live(along, first, last)));
    }
    return true;
}
inline bool check_walks(const Subject& s, const View& view)
{
    const LiveTiles live(view);
    long long by_rows = 0, by_cols = 0;
    if (!check_walks(s, view, live, Along::x, by_rows) || !check_walks(s, view, live, Along::y, by_cols)) return false;
    if (view.num_live() != by_rows || by_rows != by_cols)
        return fault(s, "num_live_tiles() is ", view.num_live(), ", the walks along x visit ", by_rows,
                     ", those along y ", by_cols);
    return true;
}

// @law each band function is the smallest index >= from with the property; a composition may answer early, never late
// @law the answers for a band are the members of one set, each asked for the first one >= from, which leapfrogging
//      relies on
inline bool check_bands(const Subject& s, const View& view, const Elements& truth)
{
    for (const Band band : {Band::live_col, Band::not_full_col, Band::live_row, Band::not_full_row}) {
        const bool cols = band == Band::live_col || band == Band::not_full_col;
        const bool live = band == Band::live_col || band == Band::live_row;
        const bool exact = live ? s.claim.live_exact : s.claim.full_exact;
        const index_t lines = cols ? s.call.seqlen_q : s.call.seqlen_k, n = cols ? s.call.seqlen_k : s.call.seqlen_q;
        for (index_t b0 = 0; b0 < lines; ++b0)
            for (index_t b1 = b0 + 1; b1 <= lines; ++b1) {
                index_t expected = kNone, next_answer = kNone;
                for (index_t from = n + 2; from >= 0; --from) {
                    if (from < n) {
                        const index_t count = truth.count(line_of_band(cols, b0, b1, from));
                        if (live ? count > 0 : count < b1 - b0) expected = from;
                    }
                    const index_t answer = view.next(band, b0, b1, from);
                    const index_t in_bounds = answer < n ? answer : kNone; // answers past the end are ignored
                    if (answer < from || (exact ? in_bounds != expected : in_bounds > expected))
                        return fault(s, name_of(band), "(", b0, ", ", b1, ", ", from, ") is ", answer, ", must be ",
                                     exact ? "" : "at most ", expected);
                    if (in_bounds != from && in_bounds != next_answer)
                        return fault(s, name_of(band), "(", b0, ", ", b1, ", ", from, ") is ", answer, ", but ",
                                     next_answer, " when asked from the next position");
                    next_answer = in_bounds;
                }
            }
    }
    return true;
}

// @law live_run_end(band, j) > j for a live j, and all positions of [j, live_run_end) inside the sequence are live
inline bool check_live_runs(const Subject& s, const View& view, const Elements& truth)
{
    if (!view.has_live_runs()) return true;
    for (const bool cols : {true, false}) {
        const index_t lines = cols ? s.call.seqlen_q : s.call.seqlen_k, n = cols ? s.call.seqlen_k : s.call.seqlen_q;
        for (index_t b0 = 0; b0 < lines; ++b0)
            for (index_t b1 = b0 + 1; b1 <= lines; ++b1) {
                index_t run_end = n;
                for (index_t j = n - 1; j >= 0; --j) {
                    if (truth.count(line_of_band(cols, b0, b1, j)) == 0) {
                        run_end = j;
                        continue;
                    }
                    const index_t answer = view.live_run_end(cols, b0, b1, j);
                    if (answer <= j || std::min(answer, n) > run_end)
                        return fault(s, cols ? "live_run_end_col(" : "live_run_end_row(", b0, ", ", b1, ", ", j,
                                     ") is ", answer, "; the run ends at ", run_end);
                }
            }
    }
    return true;
}

// --- Small shapes, all of them --------------------------------------------------------------------------------------

inline const std::vector<DynamicTile>& law_tiles()
{
    static const std::vector<DynamicTile> tiles = {{1, 1}, {4, 8}, {16, 16}, {32, 8}, {7, 5}};
    return tiles;
}

constexpr index_t kLawLength = 65;   // every definition is checked on all shapes up to this length ...
constexpr index_t kShortLength = 24; // ... and with further parameters up to this one

// Every length in [0, last]. Sanitizers look for undefined behaviour, not for wrong answers, and are slow: a sample.
inline std::vector<index_t> law_lengths(index_t last)
{
    std::vector<index_t> lengths;
#if defined(__SANITIZE_ADDRESS__)
    for (const index_t length : {0, 1, 2, 3, 7, 8, 17, 33, 65})
        if (length <= last) lengths.push_back(length);
#else
    for (index_t length = 0; length <= last; ++length)
        lengths.push_back(length);
#endif
    return lengths;
}

// The sample and the head of the calls that a mask is checked on.
struct Entry {
    index_t head = 0, batch = 0;
};

// All laws but those of bands, on one shape, for the given tiles.
inline bool check_shape(const Claim& claim, const ViewFactory& view_of, const MaskCall& call,
                        const std::vector<DynamicTile>& tiles = law_tiles())
{
    const Elements truth(claim.oracle(call), call.seqlen_q, call.seqlen_k);
    const Subject any_tile{claim, call, {}};
    const auto elements = view_of(call, any_tile.tile);
    bool ok = check_elements(any_tile, *elements, truth) && check_row_bits(any_tile, *elements, truth) &&
              check_tile_bits(any_tile, *elements);
    for (const DynamicTile tile : tiles) {
        const auto view = view_of(call, tile);
        const Subject s{claim, call, tile};
        ok = ok && check_tiles(s, *view, truth) && check_walks(s, *view);
    }
    return ok;
}

// All laws but those of bands, on all shapes up to `last` x `last`. Reports the first faults only.
template <class Def>
void check_all_shapes(const Spec<Def>& spec, Entry entry = {}, index_t last = kLawLength)
{
    const ViewFactory view_of = view_factory(spec);
    int faults = 0;
    for (const index_t seqlen_q : law_lengths(last))
        for (const index_t seqlen_k : law_lengths(last)) {
            faults += !check_shape(spec.claim, view_of, {entry.batch, entry.head, seqlen_q, seqlen_k});
            if (faults == 3) return;
        }
}

// The same with one tile shape for each shape, another one for another `turn`.
template <class Def>
void check_all_shapes_in_turn(const Spec<Def>& spec, Entry entry, index_t turn, index_t last = kShortLength)
{
    const ViewFactory view_of = view_factory(spec);
    int faults = 0;
    for (const index_t seqlen_q : law_lengths(last))
        for (const index_t seqlen_k : law_lengths(last)) {
            const auto n = std::size_t(seqlen_q + 2 * seqlen_k + turn) % law_tiles().size();
            faults +=
                !check_shape(spec.claim, view_of, {entry.batch, entry.head, seqlen_q, seqlen_k}, {law_tiles()[n]});
            if (faults == 3) return;
        }
}

// The laws of bands, for all bands of all shapes up to 9 x 9 and of some larger ones.
template <class Def>
void check_all_bands(const Spec<Def>& spec, Entry entry = {})
{
    const ViewFactory view_of = view_factory(spec);
    const auto check = [&](index_t seqlen_q, index_t seqlen_k) {
        const MaskCall call{entry.batch, entry.head, seqlen_q, seqlen_k};
        const Elements truth(spec.claim.oracle(call), seqlen_q, seqlen_k);
        const Subject s{spec.claim, call, {}};
        const auto view = view_of(call, {});
        return check_bands(s, *view, truth) && check_live_runs(s, *view, truth);
    };
    for (index_t seqlen_q = 0; seqlen_q < 10; ++seqlen_q)
        for (index_t seqlen_k = 0; seqlen_k < 10; ++seqlen_k)
            if (!check(seqlen_q, seqlen_k)) return;
    for (const auto& [seqlen_q, seqlen_k] :
         {std::pair{20, 13}, std::pair{11, 26}, std::pair{24, 24}, std::pair{37, 41}})
        if (!check(seqlen_q, seqlen_k)) return;
}

// Every law, on all shapes up to 65 x 65. Bands first: a walk or RowBits over wrong bands may never end.
template <class Def>
void check_laws(const Spec<Def>& spec, Entry entry = {}, index_t last = kLawLength)
{
    check_all_bands(spec, entry);
    if (!::testing::Test::HasFailure()) check_all_shapes(spec, entry, last);
}

// Every law, on all shapes up to 24 x 24: for further parameters of a definition that check_laws has seen ...
template <class Def>
void check_short_laws(const Spec<Def>& spec, Entry entry = {})
{
    check_laws(spec, entry, kShortLength);
}

// ... and with tile shapes that take turns, for large families of parameters.
template <class Def>
void check_laws_in_turn(const Spec<Def>& spec, index_t turn, Entry entry = {})
{
    check_all_bands(spec, entry);
    if (!::testing::Test::HasFailure()) check_all_shapes_in_turn(spec, entry, turn);
}

} // namespace mask_tests
