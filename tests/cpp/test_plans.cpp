#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "cpu/column_plan.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plans.hpp"
#include "cpu/row_plan.hpp"
#include "cpu/task_queue.hpp"
#include "cpu/workspace.hpp"

// What a call of the CPU back end keeps for the next one, and how its work is handed out.

namespace ck_fmha::test {
namespace {

using cpu::ColumnPlan;
using cpu::RowPlan;

std::shared_ptr<const MaskExpr> big_bird(int64_t seed = 1)
{
    return build_mask("and(big_bird,diagonal)", {64, 3, 1, 2, seed, -1, 0, 0, 0});
}

ck_fmha_problem problem(int64_t seqlen = 1000, int64_t heads = 2)
{
    ck_fmha_problem p{};
    p.batch = 1;
    p.num_heads = p.num_heads_kv = heads;
    p.seqlen_q = p.seqlen_k = seqlen;
    p.num_threads = 1;
    return p;
}

TEST(Plans, AreThoseOfTheFirstCallWithTheSameMaskAndSizes)
{
    const auto mask = big_bird(), equal = big_bird();
    const auto p = problem();
    const auto rows = cpu::plan_of<RowPlan>(*mask, p);
    EXPECT_EQ(cpu::plan_of<RowPlan>(*mask, p), rows);
    EXPECT_EQ(cpu::plan_of<ColumnPlan>(*mask, p), cpu::plan_of<ColumnPlan>(*mask, p));
    EXPECT_NE(cpu::plan_of<RowPlan>(*equal, p), rows) << "another object";
    EXPECT_NE(cpu::plan_of<RowPlan>(*mask, problem(1001)), rows);
    EXPECT_NE(cpu::plan_of<RowPlan>(*mask, problem(1000, 4)), rows);
    auto other = p;
    other.batch = 2;
    EXPECT_NE(cpu::plan_of<RowPlan>(*mask, other), rows);
    other = problem(1000, 4);
    const auto columns = cpu::plan_of<ColumnPlan>(*mask, other);
    other.num_heads_kv = 2;
    EXPECT_NE(cpu::plan_of<ColumnPlan>(*mask, other), columns);
}

TEST(Plans, OfBytesThatTheCallerMayChangeAreNotKept)
{
    std::vector<uint8_t> bytes(1000 * 1000, 1);
    const auto mask = build_mask("full", {});
    auto p = problem();
    p.extras.attended = {{bytes.data(), 0, 0, 1000}, 1};
    const int64_t all = cpu::plan_of<RowPlan>(*mask, p)->num_live();
    std::fill(bytes.begin(), bytes.begin() + 64 * 1000, uint8_t{0}); // the first row of tiles of both heads
    EXPECT_EQ(cpu::plan_of<RowPlan>(*mask, p)->num_live(), all - 2 * 16);
}

TEST(Plans, GoWithTheirMask)
{
    auto& cache = PlanCache::global();
    const size_t plans = cache.num_plans(), bytes = cache.num_bytes();
    {
        const auto mask = big_bird();
        cpu::plan_of<RowPlan>(*mask, problem());
        cpu::plan_of<ColumnPlan>(*mask, problem());
        EXPECT_EQ(cache.num_plans(), plans + 2);
        EXPECT_GT(cache.num_bytes(), bytes);
    }
    EXPECT_EQ(cache.num_plans(), plans);
    EXPECT_EQ(cache.num_bytes(), bytes);
}

// A plan that says what it takes.
struct Sized final : Plan {
    explicit Sized(size_t size_) : size(size_) {}
    size_t bytes() const override { return size; }
    size_t size;
};

TEST(Plans, AreKeptInBoundedNumberAndSizeTheLastUsedOnes)
{
    auto& cache = PlanCache::global();
    const auto mask = build_mask("full", {});
    int made = 0;
    const auto ask = [&](int64_t number, size_t size) {
        return cache.find_or_make<Sized>({mask.get(), cpu::Axis::rows, {number}}, [&] {
            ++made;
            return std::make_shared<const Sized>(size);
        });
    };
    for (int64_t n = 0; n < 2 * static_cast<int64_t>(PlanCache::kMaxPlans); ++n) {
        ask(n, 1);
        ask(0, 1);
        ASSERT_LE(cache.num_plans(), PlanCache::kMaxPlans);
    }
    EXPECT_EQ(made, 2 * static_cast<int>(PlanCache::kMaxPlans)) << "the one used in between was dropped";
    made = 0;
    for (int64_t n = 1000; n < 1010; ++n) {
        ask(n, PlanCache::kMaxBytes / 4);
        ASSERT_LE(cache.num_bytes(), PlanCache::kMaxBytes);
    }
    ask(1009, 0);
    ask(1007, 0);
    EXPECT_EQ(made, 10);
    EXPECT_EQ(ask(2000, PlanCache::kMaxBytes + 1)->size, PlanCache::kMaxBytes + 1);
    EXPECT_LE(cache.num_bytes(), PlanCache::kMaxBytes) << "a plan above the bound was kept";
}

TEST(Plans, AreAskedForByManyThreads)
{
    const auto shared = big_bird();
    const auto work = [&](int64_t thread) {
        for (int64_t n = 0; n < 60; ++n) {
            const auto own = big_bird(100 * thread + n);
            const auto p = problem(64 * (1 + n % 7));
            EXPECT_EQ(cpu::plan_of<RowPlan>(*own, p)->num_items(), cpu::plan_of<RowPlan>(*shared, p)->num_items());
            EXPECT_GT(cpu::plan_of<ColumnPlan>(*shared, p)->num_live(), 0);
        }
    };
    std::vector<std::thread> threads;
    for (int64_t t = 0; t < 4; ++t)
        threads.emplace_back(work, t);
    for (std::thread& thread : threads)
        thread.join();
}

TEST(RowPlan, ItemsAreEveryPartOfEveryRowOnce)
{
    const auto mask = build_mask("per_head(longformer,full,diagonal)", {128, 64, 1, -1, 0, 0, 0});
    auto p = problem(64 * 70, 3);
    p.batch = 2;
    const RowPlan plan(*mask, p);
    std::vector<std::vector<int>> covered(6, std::vector<int>(70)); // tiles of each row
    std::vector<int> slots(plan.num_slots());
    int64_t live = 0;
    for (int64_t n = 0; n < plan.num_items(); ++n) {
        const RowPlan::Item item = plan.item(n);
        covered[item.batch * 3 + item.head][item.range->line] += item.range->end - item.range->begin;
        live += item.range->num_live;
        if (item.range->num_parts > 1) ++slots[item.slot];
    }
    for (const auto& head : covered)
        for (const int tiles : head)
            ASSERT_EQ(tiles, 70);
    EXPECT_EQ(live, plan.num_live());
    ASSERT_GT(plan.num_slots(), 0);
    for (const int uses : slots)
        ASSERT_EQ(uses, 1);
}

TEST(TaskQueue, HandsOutEveryTaskOnceThoseOfAPairInOrder)
{
    const auto mask = build_mask("per_head(diagonal,full,diagonal)", {-1, 0, 0, 0, 128, 0, 0, 0});
    const ColumnPlan plan(*mask, problem(64 * 30, 3));
    for (const size_t num_threads : {1, 2, 3, 8}) {
        cpu::TaskQueue queue(plan);
        std::vector<cpu::TaskQueue::Work> at(num_threads, {-1, 0});
        std::vector<int64_t> next(3);
        // The second thread is three times as fast as the others.
        for (int64_t n = 0; n < plan.num_tasks(); ++n) {
            auto& work = at[n % 4 != 0 && num_threads > 1 ? 1 : n / 4 % num_threads];
            ASSERT_TRUE(queue.take(work));
            ASSERT_EQ(work.task, next[work.pair]++);
        }
        for (auto& work : at)
            EXPECT_FALSE(queue.take(work));
    }
}

TEST(Parallel, PhasesFollowEachOther)
{
    for (const int num_threads : {1, 2, 5})
        for (const int workers : {1, std::min(2, num_threads), num_threads}) {
            std::atomic<int> first{0}, second{0}, early{0};
            const auto a = [&](size_t, int thread) {
                EXPECT_LT(thread, workers);
                ++first;
            };
            const auto b = [&](size_t, int thread) {
                EXPECT_LT(thread, workers);
                if (first != 100) ++early;
                ++second;
            };
            const auto none = [&](size_t, int) { ADD_FAILURE(); };
            cpu::parallel_phases(num_threads, workers, cpu::Phase(0, none), cpu::Phase(100, a), cpu::Phase(0, none),
                                 cpu::Phase(50, b));
            EXPECT_EQ(first, 100);
            EXPECT_EQ(second, 50);
            EXPECT_EQ(early, 0);
        }
}

TEST(Parallel, AThreadTakesNeighboursWhileManyAreLeft)
{
    constexpr int kThreads = 2, kItems = 1000, kAtATime = 32;
    std::vector<std::atomic<int>> times(kItems);
    std::vector<int> thread_of(kItems);
    cpu::parallel_for(kThreads, kItems, [&](size_t n, int thread) {
        ++times[n];
        thread_of[n] = thread;
        std::this_thread::sleep_for(std::chrono::microseconds(20)); // so that none does all the work
    });
    for (const std::atomic<int>& t : times)
        EXPECT_EQ(t, 1);
    // So many at a time at first: as long as there are more than eight shares of as many for each thread.
    for (int n = 0; n < kItems - 8 * kAtATime * kThreads - kAtATime; ++n)
        EXPECT_EQ(thread_of[n], thread_of[n / kAtATime * kAtATime]) << n;
}

TEST(Parallel, TheLastItemsAreTakenOneByOne)
{
    // The first item ends when all others have: whoever took more than one with it would wait for itself.
    constexpr int kThreads = 2, kItems = 16;
    std::atomic<int> finished{0};
    bool others_finished = true;
    cpu::parallel_for(kThreads, kItems, [&](size_t n, int) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (n == 0 && finished < kItems - 1 && others_finished)
            others_finished = std::chrono::steady_clock::now() < deadline;
        ++finished;
    });
    EXPECT_TRUE(others_finished);
}

TEST(Workspace, IsKeptForTheNextCallOfTheThreadUpToABound)
{
    const auto first_byte = [](size_t size) {
        const std::byte* p = nullptr;
        const cpu::Workspace memory([&](cpu::Arena& arena) { p = arena.take<std::byte>(size); });
        return p;
    };
    if (cpu::Block::kMaxKept == 0) GTEST_SKIP() << "nothing is kept under the address sanitizer";
    const std::byte* large = first_byte(1 << 20);
    EXPECT_EQ(first_byte(1 << 20), large);
    EXPECT_EQ(first_byte(1), large);
    // Two at a time have memory of their own, and one that is above the bound is not kept.
    std::byte *outer = nullptr, *inner = nullptr;
    {
        const cpu::Workspace a([&](cpu::Arena& arena) { outer = arena.take<std::byte>(100); });
        const cpu::Workspace b([&](cpu::Arena& arena) { inner = arena.take<std::byte>(100); });
        EXPECT_EQ(outer, large);
        EXPECT_NE(inner, outer);
    }
    EXPECT_EQ(first_byte(1 << 20), large);
    first_byte(cpu::Block::kMaxKept + 1);
    std::thread([&] { EXPECT_NE(first_byte(1), large); }).join();
}

} // namespace
} // namespace ck_fmha::test
