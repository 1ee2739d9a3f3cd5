#pragma once

#include <algorithm>
#include <list>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ck_fmha::gpu {

// What was made last, by key: at most so many, and, but for the last one, of so many bytes in all (T::size()).
template <class Key, class T>
class RecentlyUsed {
public:
    RecentlyUsed(size_t most, size_t most_bytes) : most_(most), most_bytes_(most_bytes) {}

    // make(): a shared_ptr<T>.
    template <class Make>
    std::shared_ptr<T> find(const Key& key, const Make& make)
    {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (auto found = look_up(key)) return found;
        }
        std::shared_ptr<T> made = make();
        std::vector<std::shared_ptr<T>> dropped; // outside the lock: to free memory waits for the device
        const std::lock_guard<std::mutex> lock(mutex_);
        if (auto found = look_up(key)) return found; // another thread was faster
        recent_.emplace_front(key, made);
        bytes_ += made->size();
        while (recent_.size() > most_ || (bytes_ > most_bytes_ && recent_.size() > 1)) {
            bytes_ -= recent_.back().second->size();
            dropped.push_back(std::move(recent_.back().second));
            recent_.pop_back();
        }
        return made;
    }

private:
    std::shared_ptr<T> look_up(const Key& key)
    {
        const auto found =
            std::find_if(recent_.begin(), recent_.end(), [&](const auto& entry) { return entry.first == key; });
        if (found == recent_.end()) return nullptr;
        recent_.splice(recent_.begin(), recent_, found);
        return found->second;
    }

    const size_t most_, most_bytes_;
    std::mutex mutex_;
    std::list<std::pair<Key, std::shared_ptr<T>>> recent_; // the last used first
    size_t bytes_ = 0;
};

} // namespace ck_fmha::gpu
