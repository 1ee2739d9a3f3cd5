#include "memory_map.hpp"

#include "fault.hpp"

#include <algorithm>

namespace amd_emulator {

void Extent::run_around(uint64_t address, uint64_t& run_begin, uint64_t& run_end) const
{
    uint64_t offset = address - begin;
    run_begin = begin;
    for (const Dimension& dimension : dimensions) {
        const uint64_t index = std::min(offset / dimension.stride, dimension.size - 1);
        offset -= index * dimension.stride;
        run_begin += index * dimension.stride;
    }
    run_end = offset < run ? run_begin + run : run_begin;
}

std::string make_extent(uint64_t base, uint64_t element_size, const std::vector<int64_t>& sizes,
                        const std::vector<int64_t>& strides, Extent& result)
{
    std::vector<Extent::Dimension> dimensions;
    bool is_empty = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
        if (sizes[i] < 0 || strides[i] < 0) {
            return format("dimension %zu of an extent has size %lld and stride %lld; both must be at least 0", i,
                          static_cast<long long>(sizes[i]), static_cast<long long>(strides[i]));
        }
        is_empty |= sizes[i] == 0;
        if (sizes[i] > 1 && strides[i] != 0) {
            dimensions.push_back({static_cast<uint64_t>(sizes[i]), static_cast<uint64_t>(strides[i])});
        }
    }
    std::sort(dimensions.begin(), dimensions.end(), [](const auto& a, const auto& b) { return a.stride < b.stride; });
    uint64_t span = element_size; // from the first to the last byte of the dimensions so far
    uint64_t run = element_size;
    std::vector<Extent::Dimension> gaps;
    for (const auto& dimension : dimensions) {
        if (dimension.stride < span) {
            return format("stride %llu of an extent is smaller than the %llu bytes inside it: overlapping rows are not "
                          "supported",
                          static_cast<unsigned long long>(dimension.stride), static_cast<unsigned long long>(span));
        }
        if (gaps.empty() && dimension.stride == run) {
            run *= dimension.size;
        } else if (!gaps.empty() && dimension.stride == gaps.back().stride * gaps.back().size) {
            gaps.back().size *= dimension.size;
        } else {
            gaps.push_back(dimension);
        }
        span += dimension.stride * (dimension.size - 1);
    }
    std::reverse(gaps.begin(), gaps.end());
    result.begin = base;
    result.end = base + (is_empty ? 0 : span);
    result.run = run;
    result.dimensions = std::move(gaps);
    return "";
}

bool RangeSet::contains(uint64_t address, uint64_t size) const
{
    auto next = ranges_.upper_bound(address);
    if (next == ranges_.begin()) {
        return false;
    }
    --next;
    return size <= next->second - next->first && address - next->first <= next->second - next->first - size;
}

void MemoryMap::check_slowly(uint64_t address, uint64_t size, bool write)
{
    const auto accept = [&](const Range& range) {
        if (address < range.begin || address + size > range.end || address + size < address) {
            return false;
        }
        recent_[write] = range;
        return true;
    };
    if (!write) {
        for (const Range& range : constants_) {
            if (accept(range)) {
                return;
            }
        }
    }
    if (has_extents_) {
        for (const Extent& extent : extents_) {
            if (address < extent.begin || address >= extent.end || !(write ? extent.writable : extent.readable)) {
                continue;
            }
            Range run;
            extent.run_around(address, run.begin, run.end);
            if (accept(run)) {
                return;
            }
        }
    } else {
        for (const Range& range : allocations_) {
            if (accept(range)) {
                return;
            }
        }
    }
    throw Fault(FaultKind::out_of_bounds,
                format("%s of %llu bytes at 0x%llx%s", write ? "write" : "read", static_cast<unsigned long long>(size),
                       static_cast<unsigned long long>(address), describe_nearest(address).c_str()));
}

std::string MemoryMap::describe_nearest(uint64_t address) const
{
    std::string nearest = "; nothing is accessible";
    uint64_t least = ~uint64_t{0};
    const auto consider = [&](uint64_t begin, uint64_t end, const std::string& name) {
        const uint64_t distance = address < begin ? begin - address : address < end ? 0 : address - end + 1;
        if (distance > least) {
            return;
        }
        least = distance;
        nearest = format("; nearest is %s [0x%llx, 0x%llx), offset %lld", name.c_str(),
                         static_cast<unsigned long long>(begin), static_cast<unsigned long long>(end),
                         static_cast<long long>(address - begin));
    };
    for (const Range& range : constants_) {
        consider(range.begin, range.end, "constant memory");
    }
    if (has_extents_) {
        for (const Extent& extent : extents_) {
            consider(extent.begin, extent.end, "argument '" + extent.name + "'");
        }
    } else {
        for (const Range& range : allocations_) {
            consider(range.begin, range.end, "the allocation");
        }
    }
    return nearest;
}

} // namespace amd_emulator
