#pragma once

#include "gpu/runtime/driver.hpp"
#include "gpu/runtime/hip_abi.hpp"

namespace ck_fmha::gpu {

// AMD GPUs: libamdhip64.
class HipDriver : public Driver {
public:
    HipDriver(const std::string& path, const std::vector<std::string>& folders);

    void* allocate(size_t size) const override;
    void release(void* memory) const noexcept override;
    void copy_to_device(void* to, const void* from, size_t size, Stream stream) const override;
    void synchronize() const noexcept override;
    Module load_module(const void* image) const override;
    void unload(Module module) const noexcept override;
    Function function(Module module, const char* name) const override;
    std::string read_variable(Module module, const char* name) const override;
    bool is_capturing(Stream stream) const override;
    Event make_event() const override;
    void destroy(Event event) const noexcept override;
    void record(Event event, Stream stream) const override;
    bool is_over(Event event) const override;
    void synchronize(Event event) const override;
    void wait(Stream stream, Event event) const override;

protected:
    Before enter(int device) const override;
    void leave(const Before& before) const noexcept override;
    Stream make_stream() const override;
    void launch_kernel(Function function, const LaunchSize& size, Stream stream, void** parameters) const override;

private:
    using Error = hip::Error;
    void check(Error error, const char* call) const;
    void read_devices();

    Error (*init_)(unsigned);
    const char* (*get_error_name_)(Error);
    const char* (*get_error_string_)(Error);
    Error (*get_device_count_)(int*);
    Error (*get_device_)(int*);
    Error (*set_device_)(int);
    Error (*get_device_properties_)(hip::DeviceProperties*, int);
    Error (*device_synchronize_)();
    Error (*malloc_)(void**, size_t);
    Error (*free_)(void*);
    Error (*memcpy_async_)(void*, const void*, size_t, hip::MemcpyKind, Stream);
    Error (*module_load_data_)(Module*, const void*);
    Error (*module_unload_)(Module);
    Error (*module_get_function_)(Function*, Module, const char*);
    Error (*module_launch_kernel_)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                   Stream, void**, void**);
    Error (*stream_create_)(Stream*, unsigned);
    Error (*stream_wait_event_)(Stream, Event, unsigned);
    Error (*event_create_)(Event*, unsigned);
    Error (*event_destroy_)(Event);
    Error (*event_record_)(Event, Stream);
    Error (*event_query_)(Event);
    Error (*event_synchronize_)(Event);
    // May be missing.
    Error (*module_get_global_)(void**, size_t*, Module, const char*);
    Error (*memcpy_)(void*, const void*, size_t, hip::MemcpyKind);
    Error (*stream_is_capturing_)(Stream, hip::CaptureStatus*);
    Error (*exchange_capture_mode_)(hip::CaptureMode*);
};

} // namespace ck_fmha::gpu
