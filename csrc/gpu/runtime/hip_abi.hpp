#pragma once

// The part of HIP's binary interface that the launch path uses, as the published headers of ROCm 6 define it.

#include <cstddef>

namespace ck_fmha::gpu::hip {

using Error = int;
constexpr Error kSuccess = 0, kNotReady = 600;

enum MemcpyKind { kHostToDevice = 1, kDeviceToHost = 2 };
enum CaptureStatus { kNotCapturing = 0 };
enum CaptureMode { kRelaxed = 2 };
constexpr unsigned kNonBlockingStream = 1, kEventWithoutTime = 2;

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

} // namespace ck_fmha::gpu::hip
