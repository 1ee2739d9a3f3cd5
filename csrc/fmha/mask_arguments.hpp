#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "fmha/mask_expr.hpp"

namespace ck_fmha {

// The parameters and data arrays of a structure, handed out one after the other. Refuses what is missing or out of
// range with a sentence that names it.
class MaskArguments {
public:
    MaskArguments(const std::string& structure, const std::vector<int64_t>& params, const std::vector<IndexArray>& data)
        : structure_(structure), params_(params), data_(data)
    {
    }

    [[noreturn]] void fail(const std::string& what) const
    {
        // A structure may be as long as its writer likes.
        const std::string shown = structure_.size() > 300 ? structure_.substr(0, 300) + "..." : structure_;
        throw std::invalid_argument("ck_fmha: mask structure '" + shown + "': " + what);
    }

    int64_t param(const char* name, int64_t low, int64_t high)
    {
        if (next_param_ >= params_.size()) fail(std::string("parameter ") + name + " is missing");
        return in_range(name, params_[next_param_++], low, high);
    }
    index_t index(const char* name, int64_t low, int64_t high = ck_tile_masks::kIndexMax)
    {
        return static_cast<index_t>(param(name, low, high));
    }
    bool flag(const char* name) { return param(name, 0, 1) != 0; }

    // A data array of numbers in [low, high].
    IndexArray data(const char* name, int64_t low, int64_t high = ck_tile_masks::kIndexMax)
    {
        if (next_data_ >= data_.size()) fail(std::string("data array ") + name + " is missing");
        const IndexArray& array = data_[next_data_++];
        for (const index_t value : *array)
            in_range(name, value, low, high);
        return array;
    }
    IndexArray ascending(const char* name, int64_t low, bool strictly, int64_t high = ck_tile_masks::kIndexMax)
    {
        const IndexArray array = data(name, low, high);
        for (size_t n = 1; n < array->size(); ++n)
            if ((*array)[n] < (*array)[n - 1] || (strictly && (*array)[n] == (*array)[n - 1]))
                fail(std::string(name) + (strictly ? " must be ascending without repetition" : " must not decrease") +
                     ", got " + std::to_string((*array)[n - 1]) + " before " + std::to_string((*array)[n]));
        return array;
    }

    void check_all_used() const
    {
        if (next_param_ != params_.size())
            fail("takes " + std::to_string(next_param_) + " parameters, got " + std::to_string(params_.size()));
        if (next_data_ != data_.size())
            fail("takes " + std::to_string(next_data_) + " data arrays, got " + std::to_string(data_.size()));
    }

private:
    int64_t in_range(const char* name, int64_t value, int64_t low, int64_t high) const
    {
        if (value < low || value > high)
            fail(std::string(name) + " must be in [" + std::to_string(low) + ", " + std::to_string(high) + "], got " +
                 std::to_string(value));
        return value;
    }

    const std::string& structure_;
    const std::vector<int64_t>& params_;
    const std::vector<IndexArray>& data_;
    size_t next_param_ = 0;
    size_t next_data_ = 0;
};

} // namespace ck_fmha
