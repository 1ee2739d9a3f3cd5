// What masks cost besides the attention itself, as a Markdown table: instructions of a step of a walk, and the time to
// lay out the work of one head. docs/mask_costs.md shows it and says what the columns are.
//
//     mask_costs            prints the table
//     schedule_costs LIMIT  only times the schedules; fails if one of them takes longer than LIMIT milliseconds
//
// schedule_costs is this file with CK_FMHA_SCHEDULES_ONLY: walks laid out in line take half a minute to compile, and
// the tests need none of them.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/big_bird_table.hpp"
#include "ck_tile_masks/masks/block_list.hpp"
#include "ck_tile_masks/masks/deepspeed_big_bird.hpp"
#include "ck_tile_masks/masks/deepspeed_fixed.hpp"
#include "ck_tile_masks/masks/deepspeed_longformer.hpp"
#include "ck_tile_masks/masks/deepspeed_variable.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/documents.hpp"
#include "ck_tile_masks/masks/fixed.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/lengths.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/longformer_tokens.hpp"
#include "ck_tile_masks/masks/neighborhood.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"
#include "ck_tile_masks/masks/strided.hpp"
#include "count_instructions.hpp"
#include "cpu/ranges.hpp"
#include "fmha/mask_nodes.hpp"
#include "fmha/owned_block_table.hpp"

namespace {

using namespace ck_tile_masks;

constexpr index_t kSeqlen = 1 << 20;
constexpr index_t kTile = 64;
constexpr index_t kNumTiles = kSeqlen / kTile;

// Not to be optimised away.
void keep(index_t value) { asm volatile("" : : "r"(value)); }

// --- Instructions per step ------------------------------------------------------------------------------------------

constexpr index_t kSampleLines = 16;
constexpr index_t kMostSteps = 16; // of a line

// Walks the first live tiles of some lines and asks the status of each of them. Returns the number of tiles.
template <Axis kAxis, class Tiled>
[[gnu::noinline]] index_t walk(const Tiled& tiled)
{
    index_t steps = 0, sum = 0;
    for (index_t n = 0; n < kSampleLines; ++n) {
        // Spread over all of the sequence, at odd places.
        const index_t line = n * (kNumTiles / kSampleLines) + n * 37 % 61;
        index_t tile = 0;
        for (index_t step = 0; step < kMostSteps; ++step, ++tile) {
            tile = kAxis == Axis::rows ? tiled.NextLiveTileAlongX(line, tile, kNumTiles)
                                       : tiled.NextLiveTileAlongY(line, tile, kNumTiles);
            if (tile == kNumTiles) break;
            sum += static_cast<index_t>(kAxis == Axis::rows ? tiled.StatusOfLiveTile(line, tile)
                                                            : tiled.StatusOfLiveTile(tile, line));
            ++steps;
        }
    }
    keep(sum);
    return steps;
}

// The same loop without a mask: what is subtracted. Every tile is live here, as many as there were.
struct NoMask {
    index_t steps_per_line;
    index_t NextLiveTileAlongX(index_t, index_t from, index_t end) const { return from < steps_per_line ? from : end; }
    index_t NextLiveTileAlongY(index_t, index_t from, index_t end) const { return from < steps_per_line ? from : end; }
    TileStatus StatusOfLiveTile(index_t i, index_t) const { return static_cast<TileStatus>(i & 1); }
};

template <Axis kAxis, class Tiled>
double instructions_per_step(const Tiled& tiled)
{
    const auto executed = [](const auto& mask) { return instructions::count([&] { keep(walk<kAxis>(mask)); }); };
    const index_t steps = walk<kAxis>(tiled);
    const NoMask loop{std::max(steps / kSampleLines, 1)};
    const double per_step_of_loop = static_cast<double>(executed(loop)) / walk<kAxis>(loop);
    return static_cast<double>(executed(tiled)) / std::max(steps, 1) - per_step_of_loop;
}

// --- Time of a schedule ---------------------------------------------------------------------------------------------

struct Schedule {
    double ms = 0;
    int64_t live_tiles = 0;
};

// As the CPU back end lays out its work: bind, count the live tiles of every line, cut the lines into ranges.
template <Axis kAxis>
Schedule schedule(const ck_fmha::MaskExpr& mask)
{
    ck_fmha_problem problem{};
    problem.batch = problem.num_heads = problem.num_threads = 1;
    problem.seqlen_q = problem.seqlen_k = kSeqlen;

    using Clock = std::chrono::steady_clock;
    const auto milliseconds = [](Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); };
    Schedule best{1e9};
    const auto start = Clock::now();
    for (int run = 0; run < 50 && milliseconds(Clock::now() - start) < 300; ++run) {
        const auto begin = Clock::now();
        const ck_fmha::cpu::MaskedHeads masks(mask, problem);
        const ck_fmha::cpu::LineCounts<kAxis> counts(masks, problem);
        std::vector<TileRange> ranges;
        ranges.reserve(kNumTiles);
        for (index_t line = 0; line < kNumTiles; ++line)
            counts.cut(masks, 0, line, [&](const TileRange& range) { ranges.push_back(range); });
        best.ms = std::min(best.ms, milliseconds(Clock::now() - begin));
        best.live_tiles = 0;
        for (const TileRange& range : ranges)
            best.live_tiles += range.num_live;
    }
    return best;
}

// --- The table ------------------------------------------------------------------------------------------------------

#ifdef CK_FMHA_SCHEDULES_ONLY
constexpr bool kSchedulesOnly = true;
#else
constexpr bool kSchedulesOnly = false;
#endif
double limit_ms = 0;
bool too_slow = false;

template <class Def>
void report(const std::string& parameters, const Def& def)
{
    const ck_fmha::Expr mask = ck_fmha::make_definition(def);
    const Schedule rows = schedule<Axis::rows>(*mask), cols = schedule<Axis::cols>(*mask);
    if (rows.live_tiles != cols.live_tiles) std::abort();
    if constexpr (kSchedulesOnly) {
        const bool slow = std::max(rows.ms, cols.ms) > limit_ms;
        std::printf("%s (%s): %.2f ms, %.2f ms%s\n", Def::get_name(), parameters.c_str(), rows.ms, cols.ms,
                    slow ? " TOO SLOW" : "");
        too_slow |= slow;
    } else {
        const GenericAttentionMask<Def, FixedTile<kTile, kTile>> tiled(def, {0, 0, kSeqlen, kSeqlen});
        const double row_step = instructions_per_step<Axis::rows>(tiled);
        const double col_step = instructions_per_step<Axis::cols>(tiled);
        std::printf("| %s | %s | %lld | %.0f | %.0f | %.2f | %.2f |\n", Def::get_name(), parameters.c_str(),
                    static_cast<long long>(rows.live_tiles), row_step, col_step, rows.ms, cols.ms);
    }
    std::fflush(stdout);
}

IndexSpan span(const std::vector<index_t>& numbers) { return {numbers.data(), static_cast<index_t>(numbers.size())}; }

// Three blocks a row, spread by multiplication.
ck_fmha::OwnedBlockTable scattered_blocks(index_t num_blocks, index_t per_row)
{
    std::vector<index_t> row_begin{0}, cols;
    for (long_index_t row = 0; row < num_blocks; ++row) {
        std::vector<index_t> line;
        for (index_t n = 1; n <= per_row; ++n)
            line.push_back(static_cast<index_t>((row * 2654435761LL * n + 12345 * n) % num_blocks));
        std::sort(line.begin(), line.end());
        line.erase(std::unique(line.begin(), line.end()), line.end());
        cols.insert(cols.end(), line.begin(), line.end());
        row_begin.push_back(static_cast<index_t>(cols.size()));
    }
    return {1, num_blocks, num_blocks, std::move(row_begin), std::move(cols)};
}

Neighborhood grid(const std::vector<NeighborhoodAxis>& dims, Border border = Border::shift)
{
    NeighborhoodAxis axes[3];
    std::copy(dims.begin(), dims.end(), axes);
    return {static_cast<index_t>(dims.size()), axes, border};
}

void report_neighborhoods()
{
    report("1,048,576, window 513", grid({{kSeqlen, 513}}));
    report("1,048,576, window 513, dilation 4", grid({{kSeqlen, 513, 4}}));
    report("1,048,576, window 513, dilation 100", grid({{kSeqlen, 513, 100}}));
    report("1024 x 1024, window 13", grid({{1024, 13}, {1024, 13}}));
    report("1024 x 1024, window 13, dilation 4", grid({{1024, 13, 4}, {1024, 13, 4}}));
    report("1000 x 1000, window 13", grid({{1000, 13}, {1000, 13}}));
    report("1000 x 1000, window 13, dilation 4", grid({{1000, 13, 4}, {1000, 13, 4}}));
    report("1000 x 1000, window 13, clip", grid({{1000, 13}, {1000, 13}}, Border::clip));
    report("999 x 1001, window 65", grid({{999, 65}, {1001, 65}}));
    report("64 x 128 x 128, window 7", grid({{64, 7}, {128, 7}, {128, 7}}));
    report("100 x 100 x 100, window 7", grid({{100, 7}, {100, 7}, {100, 7}}));
    report("129 x 90 x 90, window 9 causal x 13 x 13", grid({{129, 9, 1, true}, {90, 13}, {90, 13}}));
    report("400 x 52 x 50, window 5 x 13 x 13", grid({{400, 5}, {52, 13}, {50, 13}}));
    report("101 x 101 x 102, window 13", grid({{101, 13}, {101, 13}, {102, 13}}));
}

void report_deepspeed()
{
    const std::vector<index_t> windows{4, 12}, begin{0}, end{1}, begins{0, 100, 5000, 40000}, ends{2, 104, 5001, 40008};
    report("block 16, local 4, global 1", DeepSpeedFixed(16, 4, 1));
    report("block 16, local 4, global 1, horizontal", DeepSpeedFixed(16, 4, 1, 1, false, true));
    report("block 16, local 4, global 1, unidirectional", DeepSpeedFixed(16, 4, 1, 1, true));
    report("block 64, local 16, global 1, unidirectional", DeepSpeedFixed(64, 16, 1, 1, true));
    report("block 48, local 4, global 1", DeepSpeedFixed(48, 4, 1));
    report("block 128, local 4, global 1", DeepSpeedFixed(128, 4, 1));
    report("block 16, windows 4, 8, global 0", DeepSpeedVariable(16, span(windows), span(begin), span(end)));
    report("block 16, windows 4, 8, 4 global intervals, unidirectional",
           DeepSpeedVariable(16, span(windows), span(begins), span(ends), true));
    report("block 16, window 3, global 0", DeepSpeedLongformer(16, 3, span(begin), span(end)));
    report("block 16, window 3, 4 global intervals, unidirectional",
           DeepSpeedLongformer(16, 3, span(begins), span(ends), true));
    report("block 64, window 3, global 1, random 3", DeepSpeedBigBird(64, 3, 1, 3, 0));
    report("block 16, window 3, global 1, random 1", DeepSpeedBigBird(16, 3, 1, 1, 0));
    report("block 64, window 3, global 1, random 3, unidirectional", DeepSpeedBigBird(64, 3, 1, 3, 0, true));
}

void report_data()
{
    std::vector<Document> documents;
    for (index_t begin = 0; begin < kSeqlen; begin += 1024)
        documents.push_back({begin, begin + 1024, begin, begin + 1024});
    const index_t count = static_cast<index_t>(documents.size());
    report("1024 of 1024", Documents(documents.data(), count));
    report("1024 of 1024, causal", Documents(documents.data(), count, DocumentCausal::top_left));

    const ck_fmha::OwnedBlockTable random = scattered_blocks(kNumTiles, 3), listed = scattered_blocks(kNumTiles, 8);
    report("block 64, window 3, global 1, random 3", BigBirdTable(64, 3, 1, random.view()));
    report("block 64, window 3, global 1, random 3", DeepSpeedBigBirdTable(64, 3, 1, random.view()));
    report("block 64, 8 blocks a row", BlockList(64, 64, listed.view()));
}

} // namespace

int main(int argc, char** argv)
{
    if (kSchedulesOnly != (argc == 2)) {
        std::fprintf(stderr, "usage: %s%s\n", argv[0], kSchedulesOnly ? " LIMIT" : "");
        return 2;
    }
    if (kSchedulesOnly) limit_ms = std::atof(argv[1]);
    const std::vector<index_t> length{1000000};
    std::vector<index_t> tokens;
    for (index_t n = 0; n < 64; ++n)
        tokens.push_back(n * n * 200);

    if (!kSchedulesOnly)
        std::printf("| definition | parameters | live tiles | row step, instructions | column step, instructions | "
                    "schedule of rows, ms | of columns, ms |\n|---|---|--:|--:|--:|--:|--:|\n");
    report("", Full());
    report("causal", Diagonal(-1, 0));
    report("window 512, 512, 4 sinks", Diagonal(512, 512, Alignment::top_left, 4));
    report("prefix 1000", PrefixLM(1000));
    report("window 512, 64 global", Longformer(512, 64));
    report("window 512, 64 global, dilation 4", Longformer(512, 64, 4));
    report("window 512, 64 global, dilation 100", Longformer(512, 64, 100));
    report("window 512, 64 tokens", LongformerTokens(512, span(tokens)));
    report("block 64, window 3, global 1, random 3", BigBird(64, 3, 1, 3));
    report("block 16, window 3, global 1, random 1", BigBird(16, 3, 1, 1));
    report("block 16, window 3, global 1, random 3", BigBird(16, 3, 1, 3));
    report("block 48, window 3, global 1, random 3", BigBird(48, 3, 1, 3));
    report("block 128, window 3, global 1, random 3", BigBird(128, 3, 1, 3));
    report("local 128, stride 128", Strided(128, 128));
    report("local 1024, stride 1000", Strided(1024, 1000));
    report("local 1000, stride 333", Strided(1000, 333));
    report("local 128, summary 8", Fixed(128, 8));
    report("local 1000, summary 8", Fixed(1000, 8));
    report("1,000,000 keys", Lengths({}, span(length)));
    report_neighborhoods();
    report_deepspeed();
    report_data();
    return too_slow;
}
