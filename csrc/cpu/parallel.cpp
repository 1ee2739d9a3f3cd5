#include "cpu/parallel.hpp"

#include <pthread.h>

namespace ck_fmha::cpu {
namespace {

bool g_forked = false;

// Runs when the library is loaded, before any thread of ours exists.
const int g_registered = pthread_atfork(nullptr, nullptr, [] { g_forked = true; });

} // namespace

bool forked()
{
    (void)g_registered;
    return g_forked;
}

} // namespace ck_fmha::cpu
