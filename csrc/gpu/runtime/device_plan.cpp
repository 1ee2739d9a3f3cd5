#include "gpu/runtime/device_plan.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>

#include "gpu/runtime/recently_used.hpp"

namespace ck_fmha::gpu {
namespace {

// Places for arrays, one after the other, each aligned for any access.
class Layout {
public:
    size_t take(size_t size)
    {
        const size_t offset = size_;
        size_ = (size_ + size + kAlign - 1) / kAlign * kAlign;
        return offset;
    }
    size_t size() const { return size_; }

private:
    static constexpr size_t kAlign = 256;
    size_t size_ = 0;
};

template <class T>
size_t bytes_of(const std::vector<T>& array)
{
    return array.size() * sizeof(T);
}

} // namespace

DevicePlan::DevicePlan(const Driver& driver, int device, std::shared_ptr<const MaskExpr> mask, gpu::FwdPlan plan)
    : driver_(driver), device_(device), mask_(std::move(mask)), plan_(std::move(plan))
{
    Layout layout;
    mask_sections_.push_back({layout.take(plan_.images.size()), plan_.images.size()});
    // Masks of several heads may share an array, and see more or less of it.
    std::map<const void*, size_t> arrays;
    for (const ImageAddress& address : plan_.addresses)
        if (address.size > 0) arrays[address.data] = std::max(arrays[address.data], address.size);
    std::map<const void*, size_t> places;
    for (const auto& [data, size] : arrays) {
        places[data] = layout.take(size);
        mask_sections_.push_back({places[data], size});
    }
    for (const gpu::FwdGroup& group : plan_.groups) {
        work_.push_back(layout.take(bytes_of(group.work)));
        merges_.push_back(layout.take(bytes_of(group.merges)));
    }
    merges_.push_back(layout.take(bytes_of(plan_.merges)));
    std::vector<char> staging(layout.size()); // what the host writes
    for (const gpu::FwdGroup& group : plan_.groups)
        tiles_.push_back(layout.take(group.keeps_lists ? group.num_codes() * sizeof(gpu::TileCode) : 0));
    memory_ = std::make_unique<DeviceMemory>(driver, device, layout.size());

    std::memcpy(staging.data(), plan_.images.data(), plan_.images.size());
    for (const ImageAddress& address : plan_.addresses) {
        const char* where = address.size > 0 ? memory_->data() + places[address.data] : nullptr;
        std::memcpy(staging.data() + address.offset, &where, sizeof(where));
    }
    for (const auto& [data, size] : arrays)
        std::memcpy(staging.data() + places[data], data, size);
    for (size_t g = 0; g < plan_.groups.size(); ++g) {
        gpu::FwdGroup& group = plan_.groups[g];
        std::copy(group.work.begin(), group.work.end(), reinterpret_cast<gpu::FwdWork*>(staging.data() + work_[g]));
        std::copy(group.merges.begin(), group.merges.end(),
                  reinterpret_cast<gpu::FwdMerge*>(staging.data() + merges_[g]));
    }
    std::copy(plan_.merges.begin(), plan_.merges.end(),
              reinterpret_cast<gpu::FwdMerge*>(staging.data() + merges_.back()));
    const OnDevice on(driver, device);
    driver.copy_to_device(memory_->data(), staging.data(), staging.size(), driver.preparation_stream(device));
}

DevicePlan::~DevicePlan()
{
    if (prepared_ != nullptr) on_device_at_end(driver_, device_, [this] { driver_.destroy(prepared_); });
}

void DevicePlan::record_prepared(Stream stream)
{
    const Event event = driver_.make_event();
    try {
        driver_.record(event, stream);
    } catch (const DriverError&) {
        driver_.destroy(event);
        throw;
    }
    prepared_ = event;
}

void DevicePlan::wait_for_preparation(Stream stream, bool is_captured)
{
    if (is_captured)
        driver_.synchronize(prepared_);
    else if (!driver_.is_over(prepared_))
        return driver_.wait(stream, prepared_);
    is_prepared_ = true;
}

std::shared_ptr<DevicePlan> DevicePlan::find(const Driver& driver, int device,
                                             const std::shared_ptr<const MaskExpr>& mask, gpu::FwdShape shape)
{
    using Key = std::tuple<const MaskExpr*, const Driver*, int, int64_t, int64_t, int64_t, int64_t, index_t,
                           ck_tile_masks::Axis, index_t, int64_t>;
    // Many: to free a plan's memory waits for the device. Never destroyed: at the end of the process the driver may be
    // gone.
    static auto& plans = *new RecentlyUsed<Key, DevicePlan>(1024, size_t{256} << 20);

    const Key key{mask.get(),     &driver,        device,     shape.batch,        shape.num_heads,      shape.seqlen_q,
                  shape.seqlen_k, shape.head_dim, shape.axis, shape.heads_per_kv, shape.most_list_bytes};
    return plans.find(key, [&] {
        shape.num_compute_units = driver.device(device).num_compute_units;
        shape.lanes = driver.device(device).lanes;
        return std::make_shared<DevicePlan>(driver, device, mask, make_fwd_plan(*mask, shape));
    });
}

} // namespace ck_fmha::gpu
