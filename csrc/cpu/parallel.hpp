#pragma once

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace ck_fmha::cpu {

// True in a process that was forked from one that had loaded this library. OpenMP's threads do not survive a fork and
// its runtime hangs when asked for them again, so that such a process computes on the calling thread alone.
bool forked();

// Runs body(thread) with distinct thread numbers in [0, num_threads), on at most that many threads. `body` takes work
// from a shared counter, so that fewer threads than asked for still finish it, and must not throw.
template <class Body>
void parallel(int num_threads, const Body& body)
{
#if defined(_OPENMP)
    if (num_threads > 1 && !forked()) {
#pragma omp parallel num_threads(num_threads)
        body(omp_get_thread_num());
        return;
    }
#endif
    body(0);
}

} // namespace ck_fmha::cpu
