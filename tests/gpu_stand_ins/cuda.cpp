// libcuda without a GPU: memory is the host's, kernels do nothing, and every call is written down. What the real one
// refuses is refused: functions and memory of another context, more shared memory than was asked for, what a capture
// forbids.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Error {
    kSuccess = 0,
    kInvalidValue = 1,
    kInvalidImage = 200,
    kInvalidContext = 201,
    kInvalidHandle = 400,
    kNotFound = 500,
    kNotReady = 600,
    kCaptureUnsupported = 900,
    kCaptureIsolation = 905,
};

struct Device {
    int major, minor, num_multiprocessors;
};
constexpr Device kDevices[] = {{9, 0, 132}, {8, 0, 108}, {7, 5, 40}};
constexpr int kNumDevices = 3;
constexpr unsigned kSharedUnasked = 48 * 1024, kMostShared = 227 * 1024;
constexpr int kGlobalMode = 0, kRelaxedMode = 2;

struct Module {
    int context;
    std::string image;
};
struct Function {
    Module* module;
    std::string name;
    unsigned shared_bytes = kSharedUnasked;
};
struct Event {
    int context;
    bool recorded = false;
};

std::mutex mutex;
std::string calls;
std::map<uint64_t, int> memory; // and its context
std::set<uint64_t> capturing;   // streams
uint64_t num_streams = 0;
bool events_pending = false;

thread_local std::vector<int> contexts;
thread_local int capture_mode = kGlobalMode;

int current() { return contexts.empty() ? -1 : contexts.back(); }

template <class... Numbers>
void say(const char* format, const Numbers&... numbers)
{
    char line[512];
    std::snprintf(line, sizeof line, format, numbers...);
    calls += std::string(line) + "\n";
}

// What a capture by this or another thread forbids.
bool is_forbidden() { return !capturing.empty() && capture_mode != kRelaxedMode; }

} // namespace

// --- what tests ask ---

EXPORT const char* ck_fmha_stand_in_calls() { return calls.c_str(); }
EXPORT void ck_fmha_stand_in_forget() { calls.clear(); }
EXPORT void ck_fmha_stand_in_capture(uint64_t stream, int begins)
{
    if (begins != 0)
        capturing.insert(stream);
    else
        capturing.erase(stream);
}
EXPORT void ck_fmha_stand_in_keep_events_pending(int pending) { events_pending = pending != 0; }
EXPORT int ck_fmha_stand_in_num_contexts() { return static_cast<int>(contexts.size()); }

// --- what an emulator has besides ---

struct Extent {
    const char* base;
    uint64_t element_size;
    int64_t sizes[6];
    int64_t strides[6];
    uint32_t rank;
    uint32_t access;
    const char* name;
};

EXPORT int ck_fmha_emulator_accesses_host_memory() { return 1; }
EXPORT int ck_fmha_emulator_next_launch(const Extent* extents, size_t count)
{
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t n = 0; n < count; ++n) {
        const Extent& e = extents[n];
        std::string text = std::string("extent ") + e.name + " access " + std::to_string(e.access) + " sizes";
        const char* last = e.base;
        bool is_empty = false;
        for (uint32_t d = 0; d < e.rank; ++d) {
            text += " " + std::to_string(e.sizes[d]);
            is_empty |= e.sizes[d] == 0;
            last += (e.sizes[d] - 1) * e.strides[d];
        }
        calls += text + "\n";
        if (is_empty) continue;
        // Both ends are there.
        volatile char* const ends[] = {const_cast<char*>(e.base), const_cast<char*>(last) + e.element_size - 1};
        for (volatile char* end : ends)
            *end = *end;
    }
    return kSuccess;
}

// --- the driver ---

EXPORT int cuInit(unsigned) { return kSuccess; }
EXPORT int cuGetErrorName(int error, const char** name)
{
    const std::map<int, const char*> names = {{kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
                                              {kInvalidImage, "CUDA_ERROR_INVALID_IMAGE"},
                                              {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
                                              {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE"},
                                              {kNotFound, "CUDA_ERROR_NOT_FOUND"},
                                              {kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
                                              {kCaptureIsolation, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION"}};
    const auto found = names.find(error);
    if (found == names.end()) return kInvalidValue;
    *name = found->second;
    return kSuccess;
}
EXPORT int cuGetErrorString(int, const char** text)
{
    *text = "said by the stand-in";
    return kSuccess;
}
EXPORT int cuDeviceGetCount(int* count)
{
    *count = kNumDevices;
    return kSuccess;
}
EXPORT int cuDeviceGet(int* device, int ordinal)
{
    *device = 100 + ordinal;
    return kSuccess;
}
EXPORT int cuDeviceGetAttribute(int* value, int attribute, int handle)
{
    const Device& device = kDevices[handle - 100];
    const std::map<int, int> values = {
        {10, 32}, {16, device.num_multiprocessors}, {75, device.major}, {76, device.minor}};
    const auto found = values.find(attribute);
    if (found == values.end()) return kInvalidValue;
    *value = found->second;
    return kSuccess;
}
EXPORT int cuDevicePrimaryCtxRetain(void** context, int handle)
{
    *context = reinterpret_cast<void*>(uint64_t{1000} + static_cast<uint64_t>(handle) - 100);
    return kSuccess;
}
EXPORT int cuCtxPushCurrent_v2(void* context)
{
    contexts.push_back(static_cast<int>(reinterpret_cast<uint64_t>(context) - 1000));
    return kSuccess;
}
EXPORT int cuCtxPopCurrent_v2(void**)
{
    if (contexts.empty()) return kInvalidContext;
    contexts.pop_back();
    return kSuccess;
}
EXPORT int cuCtxSynchronize()
{
    const std::lock_guard<std::mutex> lock(mutex);
    say("synchronize context %d", current());
    return kSuccess;
}
EXPORT int cuMemAlloc_v2(uint64_t* address, size_t size)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (current() < 0) return kInvalidContext;
    if (is_forbidden()) return kCaptureUnsupported;
    *address = reinterpret_cast<uint64_t>(std::malloc(size));
    memory[*address] = current();
    say("allocate on %d", current());
    return kSuccess;
}
EXPORT int cuMemFree_v2(uint64_t address)
{
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = memory.find(address);
    if (found == memory.end() || found->second != current()) return kInvalidValue;
    std::free(reinterpret_cast<void*>(address));
    memory.erase(found);
    say("free on %d", current());
    return kSuccess;
}
EXPORT int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t size, void* stream)
{
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = memory.find(to);
    if (found == memory.end() || found->second != current()) return kInvalidValue;
    std::memcpy(reinterpret_cast<void*>(to), from, size);
    say("upload stream %llu", static_cast<unsigned long long>(reinterpret_cast<uint64_t>(stream)));
    return kSuccess;
}
EXPORT int cuModuleLoadDataEx(Module** module, const char* image, unsigned, int*, void**)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (current() < 0) return kInvalidContext;
    if (std::memcmp(image, "\177ELF", 4) != 0) return kInvalidImage;
    *module = new Module{current(), image};
    say("load on %d", current());
    return kSuccess;
}
EXPORT int cuModuleUnload(Module* module)
{
    delete module;
    return kSuccess;
}
EXPORT int cuModuleGetFunction(Function** function, Module* module, const char* name)
{
    if (std::strncmp(name, "ck_fmha_", 8) != 0) return kNotFound;
    *function = new Function{module, name};
    return kSuccess;
}
EXPORT int cuModuleGetGlobal_v2(uint64_t* address, size_t* size, Module*, const char* name)
{
    static uint64_t variable[] = {300, 100, 200, 0};
    if (std::strcmp(name, "ck_fmha_clocks") != 0) return kNotFound;
    *address = reinterpret_cast<uint64_t>(variable);
    *size = sizeof(variable);
    return kSuccess;
}
EXPORT int cuMemcpyDtoH_v2(void* to, uint64_t from, size_t size)
{
    std::memcpy(to, reinterpret_cast<const void*>(from), size);
    return kSuccess;
}
EXPORT int cuFuncSetAttribute(Function* function, int attribute, int value)
{
    if (attribute != 8 || value < 0 || static_cast<unsigned>(value) > kMostShared) return kInvalidValue;
    function->shared_bytes = static_cast<unsigned>(value);
    return kSuccess;
}
EXPORT int cuLaunchKernel(Function* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y,
                          unsigned threads_z, unsigned shared_bytes, void* stream, void** parameters, void**)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (function->module->context != current()) return kInvalidHandle;
    if (x == 0 || y != 1 || z != 1 || threads == 0 || threads > 1024 || threads_y != 1 || threads_z != 1 ||
        parameters == nullptr || shared_bytes > function->shared_bytes)
        return kInvalidValue;
    say("launch %s groups %u threads %u shared %u stream %llu on %d", function->name.c_str(), x, threads, shared_bytes,
        static_cast<unsigned long long>(reinterpret_cast<uint64_t>(stream)), current());
    return kSuccess;
}
EXPORT int cuStreamCreate(void** stream, unsigned flags)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (flags != 1) return kInvalidValue; // others wait for the default stream
    *stream = reinterpret_cast<void*>(uint64_t{7000} + num_streams++);
    return kSuccess;
}
EXPORT int cuStreamIsCapturing(void* stream, int* status)
{
    *status = capturing.count(reinterpret_cast<uint64_t>(stream)) != 0 ? 1 : 0;
    return kSuccess;
}
EXPORT int cuThreadExchangeStreamCaptureMode(int* mode)
{
    std::swap(*mode, capture_mode);
    return kSuccess;
}
EXPORT int cuStreamWaitEvent(void* stream, Event* event, unsigned)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (event->context != current() || !event->recorded) return kInvalidHandle;
    if (capturing.count(reinterpret_cast<uint64_t>(stream)) != 0) return kCaptureIsolation;
    say("wait stream %llu", static_cast<unsigned long long>(reinterpret_cast<uint64_t>(stream)));
    return kSuccess;
}
EXPORT int cuEventCreate(Event** event, unsigned)
{
    *event = new Event{current()};
    return kSuccess;
}
EXPORT int cuEventDestroy_v2(Event* event)
{
    delete event;
    return kSuccess;
}
EXPORT int cuEventRecord(Event* event, void* stream)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (event->context != current()) return kInvalidHandle;
    event->recorded = true;
    say("record stream %llu", static_cast<unsigned long long>(reinterpret_cast<uint64_t>(stream)));
    return kSuccess;
}
EXPORT int cuEventQuery(Event*)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (is_forbidden()) return kCaptureUnsupported;
    return events_pending ? kNotReady : kSuccess;
}
EXPORT int cuEventSynchronize(Event*)
{
    const std::lock_guard<std::mutex> lock(mutex);
    if (is_forbidden()) return kCaptureUnsupported;
    say("synchronize event%s", "");
    return kSuccess;
}
