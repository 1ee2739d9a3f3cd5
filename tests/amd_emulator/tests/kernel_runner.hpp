// Loads a test kernel and runs it through HIP's entry points.
#pragma once

#include "emulator_api.h"
#include "hip_functions.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

inline const char* const kArchitectures[] = {"gfx90a", "gfx942"};

/// The number of the device of this architecture.
inline int device_of(const std::string& architecture)
{
    for (int device = 0;; ++device) {
        const char* name = ck_fmha_emulator_architecture(device);
        if (name == nullptr || name == architecture) {
            return device;
        }
    }
}

/// Memory of the device with a copy on the host.
template <class T>
class DeviceArray {
public:
    explicit DeviceArray(std::vector<T> values) : values_(std::move(values))
    {
        EXPECT_EQ(hipMalloc(&device_, bytes()), hipSuccess);
        EXPECT_EQ(hipMemcpy(device_, values_.data(), bytes(), hipMemcpyHostToDevice), hipSuccess);
    }
    explicit DeviceArray(size_t size) : DeviceArray(std::vector<T>(size)) {}
    DeviceArray(const DeviceArray&) = delete;
    DeviceArray& operator=(const DeviceArray&) = delete;
    ~DeviceArray() { EXPECT_EQ(hipFree(device_), hipSuccess); }

    void* device() const { return device_; }
    size_t bytes() const { return values_.size() * sizeof(T); }
    const std::vector<T>& fetch()
    {
        EXPECT_EQ(hipMemcpy(values_.data(), device_, bytes(), hipMemcpyDeviceToHost), hipSuccess);
        return values_;
    }

private:
    std::vector<T> values_;
    void* device_ = nullptr;
};

class KernelModule {
public:
    KernelModule(const std::string& name, const std::string& architecture) : device_(device_of(architecture))
    {
        EXPECT_EQ(hipSetDevice(device_), hipSuccess);
        EXPECT_EQ(hipModuleLoad(&module_, (std::string(KERNEL_FOLDER "/") + name + "." + architecture + ".co").c_str()),
                  hipSuccess)
            << ck_fmha_emulator_last_failure();
    }
    KernelModule(const KernelModule&) = delete;
    KernelModule& operator=(const KernelModule&) = delete;
    ~KernelModule() { EXPECT_EQ(hipModuleUnload(module_), hipSuccess); }

    hipFunction_t function(const std::string& kernel) const
    {
        hipFunction_t result = nullptr;
        EXPECT_EQ(hipModuleGetFunction(&result, module_, kernel.c_str()), hipSuccess) << kernel;
        return result;
    }

    /// Passes the arguments as one block, each aligned to its size.
    template <class... A>
    hipError_t launch(const std::string& kernel, unsigned grid_x, unsigned grid_y, unsigned block,
                      const A&... arguments) const
    {
        std::vector<char> buffer;
        const auto append = [&](const auto& value) {
            buffer.resize((buffer.size() + sizeof value - 1) / sizeof value * sizeof value);
            const char* bytes = reinterpret_cast<const char*>(&value);
            buffer.insert(buffer.end(), bytes, bytes + sizeof value);
        };
        (append(arguments), ...);
        size_t size = buffer.size();
        void* extra[] = {HIP_LAUNCH_PARAM_BUFFER_POINTER, buffer.data(), HIP_LAUNCH_PARAM_BUFFER_SIZE, &size,
                         HIP_LAUNCH_PARAM_END};
        EXPECT_EQ(hipSetDevice(device_), hipSuccess);
        return hipModuleLaunchKernel(function(kernel), grid_x, grid_y, 1, block, 1, 1, 0, nullptr, nullptr, extra);
    }

private:
    int device_;
    hipModule_t module_ = nullptr;
};

/// A module that stays loaded, for tests that use it many times.
inline const KernelModule& loaded_module(const std::string& name, const std::string& architecture)
{
    static auto* const modules =
        new std::map<std::string, std::unique_ptr<KernelModule>>; // never destroyed: the emulator may go first
    auto& module = (*modules)[name + "." + architecture];
    if (!module) {
        module = std::make_unique<KernelModule>(name, architecture);
    }
    return *module;
}

/// Run options for the time of a scope.
class ScopedOptions {
public:
    explicit ScopedOptions(const std::string& options)
    {
        EXPECT_EQ(ck_fmha_emulator_configure(options.c_str()), hipSuccess) << ck_fmha_emulator_last_failure();
    }
    ScopedOptions(const ScopedOptions&) = delete;
    ScopedOptions& operator=(const ScopedOptions&) = delete;
    ~ScopedOptions() { ck_fmha_emulator_configure(""); }
};

/// All of the words must be in the text of the last failure.
inline void expect_failure(hipError_t actual, hipError_t expected, const std::vector<std::string>& words)
{
    EXPECT_EQ(actual, expected) << ck_fmha_emulator_last_failure();
    const std::string text = actual == hipSuccess ? "(no failure)" : ck_fmha_emulator_last_failure();
    for (const std::string& word : words) {
        EXPECT_NE(text.find(word), std::string::npos) << "no '" << word << "' in: " << text;
    }
}
