#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "cpu/column_plan.hpp"

namespace ck_fmha::cpu {

// Hands out the tasks of the pairs (batch, head_kv) of a call, those of a pair in ascending order. A thread stays with
// its pair: what it reads and adds to is then in its core's cache, and nobody waits for the turn of its columns. A
// thread whose pair has no more takes one that nobody has begun, and after these helps where most is left for each.
class TaskQueue {
public:
    explicit TaskQueue(const ColumnPlan& plan) : plan_(plan), pairs_(std::make_unique<Pair[]>(plan.num_pairs())) {}

    struct Work {
        int64_t pair;
        int64_t task;
    };

    // Gives the next task to a thread whose last one was of `work.pair`, -1 at first; false if there is none.
    bool take(Work& work)
    {
        while (work.pair >= 0 || choose(work.pair)) {
            work.task = pairs_[work.pair].next++;
            if (work.task < num_tasks(work.pair)) return true;
            --pairs_[work.pair].threads;
            work.pair = -1;
        }
        return false;
    }

private:
    struct alignas(64) Pair { // a cache line of its own
        std::atomic<int64_t> next{0};
        std::atomic<int32_t> threads{0};
    };

    int64_t num_tasks(int64_t pair) const { return static_cast<int64_t>(plan_.list(pair).tasks.size()); }

    bool choose(int64_t& pair)
    {
        if (fresh_ < plan_.num_pairs()) pair = fresh_++;
        if (pair < 0 || pair >= plan_.num_pairs()) {
            pair = -1;
            double most = 0; // tasks for each thread, were this one to help
            for (int64_t n = 0; n < plan_.num_pairs(); ++n) {
                const int64_t left = num_tasks(n) - pairs_[n].next;
                const double share = static_cast<double>(left) / (pairs_[n].threads + 1);
                if (left <= 0 || share <= most) continue;
                most = share;
                pair = n;
            }
        }
        if (pair >= 0) ++pairs_[pair].threads;
        return pair >= 0;
    }

    const ColumnPlan& plan_;
    std::unique_ptr<Pair[]> pairs_;
    std::atomic<int64_t> fresh_{0}; // the first pair that nobody has begun
};

} // namespace ck_fmha::cpu
