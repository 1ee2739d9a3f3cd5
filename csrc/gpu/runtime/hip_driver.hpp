#pragma once

#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "gpu/runtime/hip_abi.hpp"

namespace ck_fmha::hip {

// What a driver refused: its own words, and which call it was.
class DriverError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

struct Device {
    std::string architecture; // as compilers name it: "gfx942"
    int num_compute_units;
};

// libamdhip64, found when it is first needed. One for the process.
class Driver {
public:
    // Loads it from `path` if that is not empty, else from the first place that has it: a copy that is in the process
    // already, the folders given, the loader's path, the usual folders. Once it is loaded, the arguments do not matter.
    // Throws DriverError with every place that was tried.
    static Driver& load(const std::string& path, const std::vector<std::string>& folders);
    // @pre load was successful
    static Driver& get();

    const std::string& path() const { return path_; }
    int num_devices() const;
    const Device& device(int index) const;

    void* allocate(size_t size) const;
    void release(void* memory) const noexcept;
    void copy_to_device(void* to, const void* from, size_t size) const;
    void synchronize() const noexcept;
    Module load_module(const void* image) const;
    void unload(Module module) const noexcept;
    Function function(Module module, const char* name) const;
    // The driver's limit is 2^32 work-items. `extents` are told to a driver that wants them.
    void launch(Function function, unsigned num_groups, unsigned group_size, Stream stream, void* args,
                const std::vector<Extent>& extents) const;
    void synchronize(Stream stream) const;
    bool is_capturing(Stream stream) const;

    // May kernels access memory of the host, so that tensors on the CPU can be passed?
    bool accesses_host_memory() const;
    bool wants_extents() const { return next_launch_ != nullptr; }

private:
    friend class OnDevice;

    Driver(void* library, std::string path);
    void check(Error error, const char* call) const;
    void read_devices();

    std::string path_;
    std::vector<Device> devices_;
    mutable std::mutex launching_; // the extents belong to the launch that follows

    Error (*init_)(unsigned);
    const char* (*get_error_name_)(Error);
    const char* (*get_error_string_)(Error);
    Error (*get_device_count_)(int*);
    Error (*get_device_)(int*);
    Error (*set_device_)(int);
    Error (*get_device_properties_)(DeviceProperties*, int);
    Error (*device_synchronize_)();
    Error (*stream_synchronize_)(Stream);
    Error (*malloc_)(void**, size_t);
    Error (*free_)(void*);
    Error (*memcpy_)(void*, const void*, size_t, MemcpyKind);
    Error (*module_load_data_)(Module*, const void*);
    Error (*module_unload_)(Module);
    Error (*module_get_function_)(Function*, Module, const char*);
    Error (*module_launch_kernel_)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                   Stream, void**, void**);
    // May be missing.
    Error (*stream_is_capturing_)(Stream, CaptureStatus*);
    Error (*next_launch_)(const Extent*, size_t);
    int (*accesses_host_memory_)();
    const char* (*last_failure_)();
};

// Makes a device the thread's current one, and the previous one again at the end.
class OnDevice {
public:
    explicit OnDevice(int device);
    ~OnDevice();
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

private:
    int previous_ = 0;
};

} // namespace ck_fmha::hip
