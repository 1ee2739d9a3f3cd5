#pragma once

#include <memory>
#include <vector>

#include "gpu/runtime/fwd_plan.hpp"
#include "gpu/runtime/hip_module.hpp"

namespace ck_fmha::hip {

// A plan on a device: its schedule, the images of its masks and the data that these refer to, in one allocation.
class DevicePlan {
public:
    // @pre the driver is loaded
    DevicePlan(std::shared_ptr<const MaskExpr> mask, gpu::FwdPlan plan, int device);

    // The plan of a call, made if it is not among those that were used last. `shape.num_compute_units` is the device's.
    static std::shared_ptr<DevicePlan> find(const std::shared_ptr<const MaskExpr>& mask, gpu::FwdShape shape,
                                            int device);

    const gpu::FwdPlan& plan() const { return plan_; }
    int device() const { return device_; }

    const char* images() const { return memory_->data(); }
    const gpu::FwdWork* work(size_t group) const { return at<gpu::FwdWork>(work_[group]); }
    const gpu::FwdMerge* merges(size_t group) const { return at<gpu::FwdMerge>(merges_[group]); }
    const gpu::FwdMerge* merges() const { return at<gpu::FwdMerge>(merges_.back()); } // FwdPlan::merges
    gpu::LiveWindow* windows(size_t group) const { return at<gpu::LiveWindow>(windows_[group]); }

    // Kernels fill the windows when the plan is first used. fill() launches them on a stream and waits for it, unless
    // it says that it cannot wait: then the next call fills them again.
    template <class Fill>
    void fill_windows_once(const Fill& fill)
    {
        const std::lock_guard<std::mutex> lock(filling_);
        if (!filled_) filled_ = fill();
    }

    // What of the allocation masks read: images and data.
    struct Section {
        size_t offset, size;
    };
    const std::vector<Section>& mask_sections() const { return mask_sections_; }

private:
    template <class T>
    T* at(size_t offset) const
    {
        return reinterpret_cast<T*>(memory_->data() + offset);
    }

    std::shared_ptr<const MaskExpr> mask_; // its address is part of the key of the cache
    gpu::FwdPlan plan_;
    int device_;
    std::vector<size_t> work_, merges_, windows_; // of each group; the last merges are of all of them
    std::vector<Section> mask_sections_;
    std::unique_ptr<DeviceMemory> memory_;
    std::mutex filling_;
    bool filled_ = false;
};

} // namespace ck_fmha::hip
