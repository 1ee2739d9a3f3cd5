// Streams and events. Every call is complete when it returns, so there is nothing to order.
#include "api_call.hpp"

#include <chrono>

using namespace amd_emulator;

namespace {

struct Event {
    std::chrono::steady_clock::time_point time;
};

} // namespace

EMULATOR_EXPORT hipError_t hipStreamCreate(hipStream_t* stream)
{
    return call([&](Machine&) {
        require(stream != nullptr, hipErrorInvalidValue, "a null pointer");
        *stream = reinterpret_cast<hipStream_t>(new char);
    });
}
EMULATOR_EXPORT hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned) { return hipStreamCreate(stream); }
EMULATOR_EXPORT hipError_t hipStreamDestroy(hipStream_t stream)
{
    delete reinterpret_cast<char*>(stream);
    return hipSuccess;
}
EMULATOR_EXPORT hipError_t hipStreamSynchronize(hipStream_t)
{
    return call([](Machine&) {});
}
EMULATOR_EXPORT hipError_t hipStreamQuery(hipStream_t) { return hipSuccess; }
EMULATOR_EXPORT hipError_t hipStreamWaitEvent(hipStream_t, hipEvent_t, unsigned) { return hipSuccess; }
EMULATOR_EXPORT hipError_t hipEventCreate(hipEvent_t* event)
{
    return call([&](Machine&) {
        require(event != nullptr, hipErrorInvalidValue, "a null pointer");
        *event = reinterpret_cast<hipEvent_t>(new Event);
    });
}
EMULATOR_EXPORT hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned) { return hipEventCreate(event); }
EMULATOR_EXPORT hipError_t hipEventDestroy(hipEvent_t event)
{
    delete reinterpret_cast<Event*>(event);
    return hipSuccess;
}
EMULATOR_EXPORT hipError_t hipEventRecord(hipEvent_t event, hipStream_t)
{
    return call([&](Machine&) {
        require(event != nullptr, hipErrorInvalidHandle, "no such event");
        reinterpret_cast<Event*>(event)->time = std::chrono::steady_clock::now();
    });
}
EMULATOR_EXPORT hipError_t hipEventSynchronize(hipEvent_t) { return hipSuccess; }
EMULATOR_EXPORT hipError_t hipEventQuery(hipEvent_t)
{
    return call([](Machine&) {});
}
EMULATOR_EXPORT hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop)
{
    return call([&](Machine&) {
        require(milliseconds != nullptr && start != nullptr && stop != nullptr, hipErrorInvalidHandle, "no such event");
        const std::chrono::duration<float, std::milli> elapsed =
            reinterpret_cast<Event*>(stop)->time - reinterpret_cast<Event*>(start)->time;
        *milliseconds = elapsed.count();
    });
}
