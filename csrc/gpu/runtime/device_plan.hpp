#pragma once

#include <memory>
#include <vector>

#include "gpu/runtime/fwd_plan.hpp"
#include "gpu/runtime/kernel_module.hpp"

namespace ck_fmha::gpu {

// A plan on a device: its schedule, the images of its masks and the data that these refer to, in one allocation.
class DevicePlan {
public:
    DevicePlan(const Driver& driver, int device, std::shared_ptr<const MaskExpr> mask, gpu::FwdPlan plan);
    ~DevicePlan();
    DevicePlan(const DevicePlan&) = delete;
    DevicePlan& operator=(const DevicePlan&) = delete;

    // The plan of a call, made if it is not among those that were used last. `shape.num_compute_units` is the device's.
    static std::shared_ptr<DevicePlan> find(const Driver& driver, int device,
                                            const std::shared_ptr<const MaskExpr>& mask, gpu::FwdShape shape);

    const gpu::FwdPlan& plan() const { return plan_; }
    const Driver& driver() const { return driver_; }
    int device() const { return device_; }
    size_t size() const { return memory_->size(); } // bytes on the device

    const char* images() const { return memory_->data(); }
    const gpu::FwdWork* work(size_t group) const { return at<gpu::FwdWork>(work_[group]); }
    const gpu::FwdMerge* merges(size_t group) const { return at<gpu::FwdMerge>(merges_[group]); }
    const gpu::FwdMerge* merges() const { return at<gpu::FwdMerge>(merges_.back()); } // FwdPlan::merges
    // The lists of a group: those that are kept, or the ones of a call, in its own memory.
    gpu::TileCode* tiles(size_t group, void* of_call) const
    {
        return plan_.groups[group].keeps_lists ? at<gpu::TileCode>(tiles_[group])
                                               : static_cast<gpu::TileCode*>(of_call);
    }

    // Kernels find the lists that are kept when the plan is first used: fill(a stream) launches them. What is launched
    // on `stream` afterwards finds them filled; the host waits for that only where `stream` is captured, for a graph
    // cannot refer to what is outside of it.
    template <class Fill>
    void prepare(Stream stream, bool is_captured, const Fill& fill)
    {
        const std::lock_guard<std::mutex> lock(preparing_);
        if (is_prepared_) return;
        if (prepared_ == nullptr) {
            const Stream own = driver_.preparation_stream(device_);
            fill(own);
            record_prepared(own);
        }
        wait_for_preparation(stream, is_captured);
    }

    // What of the allocation masks read: images and data.
    struct Section {
        size_t offset, size;
    };
    const std::vector<Section>& mask_sections() const { return mask_sections_; }

private:
    void record_prepared(Stream stream);
    void wait_for_preparation(Stream stream, bool is_captured);

    template <class T>
    T* at(size_t offset) const
    {
        return reinterpret_cast<T*>(memory_->data() + offset);
    }

    const Driver& driver_;
    int device_;
    std::shared_ptr<const MaskExpr> mask_; // its address is part of the key of the cache
    gpu::FwdPlan plan_;
    std::vector<size_t> work_, merges_, tiles_; // of each group; the last merges are of all of them
    std::vector<Section> mask_sections_;
    std::unique_ptr<DeviceMemory> memory_;
    std::mutex preparing_;
    Event prepared_ = nullptr;
    bool is_prepared_ = false; // seen by the host
};

} // namespace ck_fmha::gpu
