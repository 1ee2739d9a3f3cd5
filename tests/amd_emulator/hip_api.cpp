// The entry points of HIP that a program needs to load modules and launch kernels. Everything is complete when a call
// returns.
#include "api_call.hpp"
#include "fault.hpp"
#include "hip_types.hpp"

#include <cstring>
#include <fstream>
#include <iterator>

namespace amd_emulator {
namespace {

thread_local int current_device = 0;

void require_device(const Machine& machine, int device)
{
    if (device < 0 || static_cast<size_t>(device) >= machine.architectures().size()) {
        throw ApiError{hipErrorInvalidDevice,
                       format("device %d; there are %zu", device, machine.architectures().size())};
    }
}

void copy(const Machine& machine, void* to, const void* from, size_t size, hipMemcpyKind kind)
{
    if (size == 0) {
        return;
    }
    require(to != nullptr && from != nullptr, hipErrorInvalidValue, "a copy from or to a null pointer");
    const bool to_device = kind == hipMemcpyHostToDevice || kind == hipMemcpyDeviceToDevice;
    const bool from_device = kind == hipMemcpyDeviceToHost || kind == hipMemcpyDeviceToDevice;
    require(kind >= hipMemcpyHostToHost && kind <= hipMemcpyDefault, hipErrorInvalidMemcpyDirection,
            "no such direction of a copy");
    require(!to_device || machine.is_device_range(to, size), hipErrorInvalidValue,
            "the destination of a copy is not device memory of that size");
    require(!from_device || machine.is_device_range(from, size), hipErrorInvalidValue,
            "the source of a copy is not device memory of that size");
    std::memmove(to, from, size);
}

void set(const Machine& machine, void* to, int value, size_t size)
{
    if (size == 0) {
        return;
    }
    require(machine.is_device_range(to, size), hipErrorInvalidValue,
            "what is to be set is not device memory of that size");
    std::memset(to, value, size);
}

int attribute(const Machine& machine, hipDeviceAttribute_t name, int device)
{
    const bool is_gfx90a = machine.architectures()[static_cast<size_t>(device)] == "gfx90a";
    switch (name) {
    case hipDeviceAttributeCanMapHostMemory:
        return 1;
    case hipDeviceAttributeClockRate:
        return 1700000;
    case hipDeviceAttributeIntegrated:
        return 0;
    case hipDeviceAttributeComputeCapabilityMajor:
        return 9;
    case hipDeviceAttributeComputeCapabilityMinor:
        return is_gfx90a ? 0 : 4;
    case hipDeviceAttributeMaxBlockDimX:
    case hipDeviceAttributeMaxBlockDimY:
    case hipDeviceAttributeMaxBlockDimZ:
    case hipDeviceAttributeMaxThreadsPerBlock:
        return 1024;
    case hipDeviceAttributeMaxGridDimX:
        return 2147483647;
    case hipDeviceAttributeMaxGridDimY:
    case hipDeviceAttributeMaxGridDimZ:
        return 65536;
    case hipDeviceAttributeMaxThreadsPerMultiProcessor:
        return 2048;
    case hipDeviceAttributeMultiprocessorCount:
        return machine.compute_units().value_or(is_gfx90a ? 104 : 304);
    case hipDeviceAttributeMaxRegistersPerBlock:
    case hipDeviceAttributeMaxSharedMemoryPerBlock:
    case hipDeviceAttributeMaxSharedMemoryPerMultiprocessor:
        return 65536;
    case hipDeviceAttributeWarpSize:
        return 64;
    default:
        throw ApiError{hipErrorInvalidValue, format("device attribute %d is not modelled", name)};
    }
}

/// The kernel's arguments as one block, from either of the two forms in which HIP takes them.
std::vector<uint8_t> gather_arguments(const Kernel& kernel, void** parameters, void** extra)
{
    std::vector<uint8_t> block(kernel.descriptor.kernarg_size);
    if (extra != nullptr) {
        const void* buffer = nullptr;
        size_t size = 0;
        for (; *extra != HIP_LAUNCH_PARAM_END; extra += 2) {
            if (extra[0] == HIP_LAUNCH_PARAM_BUFFER_POINTER) {
                buffer = extra[1];
            } else if (extra[0] == HIP_LAUNCH_PARAM_BUFFER_SIZE) {
                size = *static_cast<const size_t*>(extra[1]);
            } else {
                throw ApiError{hipErrorInvalidValue, "an unknown entry in the extra arguments of a launch"};
            }
        }
        size_t needed = 0;
        for (const KernelArgument& argument : kernel.arguments) {
            if (!argument.is_hidden()) {
                needed = std::max<size_t>(needed, argument.offset + argument.size);
            }
        }
        if (buffer == nullptr || size < needed) {
            throw ApiError{hipErrorInvalidValue, format("kernel %s takes %zu bytes of arguments, the launch passes %zu",
                                                        kernel.name.c_str(), needed, size)};
        }
        std::memcpy(block.data(), buffer, std::min(size, block.size()));
        return block;
    }
    size_t index = 0;
    for (const KernelArgument& argument : kernel.arguments) {
        if (argument.is_hidden()) {
            continue;
        }
        require(parameters != nullptr && parameters[index] != nullptr, hipErrorInvalidValue,
                "a launch without its arguments");
        std::memcpy(block.data() + argument.offset, parameters[index++], argument.size);
    }
    return block;
}

} // namespace

} // namespace amd_emulator

using namespace amd_emulator;

// --- devices ---

EMULATOR_EXPORT hipError_t hipInit(unsigned int flags)
{
    return call([&](Machine&) { require(flags == 0, hipErrorInvalidValue, "hipInit takes no flags"); });
}
EMULATOR_EXPORT hipError_t hipDriverGetVersion(int* version)
{
    return call([&](Machine&) {
        require(version != nullptr, hipErrorInvalidValue, "a null pointer");
        *version = 60000000;
    });
}
EMULATOR_EXPORT hipError_t hipRuntimeGetVersion(int* version) { return hipDriverGetVersion(version); }
EMULATOR_EXPORT hipError_t hipGetDeviceCount(int* count)
{
    return call([&](Machine& machine) {
        require(count != nullptr, hipErrorInvalidValue, "a null pointer");
        *count = static_cast<int>(machine.architectures().size());
    });
}
EMULATOR_EXPORT hipError_t hipSetDevice(int device)
{
    return call([&](Machine& machine) {
        require_device(machine, device);
        current_device = device;
    });
}
EMULATOR_EXPORT hipError_t hipGetDevice(int* device)
{
    return call([&](Machine&) {
        require(device != nullptr, hipErrorInvalidValue, "a null pointer");
        *device = current_device;
    });
}
EMULATOR_EXPORT hipError_t hipDeviceGet(hipDevice_t* device, int ordinal)
{
    return call([&](Machine& machine) {
        require_device(machine, ordinal);
        *device = ordinal;
    });
}
EMULATOR_EXPORT hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t name, int device)
{
    return call([&](Machine& machine) {
        require_device(machine, device);
        require(value != nullptr, hipErrorInvalidValue, "a null pointer");
        *value = attribute(machine, name, device);
    });
}
EMULATOR_EXPORT hipError_t hipDeviceGetName(char* name, int length, hipDevice_t device)
{
    return call([&](Machine& machine) {
        require_device(machine, device);
        require(name != nullptr && length > 0, hipErrorInvalidValue, "no room for a device's name");
        std::snprintf(name, static_cast<size_t>(length), "ck_fmha emulator (%s)",
                      machine.architectures()[static_cast<size_t>(device)].c_str());
    });
}
EMULATOR_EXPORT hipError_t hipGetDevicePropertiesR0600(hipDevicePropertiesR0600* properties, int device)
{
    return call([&](Machine& machine) {
        require_device(machine, device);
        require(properties != nullptr, hipErrorInvalidValue, "a null pointer");
        *properties = {};
        const std::string& architecture = machine.architectures()[static_cast<size_t>(device)];
        std::snprintf(properties->name, sizeof properties->name, "ck_fmha emulator (%s)", architecture.c_str());
        std::snprintf(properties->gcnArchName, sizeof properties->gcnArchName, "%s:sramecc+:xnack-",
                      architecture.c_str());
        properties->totalGlobalMem = size_t{64} << 30;
        properties->sharedMemPerBlock = 65536;
        properties->regsPerBlock = 65536;
        properties->warpSize = 64;
        properties->maxThreadsPerBlock = 1024;
        for (int& size : properties->maxThreadsDim) {
            size = 1024;
        }
        properties->maxGridSize[0] = 2147483647;
        properties->maxGridSize[1] = properties->maxGridSize[2] = 65536;
        properties->major = 9;
        properties->minor = attribute(machine, hipDeviceAttributeComputeCapabilityMinor, device);
        properties->multiProcessorCount = attribute(machine, hipDeviceAttributeMultiprocessorCount, device);
    });
}
EMULATOR_EXPORT hipError_t hipDeviceSynchronize()
{
    return call([](Machine&) {});
}

// --- memory ---

EMULATOR_EXPORT hipError_t hipMalloc(void** pointer, size_t size)
{
    return call([&](Machine& machine) {
        require(pointer != nullptr, hipErrorInvalidValue, "a null pointer");
        *pointer = machine.allocate(size);
    });
}
EMULATOR_EXPORT hipError_t hipFree(void* pointer)
{
    return call([&](Machine& machine) {
        require(pointer == nullptr || machine.release(pointer), hipErrorInvalidValue,
                "hipFree of what hipMalloc did not give");
    });
}
EMULATOR_EXPORT hipError_t hipMemcpy(void* to, const void* from, size_t size, hipMemcpyKind kind)
{
    return call([&](Machine& machine) { copy(machine, to, from, size, kind); });
}
EMULATOR_EXPORT hipError_t hipMemcpyAsync(void* to, const void* from, size_t size, hipMemcpyKind kind, hipStream_t)
{
    return hipMemcpy(to, from, size, kind);
}
EMULATOR_EXPORT hipError_t hipMemcpyHtoD(hipDeviceptr_t to, const void* from, size_t size)
{
    return hipMemcpy(to, from, size, hipMemcpyHostToDevice);
}
EMULATOR_EXPORT hipError_t hipMemcpyDtoH(void* to, hipDeviceptr_t from, size_t size)
{
    return hipMemcpy(to, from, size, hipMemcpyDeviceToHost);
}
EMULATOR_EXPORT hipError_t hipMemset(void* to, int value, size_t size)
{
    return call([&](Machine& machine) { set(machine, to, value, size); });
}
EMULATOR_EXPORT hipError_t hipMemsetAsync(void* to, int value, size_t size, hipStream_t)
{
    return hipMemset(to, value, size);
}

// --- modules and launches ---

EMULATOR_EXPORT hipError_t hipModuleLoadData(hipModule_t* module, const void* image)
{
    return call([&](Machine& machine) {
        require(module != nullptr && image != nullptr, hipErrorInvalidValue, "a null pointer");
        *module = reinterpret_cast<hipModule_t>(machine.load(image, current_device));
    });
}
EMULATOR_EXPORT hipError_t hipModuleLoad(hipModule_t* module, const char* path)
{
    std::ifstream file(path == nullptr ? "" : path, std::ios::binary);
    const std::vector<char> image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (image.size() < 64) {
        return call([&](Machine&) {
            throw ApiError{hipErrorFileNotFound, std::string("no code object in ") + (path == nullptr ? "NULL" : path)};
        });
    }
    return hipModuleLoadData(module, image.data());
}
EMULATOR_EXPORT hipError_t hipModuleUnload(hipModule_t module)
{
    return call([&](Machine& machine) {
        require(machine.unload(reinterpret_cast<Module*>(module)), hipErrorInvalidHandle, "no such module");
    });
}
EMULATOR_EXPORT hipError_t hipModuleGetFunction(hipFunction_t* function, hipModule_t module, const char* name)
{
    return call([&](Machine& machine) {
        require(function != nullptr && name != nullptr, hipErrorInvalidValue, "a null pointer");
        *function = reinterpret_cast<hipFunction_t>(machine.find(reinterpret_cast<Module*>(module), name));
    });
}
EMULATOR_EXPORT hipError_t hipFuncGetAttribute(int* value, hipFunction_attribute name, hipFunction_t handle)
{
    return call([&](Machine& machine) {
        const auto* function = reinterpret_cast<const Function*>(handle);
        require(value != nullptr && machine.is_function(function), hipErrorInvalidHandle, "no such function");
        switch (name) {
        case HIP_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
            *value = static_cast<int>(function->kernel->max_work_group_size);
            break;
        case HIP_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
            *value = static_cast<int>(function->kernel->descriptor.lds_size);
            break;
        case HIP_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
            *value = static_cast<int>(function->kernel->descriptor.scratch_size);
            break;
        case HIP_FUNC_ATTRIBUTE_NUM_REGS:
            *value = static_cast<int>(function->kernel->vgpr_count);
            break;
        default:
            throw ApiError{hipErrorInvalidValue, format("function attribute %d is not modelled", name)};
        }
    });
}
EMULATOR_EXPORT hipError_t hipModuleLaunchKernel(hipFunction_t handle, unsigned grid_x, unsigned grid_y,
                                                 unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                                                 unsigned dynamic_lds, hipStream_t, void** parameters, void** extra)
{
    return call([&](Machine& machine) {
        const auto* function = reinterpret_cast<const Function*>(handle);
        require(machine.is_function(function), hipErrorInvalidHandle, "no such function");
        if (const int device = function->module->device; device != current_device) {
            throw ApiError{hipErrorInvalidHandle,
                           format("the kernel was loaded on device %d; this thread's is %d", device, current_device)};
        }
        const uint32_t grid[3] = {grid_x, grid_y, grid_z};
        const uint32_t block[3] = {block_x, block_y, block_z};
        machine.launch(*function, grid, block, dynamic_lds, gather_arguments(*function->kernel, parameters, extra));
    });
}
