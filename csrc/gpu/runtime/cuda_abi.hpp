#pragma once

// The part of the binary interface of CUDA's driver that the launch path uses, as cuda.h of CUDA 12 defines it.

#include <cstdint>

namespace ck_fmha::gpu::cuda {

using Error = int;
constexpr Error kSuccess = 0, kNotReady = 600;

using DeviceHandle = int;
using Context = void*;
using Address = uint64_t; // CUdeviceptr

enum DeviceAttribute {
    kWarpSize = 10,
    kMultiprocessorCount = 16,
    kComputeCapabilityMajor = 75,
    kComputeCapabilityMinor = 76,
};
enum FunctionAttribute { kMaxDynamicSharedSize = 8 };
enum JitOption { kErrorLogBuffer = 5, kErrorLogBufferSize = 6 };
enum CaptureStatus { kNotCapturing = 0 };
enum CaptureMode { kRelaxed = 2 };
constexpr unsigned kNonBlockingStream = 1, kEventWithoutTime = 2;

// What a function may use of dynamic shared memory without being told, in bytes.
constexpr unsigned kSharedUnasked = 48 * 1024;

} // namespace ck_fmha::gpu::cuda
