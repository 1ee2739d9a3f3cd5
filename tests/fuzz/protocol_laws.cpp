#include "protocol_laws.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace mask_fuzz {

using ck_fmha::BoundMask;
using ck_fmha::MaskRef;
using ck_fmha::TiledMask;
using ck_tile_masks::Axis;
using ck_tile_masks::bits_t;
using ck_tile_masks::Interval;
using ck_tile_masks::kIndexMax;
using ck_tile_masks::kIndexMin;
using ck_tile_masks::kNone;
using ck_tile_masks::TileStatus;

std::string to_string(const Subject& s)
{
    return "  mask: " + to_string(s.mask.text) + "\n  call: " + to_string(s.call) + "; tiles of " +
           std::to_string(s.tile.tile_y) + " x " + std::to_string(s.tile.tile_x) + "\n";
}

void fault(const Subject& subject, const std::string& what)
{
    std::fprintf(stderr, "FAULT: %s\n%s", what.c_str(), to_string(subject).c_str());
    std::abort();
}

namespace {

template <class... Part>
std::string text(const Part&... part)
{
    const auto str = [](const auto& p) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(p)>>)
            return std::to_string(p);
        else
            return std::string(p);
    };
    return (str(part) + ...);
}

// One of the four walks.
struct Walk {
    const BoundMask& bound;
    Axis axis; // rows: a band of rows, positions are columns
    bool live; // or not full

    const char* name() const
    {
        if (axis == Axis::rows) return live ? "next_live_col" : "next_not_full_col";
        return live ? "next_live_row" : "next_not_full_row";
    }
    index_t operator()(Interval band, index_t from) const
    {
        const auto [b0, b1] = band;
        if (axis == Axis::rows) return live ? bound.next_live_col(b0, b1, from) : bound.next_not_full_col(b0, b1, from);
        return live ? bound.next_live_row(b0, b1, from) : bound.next_not_full_row(b0, b1, from);
    }
    bool element(index_t line, index_t position) const
    {
        return axis == Axis::rows ? bound.mask_func(line, position) : bound.mask_func(position, line);
    }
    bool exact(const Claim& claim) const { return live ? claim.live_exact : claim.full_exact; }
    index_t lines(const Call& call) const { return axis == Axis::rows ? call.call.seqlen_q : call.call.seqlen_k; }
    index_t positions(const Call& call) const { return axis == Axis::rows ? call.call.seqlen_k : call.call.seqlen_q; }
    std::string described(Interval band, index_t from) const
    {
        return text(name(), "(", band.begin, ", ", band.end, ", ", from, ")");
    }
};

// @law tile_bits are the bits of the rows
void check_tile_bits(const Subject& subject, const BoundMask& bound, index_t i, index_t j, Draws& draws)
{
    constexpr index_t kMostRows = 70; // more than definitions take at a time
    const auto rows = std::min(static_cast<index_t>(draws.pick(1, kMostRows)), subject.call.call.seqlen_q - i);
    const auto most = static_cast<index_t>(draws.one_in(2) ? draws.pick(1, 64) : 64); // columns
    const index_t count = std::min(most, subject.call.call.seqlen_k - j);
    bits_t bits[kMostRows];
    bound.tile_bits(i, i + rows, j, count, bits);
    for (index_t n = 0; n < rows; ++n)
        if (const bits_t expected = bound.row_bits(i + n, j, count); bits[n] != expected)
            fault(subject, text("tile_bits(", i, ", ", i + rows, ", ", j, ", ", count, ") of row ", i + n, " are ",
                                bits[n], ", must be ", expected));
}

// --- Small shapes: all elements
// ----------------------------------------------------------------------------------------

// Attended elements of any rectangle in constant time.
class Elements {
public:
    Elements(const BoundMask& bound, index_t rows, index_t cols)
        : cols_(cols), sums_(static_cast<size_t>(rows + 1) * (cols + 1))
    {
        for (index_t i = 0; i < rows; ++i)
            for (index_t j = 0; j < cols; ++j)
                sum(i + 1, j + 1) = bound.mask_func(i, j) + sum(i, j + 1) + sum(i + 1, j) - sum(i, j);
    }
    index_t count(Interval r, Interval c) const
    {
        return sum(r.end, c.end) - sum(r.begin, c.end) - sum(r.end, c.begin) + sum(r.begin, c.begin);
    }
    bool at(index_t i, index_t j) const { return count({i, i + 1}, {j, j + 1}) != 0; }

private:
    index_t& sum(index_t i, index_t j) { return sums_[static_cast<size_t>(i) * (cols_ + 1) + j]; }
    index_t sum(index_t i, index_t j) const { return sums_[static_cast<size_t>(i) * (cols_ + 1) + j]; }
    index_t cols_;
    std::vector<index_t> sums_;
};

class SmallLaws {
public:
    SmallLaws(const Subject& subject, const BoundMask& bound)
        : subject_(subject),
          claim_(subject.mask.claim),
          seqlen_q_(subject.call.call.seqlen_q),
          seqlen_k_(subject.call.call.seqlen_k),
          bound_(bound),
          tiled_(MaskRef(bound), subject.call.call, subject.tile),
          elements_(bound, seqlen_q_, seqlen_k_)
    {
    }

    void check(Draws& draws)
    {
        // Walks first: a loop over walks that are wrong may never end.
        for (const Axis axis : {Axis::rows, Axis::cols})
            for (const bool live : {true, false})
                for (int n = 0; n < 6; ++n)
                    check_walk({bound_, axis, live}, draws);
        check_row_bits(draws);
        for (int n = 0; n < 6 && seqlen_q_ > 0 && seqlen_k_ > 0; ++n) {
            const auto i = static_cast<index_t>(draws.pick(0, seqlen_q_ - 1));
            check_tile_bits(subject_, bound_, i, static_cast<index_t>(draws.pick(0, seqlen_k_ - 1)), draws);
        }
        check_outside();
        check_tiles();
        check_lines(Axis::rows, draws);
        check_lines(Axis::cols, draws);
    }

private:
    // @law an answer is the smallest position >= from with the property where the walk claims to be exact, and never
    //      later than it
    // @law answers are members of one set: next(from) is `from` or next(from + 1)
    void check_walk(const Walk& walk, Draws& draws) const
    {
        const index_t lines = walk.lines(subject_.call), n = walk.positions(subject_.call);
        if (lines == 0) return;
        const auto begin = static_cast<index_t>(draws.pick(0, lines - 1));
        const auto longest = static_cast<index_t>(draws.one_in(3) ? lines : draws.pick(1, 5));
        const Interval band{begin, std::min(lines, begin + longest)};
        index_t expected = kNone, next_answer = kNone;
        for (index_t from = n - 1; from >= 0; --from) {
            const Interval here{from, from + 1};
            const index_t count = walk.axis == Axis::rows ? elements_.count(band, here) : elements_.count(here, band);
            if (walk.live ? count > 0 : count < band.size()) expected = from;
            const index_t raw = walk(band, from);
            const index_t answer = raw < n ? raw : kNone; // answers past the end are ignored
            const auto complain = [&](const std::string& what) {
                fault(subject_, text(walk.described(band, from), " is ", raw, what));
            };
            if (raw < from) complain(": steps back");
            if (answer > expected) complain(text(": late, must be ", expected));
            if (walk.exact(claim_) && answer != expected) complain(text(": early, must be ", expected));
            if (answer != from && answer != next_answer) complain(text(", but from the next position ", next_answer));
            next_answer = answer;
        }
    }

    // @law bit n of RowBits(i, j0, count) is element (i, j0 + n) for n < count, and 0 beyond
    void check_row_bits(Draws& draws) const
    {
        const auto offset = static_cast<index_t>(draws.pick(0, 9));
        for (index_t i = 0; i < seqlen_q_; ++i)
            for (index_t j0 = (offset * (i + 1)) % 23; j0 < seqlen_k_; j0 += 1 + (i * 7 + j0) % 64) {
                const index_t longest = std::min(seqlen_k_ - j0, 64);
                for (const index_t count : {longest, (longest + 1) / 2}) {
                    bits_t expected = 0;
                    for (index_t n = 0; n < count; ++n)
                        expected |= bits_t{elements_.at(i, j0 + n)} << n;
                    const bits_t bits = tiled_.RowBits(i, j0, count);
                    if (bits != expected)
                        fault(subject_,
                              text("RowBits(", i, ", ", j0, ", ", count, ") is ", bits, ", must be ", expected));
                }
            }
    }

    // @law nothing outside of the bounds is attended
    void check_outside() const
    {
        for (const index_t far : {kIndexMin, -1, kIndexMax})
            for (const index_t near : {-1, 0, seqlen_q_ / 2, seqlen_k_ / 2, seqlen_q_, seqlen_k_})
                if (tiled_.ElementwiseMask(far, near) || tiled_.ElementwiseMask(near, far) ||
                    tiled_.ElementwiseMask(seqlen_q_, near) || tiled_.ElementwiseMask(near, seqlen_k_) ||
                    tiled_.TileMask(far, near) || tiled_.TileMask(near, far))
                    fault(subject_, text("attended outside of the bounds, at ", far, " and ", near));
    }

    // @law the status is sound, and exact where that is claimed; TileMask, StatusOfLiveTile and IsEdgeTile agree with
    // it
    void check_tiles() const
    {
        for (index_t I = 0; I < tiled_.num_tiles_y(); ++I)
            for (index_t J = 0; J < tiled_.num_tiles_x(); ++J) {
                const Interval r = tiled_.rows(I), c = tiled_.cols(J);
                const index_t count = elements_.count(r, c), area = r.size() * c.size();
                const TileStatus status = tiled_.GetTileStatus(I, J);
                const bool empty = status == TileStatus::empty, full = status == TileStatus::full;
                const auto complain = [&](const char* what) {
                    const char* const name = empty ? "empty" : full ? "full" : "edge";
                    fault(subject_, text("tile (", I, ", ", J, "), ", name, " with ", count, " of ", area,
                                         " elements attended, ", what));
                };
                if (empty ? count > 0 : claim_.live_exact && count == 0) complain("is not what the status says");
                if (full ? count < area : claim_.full_exact && count == area) complain("is not what the status says");
                if (tiled_.TileMask(I, J) == empty) complain("contradicts TileMask");
                if (!empty && tiled_.StatusOfLiveTile(I, J) != status) complain("contradicts StatusOfLiveTile");
                const bool sticks_out = r.size() < tiled_.tile_y() || c.size() < tiled_.tile_x();
                if (tiled_.IsEdgeTile(I, J) != (!empty && (!full || sticks_out))) complain("contradicts IsEdgeTile");
            }
    }

    // @law a walk visits the live tiles of its line in [start, end), ascending, each once: so the walks of columns are
    //      the transpose of those of rows
    // @law counts are lengths of walks
    void check_lines(Axis axis, Draws& draws) const
    {
        const bool rows = axis == Axis::rows;
        const index_t lines = rows ? tiled_.num_tiles_y() : tiled_.num_tiles_x();
        const index_t n = rows ? tiled_.num_tiles_x() : tiled_.num_tiles_y();
        std::vector<index_t> counts(static_cast<size_t>(lines));
        bound_.count_live_tiles(axis, subject_.call.call, subject_.tile, 0, lines, counts.data());
        const auto start = static_cast<index_t>(draws.pick(-1, n)), end = static_cast<index_t>(draws.pick(-1, n + 1));
        for (index_t line = 0; line < lines; ++line) {
            const index_t count = check_line(axis, line, 0, n);
            check_line(axis, line, start, end);
            const index_t counted = rows ? tiled_.num_live_tiles_in_row(line) : tiled_.num_live_tiles_in_col(line);
            if (counted != count || counts[static_cast<size_t>(line)] != count)
                fault(subject_, text(rows ? "row " : "column ", line, " has ", count, " live tiles, counted as ",
                                     counted, " and as ", counts[static_cast<size_t>(line)]));
        }
    }
    index_t check_line(Axis axis, index_t line, index_t start, index_t end) const
    {
        if (axis == Axis::rows)
            return compare(axis, line, tiled_.GetTileIndexIteratorAlongX(line, start, end),
                           [&](index_t tile) { return tiled_.TileMask(line, tile); });
        return compare(axis, line, tiled_.GetTileIndexIteratorAlongY(line, start, end),
                       [&](index_t tile) { return tiled_.TileMask(tile, line); });
    }
    template <class Iterator, class Live>
    index_t compare(Axis axis, index_t line, Iterator it, const Live& live) const
    {
        index_t count = 0;
        for (index_t tile = it.start(); tile < it.end(); ++tile) {
            const bool visited = !it.at_end() && it.current() == tile;
            if (visited != live(tile))
                fault(subject_, text("the walk of ", axis == Axis::rows ? "row " : "column ", line, " of tiles in [",
                                     it.start(), ", ", it.end(), ") ", visited ? "visits" : "misses", " tile ", tile));
            if (visited) it.advance();
            count += visited;
        }
        if (!it.at_end()) fault(subject_, text("the walk of line ", line, " goes on past its end"));
        return count;
    }

    const Subject& subject_;
    const Claim claim_;
    const index_t seqlen_q_, seqlen_k_;
    const BoundMask& bound_;
    const TiledMask tiled_;
    const Elements elements_;
};

// --- Huge shapes: samples around a few places
// ----------------------------------------------------------------------------

class HugeLaws {
public:
    HugeLaws(const Subject& subject, const BoundMask& bound)
        : subject_(subject),
          claim_(subject.mask.claim),
          bound_(bound),
          tiled_(MaskRef(bound), subject.call.call, subject.tile)
    {
    }

    void check(Draws& draws)
    {
        if (tiled_.num_tiles_y() == 0 || tiled_.num_tiles_x() == 0) return;
        for (int n = 0; n < 4; ++n) {
            const index_t i = place(tiled_.seqlen_q(), -1, draws), j = place(tiled_.seqlen_k(), i, draws);
            const index_t I = i / tiled_.tile_y(), J = j / tiled_.tile_x();
            for (const bool live : {true, false}) {
                check_walk({bound_, Axis::rows, live}, tiled_.rows(I), j, draws);
                check_walk({bound_, Axis::cols, live}, tiled_.cols(J), i, draws);
            }
            check_row_bits(i, j);
            check_tile_bits(subject_, bound_, i, j, draws);
            check_tile(I, J, draws);
            // A walk over tiles of a combination may have to refuse one tile after the other.
            if (!bound_.exact()) continue;
            check_tile_walks(I, J);
            if (n == 0) {
                const auto row = [&](index_t line) { return tiled_.GetTileIndexIteratorAlongX(line); };
                const auto col = [&](index_t line) { return tiled_.GetTileIndexIteratorAlongY(line); };
                check_counts(Axis::rows, I, row, draws);
                check_counts(Axis::cols, J, col, draws);
            }
        }
    }

private:
    // At the ends, near another position, or anywhere.
    static index_t place(index_t size, index_t other, Draws& draws)
    {
        const int64_t options[] = {draws.pick(0, 200), int64_t{size} - 1 - draws.pick(0, 200),
                                   int64_t{other} + draws.pick(-200, 200), draws.pick(0, size - 1)};
        return static_cast<index_t>(std::clamp<int64_t>(options[draws.pick(0, 3)], 0, size - 1));
    }

    // Some positions of [begin, end): its ends and places inside.
    static std::vector<index_t> sample(index_t begin, index_t end, Draws& draws)
    {
        std::vector<index_t> positions;
        for (index_t n = 0; n < 3; ++n) {
            if (n < end - begin) positions.insert(positions.end(), {begin + n, end - 1 - n});
            if (begin < end) positions.push_back(static_cast<index_t>(draws.pick(begin, end - 1)));
        }
        return positions;
    }

    static bool has_property(const Walk& walk, Interval band, index_t position)
    {
        for (index_t line = band.begin; line < band.end; ++line)
            if (walk.element(line, position) == walk.live) return true;
        return false;
    }

    void check_walk(const Walk& walk, Interval band, index_t from, Draws& draws) const
    {
        const index_t n = walk.positions(subject_.call), raw = walk(band, from), answer = std::min(raw, n);
        const auto complain = [&](const std::string& what) {
            fault(subject_, text(walk.described(band, from), " is ", raw, what));
        };
        if (raw < from) complain(": steps back");
        for (const index_t position : sample(from, answer, draws)) {
            if (has_property(walk, band, position)) complain(text(": late, position ", position, " has the property"));
            const index_t other = std::min(walk(band, position), n);
            if (other != answer) complain(text(", but from ", position, " it is ", other));
        }
        if (answer == n) return;
        if (walk(band, answer) != answer) complain(", which it denies when asked from there");
        if (walk.exact(claim_) && !has_property(walk, band, answer)) complain(": early");
    }

    void check_row_bits(index_t i, index_t j) const
    {
        const index_t count = std::min(64, tiled_.seqlen_k() - j);
        const bits_t bits = tiled_.RowBits(i, j, count);
        for (index_t n = 0; n < 64; ++n)
            if (((bits >> n) & 1) != (n < count && bound_.mask_func(i, j + n)))
                fault(subject_, text("RowBits(", i, ", ", j, ", ", count, ") is ", bits, ", wrong in bit ", n));
    }

    void check_tile(index_t I, index_t J, Draws& draws) const
    {
        const TileStatus status = tiled_.GetTileStatus(I, J);
        const Interval r = tiled_.rows(I), c = tiled_.cols(J);
        if (status == TileStatus::edge) return;
        for (const index_t i : sample(r.begin, r.end, draws))
            for (const index_t j : sample(c.begin, c.end, draws))
                if (bound_.mask_func(i, j) != (status == TileStatus::full))
                    fault(subject_, text("tile (", I, ", ", J, ") is ", status == TileStatus::full ? "full" : "empty",
                                         ", element (", i, ", ", j, ") is not"));
    }

    // The tiles before a live one are empty, it is not, and the other direction says the same.
    void check_tile_walks(index_t I, index_t J) const
    {
        const index_t num_x = tiled_.num_tiles_x(), num_y = tiled_.num_tiles_y();
        const index_t along_x = tiled_.NextLiveTileAlongX(I, J, num_x),
                      along_y = tiled_.NextLiveTileAlongY(J, I, num_y);
        const bool live = tiled_.TileMask(I, J);
        if ((along_x == J) != live || (along_y == I) != live)
            fault(subject_, text("tile (", I, ", ", J, ") is ", live ? "live" : "empty", ", the walk along x is at ",
                                 along_x, ", along y at ", along_y));
        for (const index_t tile : {along_x, along_x - 1})
            if (tile > J && tile < num_x && tiled_.TileMask(I, tile) != (tile == along_x))
                fault(subject_, text("the walk along x from tile (", I, ", ", J, ") stops at ", along_x));
        for (const index_t tile : {along_y, along_y - 1})
            if (tile > I && tile < num_y && tiled_.TileMask(tile, J) != (tile == along_y))
                fault(subject_, text("the walk along y from tile (", I, ", ", J, ") stops at ", along_y));
    }

    // The line and some before it, where all are short enough to walk them: they may share work.
    template <class WalkOf>
    void check_counts(Axis axis, index_t line, const WalkOf& walk_of, Draws& draws) const
    {
        const index_t begin = std::max(line - static_cast<index_t>(draws.pick(0, 3)), 0), size = line - begin + 1;
        index_t expected[4] = {}, counts[4];
        for (index_t n = 0; n < size; ++n)
            for (auto it = walk_of(begin + n); !it.at_end(); it.advance())
                if (++expected[n] > 300) return;
        bound_.count_live_tiles(axis, subject_.call.call, subject_.tile, begin, line + 1, counts);
        for (index_t n = 0; n < size; ++n)
            if (counts[n] != expected[n])
                fault(subject_, text(axis == Axis::rows ? "row " : "column ", begin + n, " has ", expected[n],
                                     " live tiles, counted as ", counts[n], " with those from ", begin, " to ", line));
    }

    const Subject& subject_;
    const Claim claim_;
    const BoundMask& bound_;
    const TiledMask tiled_;
};

} // namespace

void check_small(const Subject& subject, const BoundMask& bound, Draws& draws)
{
    SmallLaws(subject, bound).check(draws);
}

void check_huge(const Subject& subject, const BoundMask& bound, Draws& draws) { HugeLaws(subject, bound).check(draws); }

} // namespace mask_fuzz
