#include "gpu/runtime/fwd_plan.hpp"

#include <algorithm>
#include <future>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "ck_tile_masks/tile_schedule.hpp"
#include "gpu/runtime/longest_first.hpp"

namespace ck_fmha::gpu {
namespace {

using ck_tile_masks::Axis;
using ck_tile_masks::MaskCall;
using ck_tile_masks::TileRange;

// Work items for each compute unit, if no row is to be longer than its share: a compute unit holds one or two
// work-groups at a time, and the last ones to finish should be short.
constexpr index_t kRangesPerComputeUnit = 4;
// A piece of a row (column) is worth a partial result, written and read again, from so many columns (rows) on.
constexpr index_t kMinLengthOfPiece = 512;
// Of a line that is cut because it stands out: as many partial results are merged.
constexpr index_t kMostPieces = 32;
struct Share {
    index_t part, of;
};
// A line stands out if it is more than this much longer than the others.
constexpr Share kStandsOut{5, 4};
// A tile of K and V in shared memory serves the 128 rows of four waves. Half as many (and as many keys, backward) visit
// fewer tiles where neighbouring bands attend different ones, as those of Big Bird's blocks of 64 do; but they copy
// more for each of them. Measured on NVIDIA, they pay where they visit less than 6/7 of the elements; on AMD each wave
// would copy twice as much of a tile and execute more instructions for it.
constexpr index_t kWaves = 4;
constexpr Share kHalfPays{6, 7};
// Of a warpgroup, forward, three halves find room on a multiprocessor and their tiles are as long as those of a whole
// one.
constexpr Share kHalfWarpgroupPays{19, 20};
// Lines that this is found out from: runs of neighbours, which take less time than as many single ones.
constexpr index_t kSampledRuns = 16;
constexpr index_t kLinesOfRun = 8;
// A thread is worth starting to count the live tiles of so many lines, some 100 microseconds of work.
constexpr index_t kLinesOfThread = 4096;
constexpr index_t kMostThreads = 8;

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("ck_fmha: " + what); }

// A mask that differs from the others, with the live tiles of its rows.
struct Distinct {
    MaskCall call;
    std::unique_ptr<BoundMask> bound;
    index_t image = 0;
    int group = 0;
    std::vector<index_t> counts;
};

class Planner {
public:
    Planner(const MaskExpr& mask, const FwdShape& shape) : mask_(mask)
    {
        plan_.shape = shape;
        plan_.num_waves = shape.axis == Axis::rows ? kWaves : kBwdThreads / wave_lanes(shape.lanes);
        plan_.varies_by_batch = mask.varies_by_batch();
        plan_.varies_by_head = mask.varies_by_head();
    }

    FwdPlan make()
    {
        check_length();
        bind_all();
        choose_waves();
        count_lines();
        expect_work();
        if (plan_.shape.axis == Axis::rows)
            for (Distinct& d : distinct_)
                cut_rows(d);
        else
            cut_columns();
        if (plan_.num_partial_keys() > ck_tile_masks::kIndexMax)
            refuse("the partial results of this call have more than 2^31 rows: split it by batch or head");
        for (FwdGroup& group : plan_.groups) {
            set_lists(group);
            if (plan_.num_partial_rows(group) > ck_tile_masks::kIndexMax)
                refuse("the partial results of this call have more than 2^31 rows: split it by batch or head");
        }
        return std::move(plan_);
    }

private:
    void bind_all()
    {
        const FwdShape& s = plan_.shape;
        MaskImageWriter writer;
        for (int64_t b = 0; b < (plan_.varies_by_batch ? s.batch : 1); ++b)
            for (int64_t h = 0; h < (plan_.varies_by_head ? s.num_heads : 1); ++h) {
                Distinct d;
                d.call = {static_cast<index_t>(b), static_cast<index_t>(h), static_cast<index_t>(s.seqlen_q),
                          static_cast<index_t>(s.seqlen_k)};
                d.bound = mask_.bind(d.call);
                if (writer.bytes().size() > static_cast<size_t>(ck_tile_masks::kIndexMax))
                    refuse("the masks of this call take more than 2 GiB: split it by batch or head");
                d.image = static_cast<index_t>(writer.bytes().size());
                writer.next_image();
                d.bound->write_image(writer);
                d.group = group_of(writer.structure());
                plan_.group_of.push_back(d.group);
                distinct_.push_back(std::move(d));
            }
        plan_.images = writer.bytes();
        plan_.addresses = writer.addresses();
    }

    int group_of(const std::string& structure)
    {
        const auto found = std::find_if(plan_.groups.begin(), plan_.groups.end(),
                                        [&](const FwdGroup& group) { return group.structure == structure; });
        if (found != plan_.groups.end()) return static_cast<int>(found - plan_.groups.begin());
        plan_.groups.emplace_back().structure = structure;
        return static_cast<int>(plan_.groups.size()) - 1;
    }

    void check_length() const
    {
        const bool rows = plan_.shape.axis == Axis::rows;
        const int64_t seqlen = rows ? plan_.shape.seqlen_k : plan_.shape.seqlen_q;
        const int64_t most = int64_t{kMostTiles} * (rows ? plan_.tile().x() : plan_.tile().y());
        if (seqlen > most)
            refuse(std::string(rows ? "seqlen_k" : "seqlen_q") + " must be at most " + std::to_string(most) +
                   (rows ? "" : " in the backward") + " on GPUs with this head_dim, got " + std::to_string(seqlen));
    }

    void choose_waves()
    {
        const FwdShape& s = plan_.shape;
        const index_t whole = plan_.num_waves, half = whole / 2;
        const bool has_halves = s.lanes != 64 && (s.axis == Axis::rows || s.head_dim <= 128);
        if (!has_halves || s.seqlen_k > int64_t{kMostTiles} * s.tile(half).x()) return;
        const bool is_warpgroup = s.axis == Axis::rows && fwd_by_warpgroup(s.lanes, s.head_dim);
        const Share pays = is_warpgroup ? kHalfWarpgroupPays : kHalfPays;
        if (pays.of * elements(half, whole) < pays.part * elements(whole, whole)) plan_.num_waves = half;
    }
    // Of the live tiles that work-groups of `num_waves` waves visit, in some of the lines that are full for `whole`.
    int64_t elements(index_t num_waves, index_t whole) const
    {
        const auto tile = plan_.shape.tile(num_waves);
        const index_t per_line = whole / num_waves;
        int64_t total = 0;
        index_t counts[2 * kLinesOfRun];
        for (const Distinct& d : distinct_) {
            const index_t full_lines = std::max(num_lines(d, plan_.shape.tile(whole)) - 1, 0);
            const index_t step = std::max(ck_tile_masks::div_up(full_lines, kSampledRuns), kLinesOfRun);
            for (index_t line = (step - kLinesOfRun) / 2; line < full_lines; line += step) {
                const index_t first = line * per_line, last = std::min(line + kLinesOfRun, full_lines) * per_line;
                d.bound->count_live_tiles(plan_.shape.axis, d.call, tile, first, last, counts);
                total = std::accumulate(counts, counts + (last - first), total);
            }
        }
        return total * tile.x() * tile.y();
    }
    index_t num_lines(const Distinct& d, const ck_tile_masks::DynamicTile& tile) const
    {
        return plan_.shape.axis == Axis::rows ? ck_tile_masks::div_up(d.call.seqlen_q, tile.y())
                                              : ck_tile_masks::div_up(d.call.seqlen_k, tile.x());
    }

    void count_lines()
    {
        const bool rows = plan_.shape.axis == Axis::rows;
        const auto tile = plan_.tile();
        int64_t total = 0;
        for (Distinct& d : distinct_) {
            d.counts.resize(num_lines(d, tile));
            count_live_tiles(d, tile);
            total = std::accumulate(d.counts.begin(), d.counts.end(), total);
        }
        total *= plan_.num_shared();
        const index_t least = kMinLengthOfPiece / (rows ? tile.x() : tile.y());
        const index_t balanced =
            ck_tile_masks::balanced_limit(total, plan_.shape.num_compute_units * kRangesPerComputeUnit, least);
        const Cuts even = even_cuts(least);
        cuts_ = balanced < even.above ? Cuts{balanced, balanced} : even;
    }

    void count_live_tiles(Distinct& d, const ck_tile_masks::DynamicTile& tile) const
    {
        const auto lines = static_cast<int64_t>(d.counts.size());
        const auto count = [&](int64_t begin, int64_t end) {
            d.bound->count_live_tiles(plan_.shape.axis, d.call, tile, static_cast<index_t>(begin),
                                      static_cast<index_t>(end), &d.counts[begin]);
        };
        const int64_t processors = std::thread::hardware_concurrency();
        const int64_t threads =
            std::clamp<int64_t>(lines / kLinesOfThread, 1, std::clamp<int64_t>(processors, 1, kMostThreads));
        std::vector<std::future<void>> others; // where no thread can be started, get() counts
        for (int64_t n = 1; n < threads; ++n)
            others.push_back(std::async(count, lines * n / threads, lines * (n + 1) / threads));
        if (lines > 0) count(0, lines / threads);
        for (std::future<void>& other : others)
            other.get();
    }

    // Lines with more than `above` live tiles are cut into pieces of at most `into`.
    struct Cuts {
        index_t above = ck_tile_masks::kIndexMax;
        index_t into = ck_tile_masks::kIndexMax;
        index_t limit_of(index_t count) const { return count > above ? into : ck_tile_masks::kIndexMax; }
    };
    // Where a few lines stand out, as those of global tokens do, their pieces are about as long as the others: else one
    // work-group of them might run when all others are over.
    Cuts even_cuts(index_t least) const
    {
        const Lines all = lines_up_to(ck_tile_masks::kIndexMax);
        if (all.number == 0) return {};
        const Lines others = lines_up_to(static_cast<index_t>(2 * all.total / all.number)); // at least half of them
        const int64_t mean = (others.total + others.number - 1) / others.number;
        const auto into =
            static_cast<index_t>(std::max<int64_t>({least, ck_tile_masks::div_up(all.longest, kMostPieces), mean}));
        const index_t above = into * kStandsOut.part / kStandsOut.of;
        return 3 * lines_up_to(above).total >= 2 * all.total ? Cuts{above, into} : Cuts{};
    }
    struct Lines {
        int64_t number = 0, total = 0; // of the lines that have live tiles, and their live tiles
        index_t longest = 0;
    };
    Lines lines_up_to(index_t length) const
    {
        Lines lines;
        for (const Distinct& d : distinct_)
            for (const index_t count : d.counts) {
                if (count == 0 || count > length) continue;
                ++lines.number;
                lines.total += count;
                lines.longest = std::max(lines.longest, count);
            }
        return lines;
    }

    void expect_work()
    {
        places_.resize(plan_.groups.size());
        for (const Distinct& d : distinct_)
            for (const index_t count : d.counts) {
                const index_t parts = ck_tile_masks::num_parts_of_line(count, cuts_.limit_of(count));
                for (index_t part = 0; part < parts; ++part)
                    places_[d.group].expect(ck_tile_masks::num_live_of_part(count, parts, part));
            }
        for (size_t n = 0; n < places_.size(); ++n)
            plan_.groups[n].work.resize(places_[n].begin());
    }
    void add(const Distinct& d, const TileRange& range, index_t slot)
    {
        plan_.groups[d.group].work[places_[d.group].next(range.num_live)] = {
            range.line, range.begin, range.end, slot, d.image, d.call.batch, d.call.head, range.num_live};
    }

    void cut_rows(Distinct& d)
    {
        FwdGroup& group = plan_.groups[d.group];
        const TiledMask tiled(MaskRef(*d.bound), d.call, plan_.tile());
        for (index_t row = 0; row < static_cast<index_t>(d.counts.size()); ++row)
            ck_tile_masks::cut_line<Axis::rows>(
                tiled, row, d.counts[row], cuts_.limit_of(d.counts[row]), [&](const TileRange& range) {
                    const bool whole = range.num_parts == 1;
                    plan_.has_cut_lines |= !whole;
                    if (!whole && range.part == 0)
                        group.merges.push_back({row, group.num_slots, range.num_parts, d.call.batch, d.call.head, {}});
                    add(d, range, whole ? -1 : group.num_slots++);
                });
        d = {}; // a call may have thousands of them
    }

    // Column by column the heads of a group one after the other, so that the slots that a merge sums follow each other.
    void cut_columns()
    {
        const index_t heads = plan_.varies_by_head ? plan_.shape.heads_per_kv : 1;
        for (size_t first = 0; first < distinct_.size(); first += static_cast<size_t>(heads)) {
            Distinct* const group = &distinct_[first];
            for (index_t column = 0; column < static_cast<index_t>(group->counts.size()); ++column) {
                const index_t first_slot = plan_.num_slots;
                for (index_t n = 0; n < heads; ++n)
                    cut_column(group[n], column);
                if (plan_.num_slots > first_slot)
                    plan_.merges.push_back(
                        {column, first_slot, plan_.num_slots - first_slot, group->call.batch, group->call.head, {}});
            }
            std::for_each(group, group + heads, [](Distinct& d) { d = {}; });
        }
    }
    void cut_column(const Distinct& d, index_t column)
    {
        const TiledMask tiled(MaskRef(*d.bound), d.call, plan_.tile());
        ck_tile_masks::cut_line<Axis::cols>(
            tiled, column, d.counts[column], cuts_.limit_of(d.counts[column]), [&](const TileRange& range) {
                const bool whole = range.num_parts == 1 && plan_.shape.heads_per_kv == 1;
                plan_.has_cut_lines |= range.num_parts > 1;
                add(d, range, whole ? -1 : plan_.num_slots++);
            });
    }

    void set_lists(FwdGroup& group) const
    {
        const FwdShape& shape = plan_.shape;
        group.items_at_once = group.work.size();
        if (group.work.empty()) return;
        const auto longest =
            std::max_element(group.work.begin(), group.work.end(),
                             [](const FwdWork& a, const FwdWork& b) { return a.num_live < b.num_live; });
        group.num_stored = longest->num_live + 1;
        const auto most =
            static_cast<size_t>(shape.most_list_bytes) / sizeof(TileCode) / static_cast<size_t>(group.num_stored);
        group.keeps_lists = group.work.size() <= most;
        if (group.keeps_lists) return;
        // Not so few that the device would be idle.
        const index_t busy = ck_tile_masks::div_up(shape.num_compute_units * kRangesPerComputeUnit, plan_.num_shared());
        group.items_at_once = std::min(group.work.size(), std::max(most, static_cast<size_t>(busy)));
    }

    const MaskExpr& mask_;
    FwdPlan plan_;
    std::vector<Distinct> distinct_;
    Cuts cuts_;
    std::vector<LongestFirst> places_; // in the work of each group
};

} // namespace

ck_tile_masks::DynamicTile FwdShape::tile(index_t num_waves) const
{
    if (axis == Axis::rows) return {fwd_tile_q(num_waves), fwd_tile_k(lanes, head_dim, num_waves)};
    return {bwd_tile_q(lanes), bwd_tile_k(head_dim, bwd_threads(lanes, num_waves))};
}

index_t FwdPlan::num_shared() const
{
    return static_cast<index_t>((varies_by_batch ? 1 : shape.batch) * (varies_by_head ? 1 : shape.num_heads));
}

index_t FwdPlan::shared_heads() const { return static_cast<index_t>(varies_by_head ? 1 : shape.num_heads); }

index_t FwdPlan::merge_heads() const { return varies_by_head ? 1 : shape.heads_per_kv; }

int64_t FwdPlan::num_partial_keys() const { return int64_t{num_slots} * num_shared() * tile().x(); }

int64_t FwdPlan::num_partial_rows(const FwdGroup& group) const
{
    return int64_t{group.num_slots} * num_shared() * tile().y();
}

int64_t FwdPlan::partial_size(int64_t head_dim_v) const
{
    int64_t rows = 0;
    for (const FwdGroup& group : groups)
        rows = std::max(rows, num_partial_rows(group));
    return rows * (head_dim_v + 1); // O and LSE
}

int64_t FwdPlan::num_codes_of_call() const
{
    size_t codes = 0;
    for (const FwdGroup& group : groups)
        if (!group.keeps_lists) codes = std::max(codes, group.num_codes());
    return static_cast<int64_t>(codes);
}

const FwdGroup& FwdPlan::group_at(int64_t batch, int64_t head) const
{
    const int64_t heads = varies_by_head ? shape.num_heads : 1;
    return groups[group_of[(varies_by_batch ? batch : 0) * heads + (varies_by_head ? head : 0)]];
}

index_t instance_head_dim(int64_t head_dim, int64_t head_dim_v)
{
    for (const index_t instance : {32, 64, 128})
        if (std::max(head_dim, head_dim_v) <= instance) return instance;
    return 256;
}

FwdPlan make_fwd_plan(const MaskExpr& mask, const FwdShape& shape) { return Planner(mask, shape).make(); }

} // namespace ck_fmha::gpu
