#include "gpu/runtime/hip_driver.hpp"

#include <cstring>
#include <memory>

namespace ck_fmha::gpu {
namespace {

SharedLibrary find_library(const std::string& path, const std::vector<std::string>& folders)
{
    SharedLibrary::Places places{"HIP driver", "libamdhip64.so", path, folders, {}};
    for (const char* place : {"", "/opt/rocm/lib/"})
        for (const char* version : {"", ".7", ".6"})
            places.usual.push_back(std::string(place) + places.name + version);
    return SharedLibrary(places, "ROCm 6.0 or newer");
}

} // namespace

HipDriver::HipDriver(const std::string& path, const std::vector<std::string>& folders)
    : Driver(find_library(path, folders), "HIP")
{
    library_.require("hipInit", init_);
    library_.require("hipGetErrorName", get_error_name_);
    library_.require("hipGetErrorString", get_error_string_);
    library_.require("hipGetDeviceCount", get_device_count_);
    library_.require("hipGetDevice", get_device_);
    library_.require("hipSetDevice", set_device_);
    library_.require("hipGetDevicePropertiesR0600", get_device_properties_);
    library_.require("hipDeviceSynchronize", device_synchronize_);
    library_.require("hipMalloc", malloc_);
    library_.require("hipFree", free_);
    library_.require("hipMemcpyAsync", memcpy_async_);
    library_.require("hipModuleLoadData", module_load_data_);
    library_.require("hipModuleUnload", module_unload_);
    library_.require("hipModuleGetFunction", module_get_function_);
    library_.require("hipModuleLaunchKernel", module_launch_kernel_);
    library_.require("hipStreamCreateWithFlags", stream_create_);
    library_.require("hipStreamWaitEvent", stream_wait_event_);
    library_.require("hipEventCreateWithFlags", event_create_);
    library_.require("hipEventDestroy", event_destroy_);
    library_.require("hipEventRecord", event_record_);
    library_.require("hipEventQuery", event_query_);
    library_.require("hipEventSynchronize", event_synchronize_);
    library_.find("hipModuleGetGlobal", module_get_global_);
    library_.find("hipMemcpy", memcpy_);
    library_.find("hipStreamIsCapturing", stream_is_capturing_);
    library_.find("hipThreadExchangeStreamCaptureMode", exchange_capture_mode_);
    check(init_(0), "hipInit");
    read_devices();
}

void HipDriver::read_devices()
{
    int count = 0;
    check(get_device_count_(&count), "hipGetDeviceCount");
    for (int n = 0; n < count; ++n) {
        const auto properties = std::make_unique<hip::DeviceProperties>();
        check(get_device_properties_(properties.get(), n), "hipGetDeviceProperties");
        const std::string name(properties->architecture,
                               strnlen(properties->architecture, sizeof(properties->architecture)));
        // Of the processors that there are instances for.
        devices_.push_back({name.substr(0, name.find(':')), properties->num_processors, 64});
    }
}

void HipDriver::check(Error error, const char* call) const
{
    if (error != hip::kSuccess) fail(call, get_error_name_(error), get_error_string_(error));
}

Driver::Before HipDriver::enter(int device) const
{
    Before before{};
    check(get_device_(&before.device), "hipGetDevice");
    check(set_device_(device), "hipSetDevice");
    auto mode = hip::kRelaxed;
    if (exchange_capture_mode_ != nullptr) exchange_capture_mode_(&mode);
    before.capture_mode = mode;
    return before;
}
void HipDriver::leave(const Before& before) const noexcept
{
    auto mode = static_cast<hip::CaptureMode>(before.capture_mode);
    if (exchange_capture_mode_ != nullptr) exchange_capture_mode_(&mode);
    set_device_(before.device);
}

void* HipDriver::allocate(size_t size) const
{
    void* memory = nullptr;
    check(malloc_(&memory, size), "hipMalloc");
    return memory;
}
void HipDriver::release(void* memory) const noexcept { free_(memory); }

void HipDriver::copy_to_device(void* to, const void* from, size_t size, Stream stream) const
{
    check(memcpy_async_(to, from, size, hip::kHostToDevice, stream), "hipMemcpyAsync");
}

void HipDriver::synchronize() const noexcept { device_synchronize_(); }

Module HipDriver::load_module(const void* image) const
{
    Module module = nullptr;
    check(module_load_data_(&module, image), "hipModuleLoadData");
    return module;
}
void HipDriver::unload(Module module) const noexcept { module_unload_(module); }

Function HipDriver::function(Module module, const char* name) const
{
    Function function = nullptr;
    check(module_get_function_(&function, module, name), "hipModuleGetFunction");
    return function;
}

std::string HipDriver::read_variable(Module module, const char* name) const
{
    if (module_get_global_ == nullptr || memcpy_ == nullptr)
        throw DriverError("ck_fmha: " + path() + " has no hipModuleGetGlobal");
    void* where = nullptr;
    size_t size = 0;
    check(module_get_global_(&where, &size, module, name), "hipModuleGetGlobal");
    std::string content(size, '\0');
    check(memcpy_(content.data(), where, size, hip::kDeviceToHost), "hipMemcpy");
    return content;
}

void HipDriver::launch_kernel(Function function, const LaunchSize& size, Stream stream, void** parameters) const
{
    check(module_launch_kernel_(function, size.num_groups, size.num_groups_y, size.num_groups_z, size.group_size, 1, 1,
                                size.shared_bytes, stream, parameters, nullptr),
          "hipModuleLaunchKernel");
}

bool HipDriver::is_capturing(Stream stream) const
{
    auto status = hip::kNotCapturing;
    return stream_is_capturing_ != nullptr && stream_is_capturing_(stream, &status) == hip::kSuccess &&
           status != hip::kNotCapturing;
}

Stream HipDriver::make_stream() const
{
    Stream stream = nullptr;
    check(stream_create_(&stream, hip::kNonBlockingStream), "hipStreamCreateWithFlags");
    return stream;
}

Event HipDriver::make_event() const
{
    Event event = nullptr;
    check(event_create_(&event, hip::kEventWithoutTime), "hipEventCreateWithFlags");
    return event;
}
void HipDriver::destroy(Event event) const noexcept { event_destroy_(event); }
void HipDriver::record(Event event, Stream stream) const { check(event_record_(event, stream), "hipEventRecord"); }
bool HipDriver::is_over(Event event) const
{
    const Error error = event_query_(event);
    if (error == hip::kNotReady) return false;
    check(error, "hipEventQuery");
    return true;
}
void HipDriver::synchronize(Event event) const { check(event_synchronize_(event), "hipEventSynchronize"); }
void HipDriver::wait(Stream stream, Event event) const
{
    check(stream_wait_event_(stream, event, 0), "hipStreamWaitEvent");
}

} // namespace ck_fmha::gpu
