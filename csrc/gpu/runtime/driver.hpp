#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/runtime/shared_library.hpp"

namespace ck_fmha::gpu {

using Stream = void*;
using Event = void*;
using Module = void*;
using Function = void*;

struct Device {
    std::string architecture; // as compilers name it: "gfx942", "sm_90a"
    int num_compute_units;    // multiprocessors
    int lanes;                // that multiply together: see kernel/fwd_launch.hpp
};

// A driver that checks memory accesses takes the exact extents of a launch's arguments: those of
// tests/amd_emulator/emulator_api.h.
constexpr int kMaxRank = 6;
enum Access : uint32_t { kRead = 1, kWrite = 2 };
struct Extent {
    const void* base;
    uint64_t element_size; // bytes
    int64_t sizes[kMaxRank];
    int64_t strides[kMaxRank]; // bytes
    uint32_t rank;
    uint32_t access;
    const char* name;
};

struct LaunchSize {
    unsigned num_groups;
    unsigned group_size;   // threads
    unsigned shared_bytes; // besides what the code object has
    unsigned num_groups_y = 1;
    unsigned num_groups_z = 1;
};

enum class Vendor { amd, nvidia };

// What the launch path asks of a driver. One of each vendor for the process, found when it is first needed; both may be
// there. What is not const elsewhere happens on the thread's current device: see OnDevice.
class Driver {
public:
    // Loads a vendor's driver as SharedLibrary says. Once it is loaded, the arguments do not matter.
    static const Driver& load(Vendor vendor, const std::string& path, const std::vector<std::string>& folders);

    virtual ~Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    const std::string& path() const { return library_.path(); }
    int num_devices() const { return static_cast<int>(devices_.size()); }
    const Device& device(int index) const;

    virtual void* allocate(size_t size) const = 0;
    virtual void release(void* memory) const noexcept = 0; // waits for the kernels that use it
    // `from` may be changed when this returns.
    virtual void copy_to_device(void* to, const void* from, size_t size, Stream stream) const = 0;
    virtual void synchronize() const noexcept = 0;

    virtual Module load_module(const void* image) const = 0;
    virtual void unload(Module module) const noexcept = 0;
    virtual Function function(Module module, const char* name) const = 0;
    // The content of a variable on the device, which the host waits for.
    virtual std::string read_variable(Module module, const char* name) const = 0;
    // At most 2^32 threads. `extents` are told to a driver that wants them.
    void launch(Function function, const LaunchSize& size, Stream stream, void* args,
                const std::vector<Extent>& extents) const;

    virtual bool is_capturing(Stream stream) const = 0;
    // The stream of a device on which plans are prepared: no other stream waits for it unasked.
    Stream preparation_stream(int device) const;
    virtual Event make_event() const = 0;
    virtual void destroy(Event event) const noexcept = 0;
    virtual void record(Event event, Stream stream) const = 0;
    virtual bool is_over(Event event) const = 0;
    virtual void synchronize(Event event) const = 0;
    virtual void wait(Stream stream, Event event) const = 0;

    // May kernels access memory of the host, so that tensors on the CPU can be passed?
    bool accesses_host_memory() const { return accesses_host_memory_ != nullptr && accesses_host_memory_() != 0; }
    bool wants_extents() const { return next_launch_ != nullptr; }

protected:
    Driver(SharedLibrary library, const char* name);

    // What OnDevice makes undone.
    struct Before {
        int device;
        int capture_mode;
    };
    virtual Before enter(int device) const = 0;
    virtual void leave(const Before& before) const noexcept = 0;
    virtual Stream make_stream() const = 0;
    virtual void launch_kernel(Function function, const LaunchSize& size, Stream stream, void** parameters) const = 0;

    [[noreturn]] void fail(const char* call, const char* error_name, const char* error_text) const;

    const SharedLibrary library_;
    std::vector<Device> devices_;

private:
    friend class OnDevice;

    const char* name_;             // "HIP"
    mutable std::mutex launching_; // the extents belong to the launch that follows
    mutable std::mutex making_streams_;
    mutable std::vector<Stream> preparation_streams_;

    // What an emulator has besides.
    int (*next_launch_)(const Extent*, size_t);
    int (*accesses_host_memory_)();
    const char* (*last_failure_)();
};

// Makes a device the thread's current one, and the previous one again at the end. In between, what a capture of other
// streams forbids is allowed.
class OnDevice {
public:
    OnDevice(const Driver& driver, int device) : driver_(driver), before_(driver.enter(device)) {}
    ~OnDevice() { driver_.leave(before_); }
    OnDevice(const OnDevice&) = delete;
    OnDevice& operator=(const OnDevice&) = delete;

private:
    const Driver& driver_;
    Driver::Before before_;
};

} // namespace ck_fmha::gpu
