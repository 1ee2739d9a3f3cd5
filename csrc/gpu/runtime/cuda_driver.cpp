#include "gpu/runtime/cuda_driver.hpp"

#include "gpu/kernel/fwd_launch.hpp"

namespace ck_fmha::gpu {
namespace {

SharedLibrary find_library(const std::string& path, const std::vector<std::string>& folders)
{
    const SharedLibrary::Places places{
        "CUDA driver",
        "libcuda.so",
        path,
        folders,
        {"libcuda.so.1", "libcuda.so", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1"}};
    return SharedLibrary(places, "a driver for CUDA 12.0 or newer");
}

void* pointer(cuda::Address address) { return reinterpret_cast<void*>(address); }
cuda::Address address(const void* pointer) { return reinterpret_cast<cuda::Address>(pointer); }

// What compilers call a compute capability. For 9.0 with the instructions that later chips lack again.
std::string architecture_of(int major, int minor)
{
    return "sm_" + std::to_string(10 * major + minor) + (major == 9 && minor == 0 ? "a" : "");
}

} // namespace

CudaDriver::CudaDriver(const std::string& path, const std::vector<std::string>& folders)
    : Driver(find_library(path, folders), "CUDA")
{
    library_.require("cuInit", init_);
    library_.require("cuGetErrorName", get_error_name_);
    library_.require("cuGetErrorString", get_error_string_);
    library_.require("cuDeviceGetCount", device_get_count_);
    library_.require("cuDeviceGet", device_get_);
    library_.require("cuDeviceGetAttribute", device_get_attribute_);
    library_.require("cuDevicePrimaryCtxRetain", primary_context_retain_);
    library_.require("cuCtxPushCurrent_v2", context_push_);
    library_.require("cuCtxPopCurrent_v2", context_pop_);
    library_.require("cuCtxSynchronize", context_synchronize_);
    library_.require("cuMemAlloc_v2", memory_allocate_);
    library_.require("cuMemFree_v2", memory_free_);
    library_.require("cuMemcpyHtoDAsync_v2", copy_to_device_);
    library_.require("cuModuleLoadDataEx", module_load_data_);
    library_.require("cuModuleUnload", module_unload_);
    library_.require("cuModuleGetFunction", module_get_function_);
    library_.require("cuModuleGetGlobal_v2", module_get_global_);
    library_.require("cuMemcpyDtoH_v2", copy_to_host_);
    library_.require("cuFuncSetAttribute", function_set_attribute_);
    library_.require("cuLaunchKernel", launch_kernel_);
    library_.require("cuStreamCreate", stream_create_);
    library_.require("cuStreamIsCapturing", stream_is_capturing_);
    library_.require("cuThreadExchangeStreamCaptureMode", exchange_capture_mode_);
    library_.require("cuStreamWaitEvent", stream_wait_event_);
    library_.require("cuEventCreate", event_create_);
    library_.require("cuEventDestroy_v2", event_destroy_);
    library_.require("cuEventRecord", event_record_);
    library_.require("cuEventQuery", event_query_);
    library_.require("cuEventSynchronize", event_synchronize_);
    check(init_(0), "cuInit");
    read_devices();
}

void CudaDriver::read_devices()
{
    int count = 0;
    check(device_get_count_(&count), "cuDeviceGetCount");
    for (int n = 0; n < count; ++n) {
        cuda::DeviceHandle handle = 0;
        check(device_get_(&handle, n), "cuDeviceGet");
        handles_.push_back(handle);
        const std::string architecture = architecture_of(attribute(cuda::kComputeCapabilityMajor, handle),
                                                         attribute(cuda::kComputeCapabilityMinor, handle));
        const int lanes = architecture == "sm_90a" ? kWarpgroupSize : attribute(cuda::kWarpSize, handle);
        devices_.push_back({architecture, attribute(cuda::kMultiprocessorCount, handle), lanes});
    }
    contexts_.resize(devices_.size());
}

int CudaDriver::attribute(cuda::DeviceAttribute name, cuda::DeviceHandle device) const
{
    int value = 0;
    check(device_get_attribute_(&value, name, device), "cuDeviceGetAttribute");
    return value;
}

void CudaDriver::check(Error error, const char* call) const
{
    if (error == cuda::kSuccess) return;
    const char *name = nullptr, *text = nullptr;
    get_error_name_(error, &name);
    get_error_string_(error, &text);
    fail(call, name == nullptr ? "an error without a name" : name, text == nullptr ? "" : text);
}

cuda::Context CudaDriver::context(int device) const
{
    const std::lock_guard<std::mutex> lock(retaining_);
    cuda::Context& context = contexts_.at(device);
    if (context == nullptr)
        check(primary_context_retain_(&context, handles_[device]), "cuDevicePrimaryCtxRetain"); // for good
    return context;
}

Driver::Before CudaDriver::enter(int device) const
{
    check(context_push_(context(device)), "cuCtxPushCurrent");
    auto mode = cuda::kRelaxed;
    exchange_capture_mode_(&mode);
    return {device, mode};
}
void CudaDriver::leave(const Before& before) const noexcept
{
    auto mode = static_cast<cuda::CaptureMode>(before.capture_mode);
    exchange_capture_mode_(&mode);
    cuda::Context context = nullptr;
    context_pop_(&context);
}

void* CudaDriver::allocate(size_t size) const
{
    cuda::Address memory = 0;
    check(memory_allocate_(&memory, size), "cuMemAlloc");
    return pointer(memory);
}
void CudaDriver::release(void* memory) const noexcept { memory_free_(address(memory)); }

void CudaDriver::copy_to_device(void* to, const void* from, size_t size, Stream stream) const
{
    check(copy_to_device_(address(to), from, size, stream), "cuMemcpyHtoDAsync");
}

void CudaDriver::synchronize() const noexcept { context_synchronize_(); }

Module CudaDriver::load_module(const void* image) const
{
    Module module = nullptr;
    char log[2048] = "";
    cuda::JitOption options[] = {cuda::kErrorLogBuffer, cuda::kErrorLogBufferSize};
    void* values[] = {log, reinterpret_cast<void*>(sizeof(log) - 1)};
    const Error error = module_load_data_(&module, image, 2, options, values);
    check(error, *log == '\0' ? "cuModuleLoadDataEx" : (std::string("cuModuleLoadDataEx (") + log + ")").c_str());
    return module;
}
void CudaDriver::unload(Module module) const noexcept { module_unload_(module); }

Function CudaDriver::function(Module module, const char* name) const
{
    Function function = nullptr;
    check(module_get_function_(&function, module, name), "cuModuleGetFunction");
    return function;
}

std::string CudaDriver::read_variable(Module module, const char* name) const
{
    cuda::Address where = 0;
    size_t size = 0;
    check(module_get_global_(&where, &size, module, name), "cuModuleGetGlobal");
    context_synchronize_(); // the copy waits for the default stream alone
    std::string content(size, '\0');
    check(copy_to_host_(content.data(), where, size), "cuMemcpyDtoH");
    return content;
}

void CudaDriver::launch_kernel(Function function, const LaunchSize& size, Stream stream, void** parameters) const
{
    if (size.shared_bytes > cuda::kSharedUnasked)
        check(function_set_attribute_(function, cuda::kMaxDynamicSharedSize, static_cast<int>(size.shared_bytes)),
              "cuFuncSetAttribute");
    check(launch_kernel_(function, size.num_groups, size.num_groups_y, size.num_groups_z, size.group_size, 1, 1,
                         size.shared_bytes, stream, parameters, nullptr),
          "cuLaunchKernel");
}

bool CudaDriver::is_capturing(Stream stream) const
{
    auto status = cuda::kNotCapturing;
    return stream_is_capturing_(stream, &status) == cuda::kSuccess && status != cuda::kNotCapturing;
}

Stream CudaDriver::make_stream() const
{
    Stream stream = nullptr;
    check(stream_create_(&stream, cuda::kNonBlockingStream), "cuStreamCreate");
    return stream;
}

Event CudaDriver::make_event() const
{
    Event event = nullptr;
    check(event_create_(&event, cuda::kEventWithoutTime), "cuEventCreate");
    return event;
}
void CudaDriver::destroy(Event event) const noexcept { event_destroy_(event); }
void CudaDriver::record(Event event, Stream stream) const { check(event_record_(event, stream), "cuEventRecord"); }
bool CudaDriver::is_over(Event event) const
{
    const Error error = event_query_(event);
    if (error == cuda::kNotReady) return false;
    check(error, "cuEventQuery");
    return true;
}
void CudaDriver::synchronize(Event event) const { check(event_synchronize_(event), "cuEventSynchronize"); }
void CudaDriver::wait(Stream stream, Event event) const
{
    check(stream_wait_event_(stream, event, 0), "cuStreamWaitEvent");
}

} // namespace ck_fmha::gpu
