#include "fmha/plan_cache.hpp"

#include <pthread.h>

#include <algorithm>

namespace ck_fmha {

PlanCache& PlanCache::global()
{
    // Never destroyed: masks that outlive the statics of this library still forget their plans.
    static PlanCache* const cache = new PlanCache;
    return *cache;
}

// A thread that forks takes the lock along, so that no other thread holds it in the child, where that thread is gone.
PlanCache::PlanCache()
{
    pthread_atfork([] { global().mutex_.lock(); }, [] { global().mutex_.unlock(); }, [] { global().mutex_.unlock(); });
}

std::shared_ptr<const Plan> PlanCache::find(const Key& key)
{
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& e) { return e.first == key; });
    if (found == entries_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found);
    return found->second;
}

void PlanCache::insert(const Key& key, std::shared_ptr<const Plan> plan)
{
    const size_t bytes = plan->bytes();
    if (bytes > kMaxBytes) return;
    Entries fresh, dropped; // freed after the lock
    fresh.emplace_back(key, std::move(plan));
    const std::lock_guard<std::mutex> lock(mutex_);
    // Another thread may have been faster.
    if (std::any_of(entries_.begin(), entries_.end(), [&](const auto& e) { return e.first == key; })) return;
    entries_.splice(entries_.begin(), fresh);
    bytes_ += bytes;
    while (entries_.size() > kMaxPlans || bytes_ > kMaxBytes) {
        bytes_ -= entries_.back().second->bytes();
        dropped.splice(dropped.begin(), entries_, std::prev(entries_.end()));
    }
}

void PlanCache::forget(const MaskExpr* mask)
{
    Entries dropped;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        const auto next = std::next(entry);
        if (entry->first.mask == mask) {
            bytes_ -= entry->second->bytes();
            dropped.splice(dropped.begin(), entries_, entry);
        }
        entry = next;
    }
}

size_t PlanCache::num_plans() const
{
    const std::lock_guard<std::mutex> lock(mutex_);
    return entries_.size();
}

size_t PlanCache::num_bytes() const
{
    const std::lock_guard<std::mutex> lock(mutex_);
    return bytes_;
}

} // namespace ck_fmha
