#include "launch.hpp"

#include "wave.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>

namespace amd_emulator {
namespace {

/// A resident work-group and its waves.
struct Resident {
    WorkGroup group;
    std::vector<std::unique_ptr<Wave>> waves;
    std::vector<uint32_t> order;
    bool ended() const
    {
        return std::all_of(waves.begin(), waves.end(), [](const auto& wave) { return wave->ended; });
    }
};

std::vector<uint64_t> make_order(Order order, uint64_t count, std::minstd_rand& random)
{
    std::vector<uint64_t> result(count);
    std::iota(result.begin(), result.end(), uint64_t{0});
    if (order == Order::reverse) {
        std::reverse(result.begin(), result.end());
    }
    if (order == Order::random) {
        std::shuffle(result.begin(), result.end(), random);
    }
    return result;
}

void start(Launch& launch, Resident& resident, uint64_t number)
{
    WorkGroup& group = resident.group;
    const size_t lds_size = launch.kernel->descriptor.lds_size + launch.dynamic_lds;
    group.lds.resize(lds_size);
    for (size_t i = 0; i < lds_size; ++i) {
        group.lds[i] = static_cast<uint8_t>(kPoison >> (8 * (i % 4)));
    }
    group.lds_undefined.assign(lds_size, 0xff);
    group.lds_dma.clear();
    group.undefined_read.clear();
    group.id[0] = static_cast<uint32_t>(number % launch.grid[0]);
    group.id[1] = static_cast<uint32_t>(number / launch.grid[0] % launch.grid[1]);
    group.id[2] = static_cast<uint32_t>(number / launch.grid[0] / launch.grid[1]);
    const uint32_t items = launch.block[0] * launch.block[1] * launch.block[2];
    resident.waves.resize((items + kLanes - 1) / kLanes);
    for (uint32_t i = 0; i < resident.waves.size(); ++i) {
        if (!resident.waves[i]) {
            resident.waves[i] = std::make_unique<Wave>();
        }
        resident.waves[i]->start(launch, group, i);
    }
}

[[noreturn]] void rethrow_with_place(const Launch& launch, const Wave& wave, const WorkGroup& group,
                                     const Instruction& instruction, const Fault& fault)
{
    throw Fault(fault.kind(),
                format("%s: %s\n  in kernel %s, work-group (%u, %u, %u), wave %u, at +0x%llx: %s",
                       fault_name(fault.kind()), fault.what(), launch.kernel->name.c_str(), group.id[0], group.id[1],
                       group.id[2], wave.number(), static_cast<unsigned long long>(launch.offset_of(instruction)),
                       instruction.text.c_str()));
}

/// Executes until the wave ends, reaches a barrier or has used up its turn.
void run_wave(Launch& launch, Wave& wave, uint64_t turn)
{
    const Program& program = *launch.program;
    uint64_t* const counts = launch.counts->data();
    while (!wave.ended && !wave.at_barrier && turn-- != 0) {
        const int32_t index = wave.next;
        if (index < 0 || index >= program.size()) {
            throw Fault(FaultKind::unknown_instruction, "the end of the code");
        }
        const Instruction& instruction = program[index];
        try {
            if (!wave.memory.empty()) {
                wave.memory.check_registers(instruction);
            }
            wave.next = index + 1;
            ++counts[index];
            if (++launch.num_executed > launch.options.max_instructions) {
                throw Fault(FaultKind::instruction_limit, "more instructions than max_instructions allows");
            }
            instruction.execute(wave, instruction);
        } catch (const Fault& fault) {
            rethrow_with_place(launch, wave, wave.group(), instruction, fault);
        }
    }
}

void release_barrier(Resident& resident)
{
    for (const auto& wave : resident.waves) {
        if (!wave->ended && !wave->at_barrier) {
            return;
        }
    }
    for (const auto& wave : resident.waves) {
        wave->at_barrier = false;
    }
}

/// One turn of each wave that can run. In random order turns have random lengths too, so that waves drift apart: in
/// step they can hide what is missing between them.
void run_round(Launch& launch, Resident& resident)
{
    const RunOptions& options = launch.options;
    for (const uint64_t i : make_order(options.waves, resident.waves.size(), launch.random)) {
        uint64_t turn = options.interleave == 0 ? ~uint64_t{0} : options.interleave;
        if (options.interleave != 0 && options.waves == Order::random) {
            turn = launch.random() % (2 * turn + 1);
        }
        run_wave(launch, *resident.waves[i], turn);
    }
    release_barrier(resident);
}

/// The packet by which a kernel asks for the size of its work-groups and grid (struct hsa_kernel_dispatch_packet_s).
std::vector<uint8_t> make_dispatch_packet(const Launch& launch)
{
    std::vector<uint8_t> packet(64);
    const auto put = [&](size_t offset, const auto& value) {
        std::memcpy(packet.data() + offset, &value, sizeof value);
    };
    for (size_t i = 0; i < 3; ++i) {
        put(4 + 2 * i, static_cast<uint16_t>(launch.block[i]));
        put(12 + 4 * i, launch.grid[i] * launch.block[i]);
    }
    put(24, launch.kernel->descriptor.scratch_size);
    put(28, launch.kernel->descriptor.lds_size + launch.dynamic_lds);
    return packet;
}

} // namespace

void fill_hidden_arguments(Launch& launch)
{
    const auto value_of = [&](const std::string& kind) -> uint64_t {
        static const char* const axes[] = {"x", "y", "z"};
        for (size_t i = 0; i < 3; ++i) {
            if (kind == std::string("hidden_block_count_") + axes[i]) {
                return launch.grid[i];
            }
            if (kind == std::string("hidden_group_size_") + axes[i]) {
                return launch.block[i];
            }
        }
        if (kind == "hidden_grid_dims") {
            return launch.grid[2] > 1 ? 3 : launch.grid[1] > 1 ? 2 : 1;
        }
        if (kind == "hidden_dynamic_lds_size") {
            return launch.dynamic_lds;
        }
        if (kind == "hidden_private_base") {
            return 0;
        }
        return 0; // remainders and offsets: the grid is made of whole work-groups and starts at 0
    };
    for (const KernelArgument& argument : launch.kernel->arguments) {
        if (!argument.is_hidden() || argument.size > 8 || argument.offset + argument.size > launch.kernarg.size()) {
            continue;
        }
        const uint64_t value = value_of(argument.kind);
        std::memcpy(launch.kernarg.data() + argument.offset, &value, argument.size);
    }
}

void run(Launch& launch)
{
    launch.random.seed(static_cast<std::minstd_rand::result_type>(launch.options.seed * 2 + 1));
    launch.dispatch_packet = make_dispatch_packet(launch);
    launch.memory.add_constant(reinterpret_cast<uint64_t>(launch.dispatch_packet.data()),
                               launch.dispatch_packet.size());
    // Kernel arguments are aligned as the runtime aligns them.
    std::vector<uint8_t> arguments(launch.kernarg.size() + 64);
    const auto address = reinterpret_cast<uint64_t>(arguments.data());
    launch.kernarg_address = (address + 63) / 64 * 64;
    std::memcpy(arguments.data() + (launch.kernarg_address - address), launch.kernarg.data(), launch.kernarg.size());
    launch.memory.add_constant(launch.kernarg_address, launch.kernarg.size());
    launch.memory.add_constant(launch.code->image_begin(), launch.code->image_size());

    const uint64_t total = uint64_t{launch.grid[0]} * launch.grid[1] * launch.grid[2];
    const auto order = make_order(launch.options.work_groups, total, launch.random);
    std::vector<std::unique_ptr<Resident>> residents;
    std::vector<std::unique_ptr<Resident>> idle;
    uint64_t started = 0;
    while (started < total || !residents.empty()) {
        while (started < total && residents.size() < launch.options.resident) {
            if (idle.empty()) {
                idle.push_back(std::make_unique<Resident>());
            }
            residents.push_back(std::move(idle.back()));
            idle.pop_back();
            start(launch, *residents.back(), order[started++]);
        }
        for (auto& resident : residents) {
            run_round(launch, *resident);
        }
        for (size_t i = residents.size(); i-- > 0;) {
            if (!residents[i]->ended()) {
                continue;
            }
            idle.push_back(std::move(residents[i]));
            residents.erase(residents.begin() + static_cast<std::ptrdiff_t>(i));
        }
    }
}

} // namespace amd_emulator
