#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "ck_tile_masks/index.hpp"

namespace ck_fmha::gpu {

// Where work items go: the longest first, those as long as each other in the order in which they come. Each is written
// once, where it will stay, for there may be many; so their lengths are told before they come. Very long ones are not
// told apart.
class LongestFirst {
    using index_t = ck_tile_masks::index_t;

public:
    void expect(index_t length)
    {
        const size_t place = place_of(length);
        if (place >= next_.size()) next_.resize(place + 1);
        ++next_[place];
    }
    // Returns how many are expected; after that they come.
    size_t begin()
    {
        size_t longer = 0;
        for (auto place = next_.rbegin(); place != next_.rend(); ++place)
            longer += std::exchange(*place, longer);
        return longer;
    }
    size_t next(index_t length) { return next_[place_of(length)]++; }

private:
    static constexpr index_t kLongest = 65535;
    static size_t place_of(index_t length) { return static_cast<size_t>(std::min(length, kLongest)); }

    std::vector<size_t> next_; // by length: how many items there will be, then the place of the next one
};

} // namespace ck_fmha::gpu
