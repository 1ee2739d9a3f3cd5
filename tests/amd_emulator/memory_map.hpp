// What global memory a launch may touch: allocations, memory of the host that was declared accessible, and, where the
// caller gave them, the exact extents of the arguments with the gaps between their rows excluded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace amd_emulator {

/// A strided array in memory. Strides are in bytes.
struct Extent {
    struct Dimension {
        uint64_t size;
        uint64_t stride;
    };
    uint64_t begin = 0;
    uint64_t end = 0;
    uint64_t run = 0; ///< contiguous bytes at each position of `dimensions`
    bool readable = true;
    bool writable = true;
    std::string name;
    std::vector<Dimension> dimensions; ///< of the gaps, largest stride first

    /// The contiguous bytes round `address` that belong to the array; empty (begin == end) if the address lies in a
    /// gap.
    void run_around(uint64_t address, uint64_t& run_begin, uint64_t& run_end) const;
};

/// Folds contiguous dimensions together. @returns "" or why these strides are not supported.
std::string make_extent(uint64_t base, uint64_t element_size, const std::vector<int64_t>& sizes,
                        const std::vector<int64_t>& strides, Extent& result);

/// Address ranges without overlap.
class RangeSet {
public:
    void add(uint64_t begin, uint64_t size) { ranges_[begin] = begin + size; }
    /// @returns whether a range began there.
    bool remove(uint64_t begin) { return ranges_.erase(begin) != 0; }
    bool contains(uint64_t address, uint64_t size) const;
    const std::map<uint64_t, uint64_t>& ranges() const { return ranges_; }

private:
    std::map<uint64_t, uint64_t> ranges_;
};

/// The view of one launch.
class MemoryMap {
public:
    /// Read-only ranges that every launch has: its code object, its arguments.
    void add_constant(uint64_t begin, uint64_t size) { constants_.push_back({begin, begin + size}); }
    void add_range(uint64_t begin, uint64_t end) { allocations_.push_back({begin, end}); }
    void set_extents(std::vector<Extent> extents)
    {
        extents_ = std::move(extents);
        has_extents_ = true;
    }

    /// @throws Fault if a byte of it is not accessible.
    void check(uint64_t address, uint64_t size, bool write)
    {
        const Range& recent = recent_[write];
        if (address >= recent.begin && address + size <= recent.end && address + size > address) {
            return;
        }
        check_slowly(address, size, write);
    }

private:
    struct Range {
        uint64_t begin = 0;
        uint64_t end = 0;
    };
    void check_slowly(uint64_t address, uint64_t size, bool write);
    std::string describe_nearest(uint64_t address) const;

    std::vector<Range> constants_;
    std::vector<Range> allocations_;
    std::vector<Extent> extents_;
    bool has_extents_ = false;
    Range recent_[2]; ///< where the last read and the last write were found
};

} // namespace amd_emulator
