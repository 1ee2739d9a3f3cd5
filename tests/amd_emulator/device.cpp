#include "device.hpp"

#include "counters.hpp"
#include "fault.hpp"
#include "wave.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace amd_emulator {
namespace {

constexpr size_t kGuard = 1 << 16; ///< between allocations, so that small excesses hit none
constexpr size_t kAlignment = 256;
constexpr uint32_t kMaxLds = 64 * 1024;
constexpr uint32_t kMaxWorkGroup = 1024;

std::string environment(const char* name, const char* otherwise)
{
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : value;
}

/// Registers of a kernel's instructions must lie in what its descriptor allocates.
void check_registers(const CodeObject& code, const Kernel& kernel)
{
    const uint32_t vectors = kernel.descriptor.first_accumulator();
    const uint32_t all = kernel.descriptor.num_vector_registers();
    const Program& program = code.program();
    for (int32_t i = program.index_of(kernel.descriptor.entry);
         i < program.size() && program[i].address < kernel.descriptor.entry + kernel.code_size; ++i) {
        for (int k = 0; k < program[i].num_operands; ++k) {
            const Operand& operand = program[i].operand(k);
            if (!operand.is_vector()) {
                continue;
            }
            const bool is_accumulator = operand.index >= kFirstAccumulator;
            const uint32_t end =
                static_cast<uint32_t>(operand.index - (is_accumulator ? kFirstAccumulator : 0)) + operand.num_registers;
            if (end > (is_accumulator ? all - std::min(all, vectors) : std::min(all, vectors))) {
                throw Fault(FaultKind::register_range,
                            format("register out of range: kernel %s uses %s%u in '%s', but its descriptor allocates "
                                   "%u vector registers with accumulators from %u",
                                   kernel.name.c_str(), is_accumulator ? "a" : "v", end - 1, program[i].text.c_str(),
                                   all, vectors));
            }
        }
    }
}

hipError_t error_of(FaultKind kind)
{
    switch (kind) {
    case FaultKind::out_of_bounds:
        return hipErrorIllegalAddress;
    case FaultKind::instruction_limit:
        return hipErrorLaunchTimeOut;
    default:
        return hipErrorLaunchFailure;
    }
}

} // namespace

Machine& Machine::get()
{
    static auto* const machine = new Machine; // lives as long as the process: exit handlers may still free memory
    return *machine;
}

Machine::Machine()
{
    std::istringstream names(environment("CK_FMHA_EMULATOR_ARCHS", "gfx942,gfx90a"));
    for (std::string name; std::getline(names, name, ',');) {
        architectures_.push_back(name);
    }
    if (const int units = std::atoi(environment("CK_FMHA_EMULATOR_COMPUTE_UNITS", "0").c_str()); units > 0) {
        compute_units_ = units;
    }
    const std::string problem = parse_run_options(environment("CK_FMHA_EMULATOR_OPTIONS", ""), options_);
    if (!problem.empty()) {
        std::fprintf(stderr, "CK_FMHA_EMULATOR_OPTIONS: %s\n", problem.c_str());
        std::exit(1);
    }
    initial_options_ = options_;
}

void* Machine::allocate(size_t size)
{
    if (size == 0) {
        return nullptr;
    }
    std::unique_ptr<uint8_t[]> storage(new (std::nothrow) uint8_t[size + kAlignment + 2 * kGuard]);
    if (!storage) {
        throw ApiError{hipErrorOutOfMemory, format("no %zu bytes of memory", size)};
    }
    const uint64_t address =
        (reinterpret_cast<uint64_t>(storage.get()) + kGuard + kAlignment - 1) / kAlignment * kAlignment;
    auto* const pointer = reinterpret_cast<uint8_t*>(address); // NOLINT: an address within the storage
    for (size_t i = 0; i < size; ++i) {
        pointer[i] = static_cast<uint8_t>(kPoison >> (8 * (i % 4)));
    }
    device_memory_.add(address, size);
    allocations_[address] = {std::move(storage), size};
    return pointer;
}

bool Machine::release(void* pointer)
{
    const auto address = reinterpret_cast<uint64_t>(pointer);
    device_memory_.remove(address);
    return allocations_.erase(address) != 0;
}

bool Machine::is_device_range(const void* pointer, size_t size) const
{
    return device_memory_.contains(reinterpret_cast<uint64_t>(pointer), size);
}

Module* Machine::load(const void* image, int device)
{
    try {
        auto module = std::make_unique<Module>(image, device);
        if (module->code.processor() != architectures_[static_cast<size_t>(device)]) {
            throw ApiError{hipErrorNoBinaryForGpu, "the code object is for " + module->code.processor() + ", device " +
                                                       std::to_string(device) + " is a " +
                                                       architectures_[static_cast<size_t>(device)]};
        }
        modules_.push_back(std::move(module));
    } catch (const std::runtime_error& error) {
        throw ApiError{hipErrorInvalidImage, std::string("the code object cannot be loaded: ") + error.what()};
    }
    return modules_.back().get();
}

bool Machine::unload(Module* module)
{
    const auto found = std::find_if(modules_.begin(), modules_.end(), [&](const auto& m) { return m.get() == module; });
    if (found == modules_.end()) {
        return false;
    }
    for (auto entry = functions_.begin(); entry != functions_.end();) {
        entry = entry->first.first == module ? functions_.erase(entry) : std::next(entry);
    }
    modules_.erase(found);
    return true;
}

Function* Machine::find(Module* module, const char* name)
{
    if (std::none_of(modules_.begin(), modules_.end(), [&](const auto& m) { return m.get() == module; })) {
        throw ApiError{hipErrorInvalidHandle, "no such module"};
    }
    const Kernel* kernel = module->code.find(name);
    if (kernel == nullptr) {
        throw ApiError{hipErrorNotFound, std::string("the module has no kernel ") + name};
    }
    auto& function = functions_[{module, name}];
    if (!function) {
        function = std::make_unique<Function>(Function{module, kernel});
    }
    return function.get();
}

bool Machine::is_function(const Function* function) const
{
    return std::any_of(functions_.begin(), functions_.end(),
                       [&](const auto& entry) { return entry.second.get() == function; });
}

void Machine::launch(const Function& function, const uint32_t grid[3], const uint32_t block[3], uint32_t dynamic_lds,
                     std::vector<uint8_t> kernarg)
{
    const Kernel& kernel = *function.kernel;
    const auto extents = std::move(next_extents_); // for this launch only, also if it fails
    Launch launch;
    for (int i = 0; i < 3; ++i) {
        if (grid[i] == 0 || block[i] == 0) {
            throw ApiError{hipErrorInvalidValue, "a grid or work-group of size 0"};
        }
        launch.grid[i] = grid[i];
        launch.block[i] = block[i];
    }
    const uint64_t items = uint64_t{block[0]} * block[1] * block[2];
    if (items > kMaxWorkGroup || items > kernel.max_work_group_size) {
        throw ApiError{hipErrorInvalidValue,
                       format("kernel %s is built for work-groups of at most %u, launched with %llu",
                              kernel.name.c_str(), kernel.max_work_group_size, static_cast<unsigned long long>(items))};
    }
    if (kernel.descriptor.lds_size + uint64_t{dynamic_lds} > kMaxLds) {
        throw ApiError{hipErrorLaunchOutOfResources,
                       format("kernel %s needs %llu bytes of LDS; a work-group has %u", kernel.name.c_str(),
                              static_cast<unsigned long long>(kernel.descriptor.lds_size + uint64_t{dynamic_lds}),
                              kMaxLds)};
    }
    launch.code = &function.module->code;
    launch.program = &function.module->code.program();
    launch.kernel = &kernel;
    launch.architecture = launch.code->processor() == "gfx90a" ? Architecture::gfx90a : Architecture::gfx942;
    launch.dynamic_lds = dynamic_lds;
    launch.kernarg = std::move(kernarg);
    launch.options = options_;
    launch.counts = &function.module->counts;
    fill_hidden_arguments(launch);
    for (const RangeSet* set : {&device_memory_, &host_memory}) {
        for (const auto& range : set->ranges()) {
            launch.memory.add_range(range.first, range.second);
        }
    }
    if (extents) {
        launch.memory.set_extents(std::move(*extents));
    }
    try {
        check_registers(*launch.code, kernel);
        run(launch);
    } catch (const Fault& fault) {
        throw ApiError{error_of(fault.kind()), fault.what()};
    }
    ++function.module->launches[kernel.name];
}

void Machine::configure(const std::string& options)
{
    RunOptions changed = options.empty() ? initial_options_ : options_;
    const std::string problem = parse_run_options(options, changed);
    if (!problem.empty()) {
        throw ApiError{hipErrorInvalidValue, problem};
    }
    options_ = changed;
}

void Machine::set_next_extents(std::vector<Extent> extents)
{
    next_extents_ = std::make_unique<std::vector<Extent>>(std::move(extents));
}

std::string Machine::counters() const
{
    CounterReport report;
    for (const auto& module : modules_) {
        for (const auto& entry : module->launches) {
            report.add(module->code, *module->code.find(entry.first), module->counts, entry.second);
        }
    }
    return report.text();
}

void Machine::reset_counters()
{
    for (const auto& module : modules_) {
        std::fill(module->counts.begin(), module->counts.end(), uint64_t{0});
        module->launches.clear();
    }
}

} // namespace amd_emulator
