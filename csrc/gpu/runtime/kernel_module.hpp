#pragma once

#include <string>
#include <vector>

#include "gpu/runtime/driver.hpp"

namespace ck_fmha::gpu {

// On a device, for what frees something of it: at the end of the process the driver may be gone, and nothing is to be
// done.
template <class Use>
void on_device_at_end(const Driver& driver, int device, const Use& use) noexcept
{
    try {
        const OnDevice on(driver, device);
        use();
    } catch (const DriverError&) {
    }
}

// Memory of one device.
class DeviceMemory {
public:
    DeviceMemory(const Driver& driver, int device, size_t size) : driver_(driver), device_(device), size_(size)
    {
        const OnDevice on(driver, device);
        data_ = static_cast<char*>(driver.allocate(size));
    }
    ~DeviceMemory()
    {
        on_device_at_end(driver_, device_, [this] { driver_.release(data_); });
    }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    char* data() const { return data_; }
    size_t size() const { return size_; }

private:
    const Driver& driver_;
    int device_;
    size_t size_;
    char* data_;
};

// A code object on one device, with its kernels.
class KernelModule {
public:
    // `image`: the code object; `name` stands in messages.
    KernelModule(const Driver& driver, int device, const std::string& image, const std::string& name,
                 const std::vector<const char*>& kernels)
        : driver_(driver), device_(device)
    {
        driver.device(device);
        const OnDevice on(driver, device);
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
        on_device_at_end(driver_, device_, [this] {
            driver_.synchronize();
            driver_.unload(module_);
        });
    }
    KernelModule(const KernelModule&) = delete;
    KernelModule& operator=(const KernelModule&) = delete;

    // What is in a variable of the code object, after all kernels that run now.
    std::string read_variable(const std::string& name) const
    {
        const OnDevice on(driver_, device_);
        return driver_.read_variable(module_, name.c_str());
    }

    bool is_on(const Driver& driver, int device) const { return &driver_ == &driver && device_ == device; }

protected:
    Function kernel(size_t n) const { return kernels_[n]; }

private:
    const Driver& driver_;
    int device_;
    Module module_ = nullptr;
    std::vector<Function> kernels_;
};

class FwdModule : public KernelModule {
public:
    FwdModule(const Driver& driver, int device, const std::string& image, const std::string& name)
        : KernelModule(driver, device, image, name, {"ck_fmha_fwd_plan", "ck_fmha_fwd", "ck_fmha_fwd_combine"})
    {
    }
    Function plan() const { return kernel(0); }
    Function fwd() const { return kernel(1); }
    Function combine() const { return kernel(2); }
};

class BwdModule : public KernelModule {
public:
    BwdModule(const Driver& driver, int device, const std::string& image, const std::string& name)
        : KernelModule(driver, device, image, name,
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
    BwdDqModule(const Driver& driver, int device, const std::string& image, const std::string& name)
        : KernelModule(driver, device, image, name, {"ck_fmha_bwd_dq_plan", "ck_fmha_bwd_dq", "ck_fmha_bwd_dq_combine"})
    {
    }
    Function plan() const { return kernel(0); }
    Function dq() const { return kernel(1); }
    Function combine() const { return kernel(2); }
};

} // namespace ck_fmha::gpu
