// The entry points beyond HIP.
#include "emulator_api.h"

#include "api_call.hpp"

using namespace amd_emulator;

EMULATOR_EXPORT int ck_fmha_emulator_next_launch(const ck_fmha_emulator_extent* extents, size_t count)
{
    return call([&](Machine& machine) {
        require(extents != nullptr || count == 0, hipErrorInvalidValue, "a null pointer");
        std::vector<Extent> result(count);
        for (size_t i = 0; i < count; ++i) {
            const ck_fmha_emulator_extent& extent = extents[i];
            require(extent.rank <= CK_FMHA_EMULATOR_MAX_RANK, hipErrorInvalidValue,
                    "an extent of more than 6 dimensions");
            const std::string problem = make_extent(reinterpret_cast<uint64_t>(extent.base), extent.element_size,
                                                    {extent.sizes, extent.sizes + extent.rank},
                                                    {extent.strides, extent.strides + extent.rank}, result[i]);
            if (!problem.empty()) {
                throw ApiError{hipErrorInvalidValue, problem};
            }
            result[i].readable = (extent.access & CK_FMHA_EMULATOR_READ) != 0;
            result[i].writable = (extent.access & CK_FMHA_EMULATOR_WRITE) != 0;
            result[i].name = extent.name == nullptr ? std::to_string(i) : extent.name;
        }
        machine.set_next_extents(std::move(result));
    });
}
EMULATOR_EXPORT int ck_fmha_emulator_accesses_host_memory() { return 1; }
EMULATOR_EXPORT int ck_fmha_emulator_declare_host_memory(const void* base, size_t size)
{
    return call([&](Machine& machine) { machine.host_memory.add(reinterpret_cast<uint64_t>(base), size); });
}
EMULATOR_EXPORT int ck_fmha_emulator_forget_host_memory(const void* base)
{
    return call([&](Machine& machine) {
        require(machine.host_memory.remove(reinterpret_cast<uint64_t>(base)), hipErrorInvalidValue,
                "that memory was not declared");
    });
}
EMULATOR_EXPORT const char* ck_fmha_emulator_architecture(int device)
{
    const auto& architectures = Machine::get().architectures();
    return device < 0 || static_cast<size_t>(device) >= architectures.size()
               ? nullptr
               : architectures[static_cast<size_t>(device)].c_str();
}
EMULATOR_EXPORT int ck_fmha_emulator_configure(const char* options)
{
    return call([&](Machine& machine) { machine.configure(options == nullptr ? "" : options); });
}
EMULATOR_EXPORT const char* ck_fmha_emulator_counters()
{
    thread_local std::string text;
    call([&](Machine& machine) { text = machine.counters(); });
    return text.c_str();
}
EMULATOR_EXPORT int ck_fmha_emulator_reset_counters()
{
    return call([](Machine& machine) { machine.reset_counters(); });
}
EMULATOR_EXPORT const char* ck_fmha_emulator_last_failure()
{
    thread_local std::string text;
    const std::lock_guard<std::mutex> lock(Machine::get().mutex);
    text = last_failure();
    return text.c_str();
}
EMULATOR_EXPORT void ck_fmha_emulator_clear_failure()
{
    const std::lock_guard<std::mutex> lock(Machine::get().mutex);
    last_failure().clear();
    last_error() = hipSuccess;
}
