#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <utility>

#include "ck_tile_masks/tile_schedule.hpp"

namespace ck_fmha {

class MaskExpr;

// What a back end derives from a mask and the sizes of a call alone: which tiles are live, and who computes them.
// Immutable; shared between calls and threads.
class Plan {
public:
    virtual ~Plan() = default;
    virtual size_t bytes() const = 0;
};

// The plans used last, kept between calls: at most kMaxPlans of them that take at most kMaxBytes. A plan goes when its
// mask does. For any number of threads, and for forked processes.
class PlanCache {
public:
    static constexpr size_t kMaxPlans = 128;
    static constexpr size_t kMaxBytes = size_t{64} << 20;

    struct Key {
        const MaskExpr* mask;
        ck_tile_masks::Axis axis; // of the lines that the plan cuts
        std::array<int64_t, 6> sizes;

        bool operator==(const Key& other) const
        {
            return mask == other.mask && axis == other.axis && sizes == other.sizes;
        }
    };

    static PlanCache& global();

    // The plan of this key; make() is asked for it if there is none. Of one key, all plans have to be equal.
    template <class OfBackEnd, class Make>
    std::shared_ptr<const OfBackEnd> find_or_make(const Key& key, const Make& make)
    {
        std::shared_ptr<const Plan> plan = find(key);
        if (!plan) insert(key, plan = make());
        return std::static_pointer_cast<const OfBackEnd>(plan);
    }

    void forget(const MaskExpr* mask);

    size_t num_plans() const;
    size_t num_bytes() const;

private:
    PlanCache();
    std::shared_ptr<const Plan> find(const Key& key);
    void insert(const Key& key, std::shared_ptr<const Plan> plan);

    using Entries = std::list<std::pair<Key, std::shared_ptr<const Plan>>>;

    mutable std::mutex mutex_;
    Entries entries_; // the one used last comes first
    size_t bytes_ = 0;
};

} // namespace ck_fmha
