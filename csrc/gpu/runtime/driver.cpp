#include "gpu/runtime/driver.hpp"

#include <memory>

#include "gpu/runtime/cuda_driver.hpp"
#include "gpu/runtime/hip_driver.hpp"

namespace ck_fmha::gpu {

const Driver& Driver::load(Vendor vendor, const std::string& path, const std::vector<std::string>& folders)
{
    static std::mutex mutex;
    // Never destroyed: modules and buffers may outlive every other static object.
    static std::unique_ptr<Driver>* const drivers = new std::unique_ptr<Driver>[2];
    const std::lock_guard<std::mutex> lock(mutex);
    std::unique_ptr<Driver>& driver = drivers[vendor == Vendor::amd ? 0 : 1];
    if (!driver) {
        if (vendor == Vendor::amd)
            driver = std::make_unique<HipDriver>(path, folders);
        else
            driver = std::make_unique<CudaDriver>(path, folders);
    }
    return *driver;
}

Driver::Driver(SharedLibrary library, const char* name) : library_(std::move(library)), name_(name)
{
    library_.find("ck_fmha_emulator_next_launch", next_launch_);
    library_.find("ck_fmha_emulator_accesses_host_memory", accesses_host_memory_);
    library_.find("ck_fmha_emulator_last_failure", last_failure_);
}

const Device& Driver::device(int index) const
{
    if (index < 0 || index >= num_devices())
        throw DriverError(std::string("ck_fmha: there is no ") + name_ + " device " + std::to_string(index) + ": " +
                          path() + " has " + std::to_string(num_devices()));
    return devices_[index];
}

void Driver::launch(Function function, const LaunchSize& size, Stream stream, void* args,
                    const std::vector<Extent>& extents) const
{
    std::unique_lock<std::mutex> lock(launching_, std::defer_lock);
    if (wants_extents()) {
        lock.lock();
        if (next_launch_(extents.data(), extents.size()) != 0) fail("ck_fmha_emulator_next_launch", "refused", "");
    }
    void* parameters[] = {args};
    launch_kernel(function, size, stream, parameters);
}

Stream Driver::preparation_stream(int device) const
{
    const std::lock_guard<std::mutex> lock(making_streams_);
    preparation_streams_.resize(devices_.size());
    Stream& stream = preparation_streams_.at(device);
    if (stream == nullptr) stream = make_stream();
    return stream;
}

void Driver::fail(const char* call, const char* error_name, const char* error_text) const
{
    std::string text = std::string("ck_fmha: ") + call + " failed: " + error_name + ": " + error_text;
    if (last_failure_ != nullptr)
        if (const char* more = last_failure_(); more != nullptr && *more != '\0') text += std::string("\n") + more;
    throw DriverError(text);
}

} // namespace ck_fmha::gpu
