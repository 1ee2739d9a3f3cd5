#pragma once

#include "gpu/runtime/cuda_abi.hpp"
#include "gpu/runtime/driver.hpp"

namespace ck_fmha::gpu {

// NVIDIA GPUs: libcuda. Everything happens in a device's primary context, which is torch's.
class CudaDriver : public Driver {
public:
    CudaDriver(const std::string& path, const std::vector<std::string>& folders);

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
    using Error = cuda::Error;
    void check(Error error, const char* call) const;
    void read_devices();
    int attribute(cuda::DeviceAttribute name, cuda::DeviceHandle device) const;
    cuda::Context context(int device) const;

    std::vector<cuda::DeviceHandle> handles_;
    mutable std::mutex retaining_;
    mutable std::vector<cuda::Context> contexts_; // of the devices that were used

    Error (*init_)(unsigned);
    Error (*get_error_name_)(Error, const char**);
    Error (*get_error_string_)(Error, const char**);
    Error (*device_get_count_)(int*);
    Error (*device_get_)(cuda::DeviceHandle*, int);
    Error (*device_get_attribute_)(int*, cuda::DeviceAttribute, cuda::DeviceHandle);
    Error (*primary_context_retain_)(cuda::Context*, cuda::DeviceHandle);
    Error (*context_push_)(cuda::Context);
    Error (*context_pop_)(cuda::Context*);
    Error (*context_synchronize_)();
    Error (*memory_allocate_)(cuda::Address*, size_t);
    Error (*memory_free_)(cuda::Address);
    Error (*copy_to_device_)(cuda::Address, const void*, size_t, Stream);
    Error (*module_load_data_)(Module*, const void*, unsigned, cuda::JitOption*, void**);
    Error (*module_unload_)(Module);
    Error (*module_get_function_)(Function*, Module, const char*);
    Error (*module_get_global_)(cuda::Address*, size_t*, Module, const char*);
    Error (*copy_to_host_)(void*, cuda::Address, size_t);
    Error (*function_set_attribute_)(Function, cuda::FunctionAttribute, int);
    Error (*launch_kernel_)(Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream,
                            void**, void**);
    Error (*stream_create_)(Stream*, unsigned);
    Error (*stream_is_capturing_)(Stream, cuda::CaptureStatus*);
    Error (*exchange_capture_mode_)(cuda::CaptureMode*);
    Error (*stream_wait_event_)(Stream, Event, unsigned);
    Error (*event_create_)(Event*, unsigned);
    Error (*event_destroy_)(Event);
    Error (*event_record_)(Event, Stream);
    Error (*event_query_)(Event);
    Error (*event_synchronize_)(Event);
};

} // namespace ck_fmha::gpu
