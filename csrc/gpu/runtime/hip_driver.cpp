#include "gpu/runtime/hip_driver.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstring>
#include <memory>

namespace ck_fmha::hip {
namespace {

constexpr const char* kLibrary = "libamdhip64.so";

// The path of a copy of the library that the process has loaded already, or "".
std::string loaded_library()
{
    std::string found;
    dl_iterate_phdr(
        [](dl_phdr_info* object, size_t, void* result) {
            const std::string path = object->dlpi_name == nullptr ? "" : object->dlpi_name;
            const size_t name = path.rfind('/') + 1;
            if (path.compare(name, std::strlen(kLibrary), kLibrary) != 0) return 0;
            *static_cast<std::string*>(result) = path;
            return 1;
        },
        &found);
    return found;
}

template <class Function>
void find(void* library, const char* name, Function& function)
{
    function = reinterpret_cast<Function>(dlsym(library, name));
}

template <class Function>
void require(void* library, const std::string& path, const char* name, Function& function)
{
    find(library, name, function);
    if (function == nullptr)
        throw DriverError("ck_fmha: " + path + " has no " + name + ": ROCm 6.0 or newer is needed");
}

std::unique_ptr<Driver>& instance()
{
    // Never destroyed: modules and buffers may outlive every other static object.
    static auto& driver = *new std::unique_ptr<Driver>;
    return driver;
}

} // namespace

Driver& Driver::load(const std::string& path, const std::vector<std::string>& folders)
{
    static std::mutex mutex;
    const std::lock_guard<std::mutex> lock(mutex);
    if (instance()) return *instance();

    std::vector<std::string> candidates;
    if (!path.empty()) {
        candidates = {path};
    } else {
        if (const std::string loaded = loaded_library(); !loaded.empty()) candidates.push_back(loaded);
        for (const std::string& folder : folders)
            candidates.push_back(folder + "/" + kLibrary);
        for (const char* place : {"", "/opt/rocm/lib/"})
            for (const char* version : {"", ".7", ".6"})
                candidates.push_back(std::string(place) + kLibrary + version);
    }
    std::string tried;
    for (const std::string& candidate : candidates) {
        if (void* library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) {
            instance().reset(new Driver(library, candidate));
            return *instance();
        }
        tried += std::string("\n  ") + dlerror();
    }
    throw DriverError("ck_fmha: no HIP driver library could be loaded; tried:" + tried);
}

Driver& Driver::get()
{
    if (!instance()) throw DriverError("ck_fmha: the HIP driver library was not loaded");
    return *instance();
}

Driver::Driver(void* library, std::string path) : path_(std::move(path))
{
    require(library, path_, "hipInit", init_);
    require(library, path_, "hipGetErrorName", get_error_name_);
    require(library, path_, "hipGetErrorString", get_error_string_);
    require(library, path_, "hipGetDeviceCount", get_device_count_);
    require(library, path_, "hipGetDevice", get_device_);
    require(library, path_, "hipSetDevice", set_device_);
    require(library, path_, "hipGetDevicePropertiesR0600", get_device_properties_);
    require(library, path_, "hipDeviceSynchronize", device_synchronize_);
    require(library, path_, "hipStreamSynchronize", stream_synchronize_);
    require(library, path_, "hipMalloc", malloc_);
    require(library, path_, "hipFree", free_);
    require(library, path_, "hipMemcpy", memcpy_);
    require(library, path_, "hipModuleLoadData", module_load_data_);
    require(library, path_, "hipModuleUnload", module_unload_);
    require(library, path_, "hipModuleGetFunction", module_get_function_);
    require(library, path_, "hipModuleLaunchKernel", module_launch_kernel_);
    find(library, "hipStreamIsCapturing", stream_is_capturing_);
    find(library, "ck_fmha_emulator_next_launch", next_launch_);
    find(library, "ck_fmha_emulator_accesses_host_memory", accesses_host_memory_);
    find(library, "ck_fmha_emulator_last_failure", last_failure_);
    check(init_(0), "hipInit");
    read_devices();
}

void Driver::read_devices()
{
    int count = 0;
    check(get_device_count_(&count), "hipGetDeviceCount");
    for (int n = 0; n < count; ++n) {
        const auto properties = std::make_unique<DeviceProperties>();
        check(get_device_properties_(properties.get(), n), "hipGetDeviceProperties");
        const std::string name(properties->architecture,
                               strnlen(properties->architecture, sizeof(properties->architecture)));
        devices_.push_back({name.substr(0, name.find(':')), properties->num_processors});
    }
}

void Driver::check(Error error, const char* call) const
{
    if (error == kSuccess) return;
    std::string text =
        std::string("ck_fmha: ") + call + " failed: " + get_error_name_(error) + ": " + get_error_string_(error);
    if (last_failure_ != nullptr)
        if (const char* more = last_failure_(); more != nullptr && *more != '\0') text += std::string("\n") + more;
    throw DriverError(text);
}

int Driver::num_devices() const { return static_cast<int>(devices_.size()); }

const Device& Driver::device(int index) const
{
    if (index < 0 || index >= num_devices())
        throw DriverError("ck_fmha: there is no HIP device " + std::to_string(index) + ": " + path_ + " has " +
                          std::to_string(num_devices()));
    return devices_[index];
}

void* Driver::allocate(size_t size) const
{
    void* memory = nullptr;
    check(malloc_(&memory, size), "hipMalloc");
    return memory;
}
void Driver::release(void* memory) const noexcept { free_(memory); }

void Driver::copy_to_device(void* to, const void* from, size_t size) const
{
    check(memcpy_(to, from, size, kHostToDevice), "hipMemcpy");
}

void Driver::synchronize() const noexcept { device_synchronize_(); }

Module Driver::load_module(const void* image) const
{
    Module module = nullptr;
    check(module_load_data_(&module, image), "hipModuleLoadData");
    return module;
}
void Driver::unload(Module module) const noexcept { module_unload_(module); }

Function Driver::function(Module module, const char* name) const
{
    Function function = nullptr;
    check(module_get_function_(&function, module, name), "hipModuleGetFunction");
    return function;
}

void Driver::launch(Function function, unsigned num_groups, unsigned group_size, Stream stream, void* args,
                    const std::vector<Extent>& extents) const
{
    std::unique_lock<std::mutex> lock(launching_, std::defer_lock);
    if (wants_extents()) {
        lock.lock();
        check(next_launch_(extents.data(), extents.size()), "ck_fmha_emulator_next_launch");
    }
    void* parameters[] = {args};
    check(module_launch_kernel_(function, num_groups, 1, 1, group_size, 1, 1, 0, stream, parameters, nullptr),
          "hipModuleLaunchKernel");
}

void Driver::synchronize(Stream stream) const { check(stream_synchronize_(stream), "hipStreamSynchronize"); }

bool Driver::is_capturing(Stream stream) const
{
    CaptureStatus status = kNotCapturing;
    return stream_is_capturing_ != nullptr && stream_is_capturing_(stream, &status) == kSuccess &&
           status != kNotCapturing;
}

bool Driver::accesses_host_memory() const { return accesses_host_memory_ != nullptr && accesses_host_memory_() != 0; }

OnDevice::OnDevice(int device)
{
    const Driver& driver = Driver::get();
    driver.check(driver.get_device_(&previous_), "hipGetDevice");
    driver.check(driver.set_device_(device), "hipSetDevice");
}

OnDevice::~OnDevice() { Driver::get().set_device_(previous_); }

} // namespace ck_fmha::hip
