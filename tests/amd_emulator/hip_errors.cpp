// Errors: their names, the last one.
#include "api_call.hpp"

namespace amd_emulator {
namespace {

struct ErrorText {
    hipError_t code;
    const char* name;
    const char* text;
};
const ErrorText kErrors[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorNotInitialized, "hipErrorNotInitialized", "initialization error"},
    {hipErrorInvalidDevicePointer, "hipErrorInvalidDevicePointer", "invalid device pointer"},
    {hipErrorInvalidMemcpyDirection, "hipErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidImage, "hipErrorInvalidImage", "device kernel image is invalid"},
    {hipErrorNoBinaryForGpu, "hipErrorNoBinaryForGpu", "no kernel image is available for execution on the device"},
    {hipErrorFileNotFound, "hipErrorFileNotFound", "file not found"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorNotFound, "hipErrorNotFound", "named symbol not found"},
    {hipErrorNotReady, "hipErrorNotReady", "device not ready"},
    {hipErrorIllegalAddress, "hipErrorIllegalAddress", "an illegal memory access was encountered"},
    {hipErrorLaunchOutOfResources, "hipErrorLaunchOutOfResources", "too many resources requested for launch"},
    {hipErrorLaunchTimeOut, "hipErrorLaunchTimeOut", "the launch timed out and was terminated"},
    {hipErrorLaunchFailure, "hipErrorLaunchFailure", "unspecified launch failure"},
    {hipErrorNotSupported, "hipErrorNotSupported", "operation not supported"},
};
const ErrorText& describe(hipError_t code)
{
    for (const ErrorText& error : kErrors) {
        if (error.code == code) {
            return error;
        }
    }
    static const ErrorText unknown = {999, "hipErrorUnknown", "unknown error"};
    return unknown;
}

} // namespace

hipError_t& last_error()
{
    thread_local hipError_t error = hipSuccess;
    return error;
}

std::string& last_failure()
{
    static std::string text;
    return text;
}

} // namespace amd_emulator

using namespace amd_emulator;

EMULATOR_EXPORT const char* hipGetErrorName(hipError_t code) { return describe(code).name; }
EMULATOR_EXPORT const char* hipGetErrorString(hipError_t code) { return describe(code).text; }
EMULATOR_EXPORT hipError_t hipGetLastError()
{
    const hipError_t result = last_error();
    last_error() = hipSuccess;
    return result;
}
EMULATOR_EXPORT hipError_t hipPeekAtLastError() { return last_error(); }
