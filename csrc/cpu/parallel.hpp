#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

#if defined(CK_FMHA_STD_THREADS)
#include <thread>
#include <vector>
#elif defined(_OPENMP)
#include <omp.h>
#endif

namespace ck_fmha::cpu {

// True in a process that was forked from one that had loaded this library. OpenMP's threads do not survive a fork and
// its runtime hangs when asked for them again, so that such a process computes on the calling thread alone.
bool forked();

// body(item, thread) for every item in [0, num_items), handed out in ascending order. `body` must not throw.
//
// Neighbours read much of the same: a thread takes several at a time while many are left, and one at the end, when
// others would wait for it.
template <class Body>
class Phase {
public:
    Phase(size_t num_items, const Body& body) : num_items_(num_items), body_(body) {}
    size_t num_items() const { return num_items_; }
    void work(int thread, int num_workers)
    {
        const size_t shares = 8 * static_cast<size_t>(num_workers);
        for (size_t begin = next_; begin < num_items_; begin = next_) {
            const size_t size = std::clamp<size_t>((num_items_ - begin) / shares, 1, kMostAtATime);
            if (!next_.compare_exchange_weak(begin, begin + size)) continue;
            for (size_t item = begin; item < begin + size; ++item)
                body_(item, thread);
        }
    }

private:
    static constexpr size_t kMostAtATime = 32;

    const size_t num_items_;
    const Body& body_;
    std::atomic<size_t> next_{0};
};

// Runs phases one after the other: all items of one are finished when the first of the next begins. `thread` of a body
// is below num_workers, which is at most num_threads; fewer threads than that still finish.
//
// The threads of one parallel region run all phases. The region is as wide as the caller's others, num_threads, even
// where only num_workers of them work: OpenMP ends the threads that a narrower region does not use, and starting them
// again takes longer than a short call.
template <class... Bodies>
void parallel_phases(int num_threads, int num_workers, Phase<Bodies>&&... phases)
{
#if defined(CK_FMHA_STD_THREADS)
    // For the thread sanitizer, which does not see what g++'s OpenMP runtime synchronises.
    const auto run = [&](auto& phase) {
        std::vector<std::thread> threads;
        for (int thread = 1; thread < num_workers; ++thread)
            threads.emplace_back([&phase, thread, num_workers] { phase.work(thread, num_workers); });
        phase.work(0, num_workers);
        for (std::thread& thread : threads)
            thread.join();
    };
    (void)num_threads;
    (run(phases), ...);
#else
#if defined(_OPENMP)
    if (num_workers > 1 && !forked()) {
#pragma omp parallel num_threads(num_threads)
        {
            const int thread = omp_get_thread_num();
            bool first = true;
            const auto run = [&](auto& phase) {
                if (phase.num_items() == 0) return;
                if (!first) {
#pragma omp barrier
                }
                first = false;
                if (thread < num_workers) phase.work(thread, num_workers);
            };
            (run(phases), ...);
        }
        return;
    }
#else
    (void)num_threads;
    (void)num_workers;
#endif
    (phases.work(0, 1), ...);
#endif
}

// How many threads have something to do: one at least, the calling one.
inline int num_workers(int num_threads, size_t num_items)
{
    return static_cast<int>(std::max<size_t>(std::min(static_cast<size_t>(num_threads), num_items), 1));
}

// One phase.
template <class Body>
void parallel_for(int num_threads, size_t num_items, const Body& body)
{
    parallel_phases(num_threads, num_workers(num_threads, num_items), Phase<Body>(num_items, body));
}

} // namespace ck_fmha::cpu
