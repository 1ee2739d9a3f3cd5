#pragma once

#include <string>
#include <utility>

#include "gpu/runtime/hip_driver.hpp"

namespace ck_fmha::hip {

// Memory of one device.
class DeviceMemory {
public:
    DeviceMemory(int device, size_t size) : device_(device)
    {
        const OnDevice on(device);
        data_ = static_cast<char*>(Driver::get().allocate(size));
    }
    // Waits for the kernels that use it: hipFree does.
    ~DeviceMemory()
    {
        const OnDevice on(device_);
        Driver::get().release(data_);
    }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    char* data() const { return data_; }

private:
    int device_;
    char* data_;
};

// A code object on one device, with the kernels of the forward.
class FwdModule {
public:
    // `image`: the code object; `name` stands in messages.
    FwdModule(int device, const std::string& image, const std::string& name) : device_(device)
    {
        const Driver& driver = Driver::get();
        driver.device(device);
        const OnDevice on(device);
        try {
            module_ = driver.load_module(image.data());
            plan_ = driver.function(module_, "ck_fmha_fwd_plan");
            fwd_ = driver.function(module_, "ck_fmha_fwd");
            combine_ = driver.function(module_, "ck_fmha_fwd_combine");
        } catch (const DriverError& error) {
            if (module_ != nullptr) driver.unload(module_);
            throw DriverError(std::string(error.what()) + "\nwhile loading " + name);
        }
    }
    ~FwdModule()
    {
        const OnDevice on(device_);
        Driver::get().synchronize();
        Driver::get().unload(module_);
    }
    FwdModule(const FwdModule&) = delete;
    FwdModule& operator=(const FwdModule&) = delete;

    int device() const { return device_; }
    Function plan() const { return plan_; }
    Function fwd() const { return fwd_; }
    Function combine() const { return combine_; }

private:
    int device_;
    Module module_ = nullptr;
    Function plan_ = nullptr;
    Function fwd_ = nullptr;
    Function combine_ = nullptr;
};

} // namespace ck_fmha::hip
