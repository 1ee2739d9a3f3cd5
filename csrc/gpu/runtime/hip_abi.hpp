#pragma once

// The part of HIP's binary interface that the launch path uses, as the published headers of ROCm 6 define it, and what
// a driver may offer beyond it.

#include <cstddef>
#include <cstdint>

namespace ck_fmha::hip {

using Error = int;
constexpr Error kSuccess = 0;
using Stream = void*;
using Module = void*;
using Function = void*;

enum MemcpyKind { kHostToDevice = 1 };
enum CaptureStatus { kNotCapturing = 0 };

// hipDeviceProp_tR0600: the layout belongs to the name of the function that fills it.
struct DeviceProperties {
    char name[256];
    char before_processors[132];
    int num_processors; // multiProcessorCount: compute units
    char before_architecture[768];
    char architecture[256]; // gcnArchName: "gfx942:sramecc+:xnack-"
    char rest[4096];        // whatever newer drivers append
};
static_assert(offsetof(DeviceProperties, num_processors) == 388, "layout of hipDeviceProp_tR0600");
static_assert(offsetof(DeviceProperties, architecture) == 1160, "layout of hipDeviceProp_tR0600");

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

} // namespace ck_fmha::hip
