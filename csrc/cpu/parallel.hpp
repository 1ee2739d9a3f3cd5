#pragma once

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

// Runs body(item, thread) for every item in [0, num_items), handed out in ascending order to at most num_threads
// threads; fewer than that still finish. `thread` is in [0, num_threads). `body` must not throw.
template <class Body>
void parallel_for(int num_threads, size_t num_items, const Body& body)
{
    std::atomic<size_t> next{0};
    const auto work = [&](int thread) {
        for (size_t item = next++; item < num_items; item = next++)
            body(item, thread);
    };
#if defined(CK_FMHA_STD_THREADS)
    // For the thread sanitizer, which does not see what g++'s OpenMP runtime synchronises.
    std::vector<std::thread> threads;
    for (int thread = 1; thread < num_threads; ++thread)
        threads.emplace_back(work, thread);
    work(0);
    for (std::thread& thread : threads)
        thread.join();
#else
#if defined(_OPENMP)
    if (num_threads > 1 && !forked()) {
#pragma omp parallel num_threads(num_threads)
        work(omp_get_thread_num());
        return;
    }
#else
    (void)num_threads;
#endif
    work(0);
#endif
}

} // namespace ck_fmha::cpu
