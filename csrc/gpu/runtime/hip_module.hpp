#pragma once

#include <string>
#include <utility>
#include <vector>

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

// A code object on one device, with its kernels.
class KernelModule {
public:
    // `image`: the code object; `name` stands in messages.
    KernelModule(int device, const std::string& image, const std::string& name, const std::vector<const char*>& kernels)
        : device_(device)
    {
        const Driver& driver = Driver::get();
        driver.device(device);
        const OnDevice on(device);
        try {
            module_ = driver.load_module(image.data());
            for (const char* kernel : kernels)
                kernels_.push_back(driver.function(module_, kernel));
        } catch (const DriverError& error) {
            if (module_ != nullptr) driver.unload(module_);
            throw DriverError(std::string(error.what()) + "\nwhile loading " + name);
        }
    }
    ~KernelModule()
    {
        const OnDevice on(device_);
        Driver::get().synchronize();
        Driver::get().unload(module_);
    }
    KernelModule(const KernelModule&) = delete;
    KernelModule& operator=(const KernelModule&) = delete;

    int device() const { return device_; }

protected:
    Function kernel(size_t n) const { return kernels_[n]; }

private:
    int device_;
    Module module_ = nullptr;
    std::vector<Function> kernels_;
};

class FwdModule : public KernelModule {
public:
    FwdModule(int device, const std::string& image, const std::string& name)
        : KernelModule(device, image, name, {"ck_fmha_fwd_plan", "ck_fmha_fwd", "ck_fmha_fwd_combine"})
    {
    }
    Function plan() const { return kernel(0); }
    Function fwd() const { return kernel(1); }
    Function combine() const { return kernel(2); }
};

class BwdModule : public KernelModule {
public:
    BwdModule(int device, const std::string& image, const std::string& name)
        : KernelModule(device, image, name,
                       {"ck_fmha_bwd_plan", "ck_fmha_bwd_dot_do_o", "ck_fmha_bwd_dq_dk_dv", "ck_fmha_bwd_combine",
                        "ck_fmha_bwd_convert"})
    {
    }
    Function plan() const { return kernel(0); }
    Function dot_do_o() const { return kernel(1); }
    Function dq_dk_dv() const { return kernel(2); }
    Function combine() const { return kernel(3); }
    Function convert() const { return kernel(4); }
};

class BwdDqModule : public KernelModule {
public:
    BwdDqModule(int device, const std::string& image, const std::string& name)
        : KernelModule(device, image, name, {"ck_fmha_bwd_dq_plan", "ck_fmha_bwd_dq", "ck_fmha_bwd_dq_combine"})
    {
    }
    Function plan() const { return kernel(0); }
    Function dq() const { return kernel(1); }
    Function combine() const { return kernel(2); }
};

} // namespace ck_fmha::hip
