#include "wave.hpp"

#include "lane_memory.hpp"
#include "launch.hpp"

#include <algorithm>

namespace amd_emulator {
namespace {

constexpr size_t kAlignment = 64 / sizeof(uint32_t);
constexpr size_t kRegisterFile = size_t{kNumVectorRegisters} * kLanes;
constexpr uint32_t kFloatModeMask = 0xff;

/// Hands out scalar registers one after the other, as the hardware fills them.
class ScalarWriter {
public:
    explicit ScalarWriter(Wave& wave) : wave_(wave) {}
    void put(uint32_t value)
    {
        wave_.sgpr[next_] = value;
        wave_.sgpr_undefined[next_++] = 0;
    }
    void put64(uint64_t value)
    {
        put(static_cast<uint32_t>(value));
        put(static_cast<uint32_t>(value >> 32));
    }
    void skip_to(uint32_t index) { next_ = index; }

private:
    Wave& wave_;
    uint32_t next_ = 0;
};

void set_up_scalars(Wave& wave, const Launch& launch, const WorkGroup& group)
{
    const KernelDescriptor& descriptor = launch.kernel->descriptor;
    ScalarWriter writer(wave);
    if (descriptor.has_private_segment_buffer()) { // a swizzled buffer: see buffer_memory.cpp
        writer.put64(kPrivateAperture >> 8 | uint64_t{1} << 63);
        writer.put(~uint32_t{0});
        writer.put(0);
    }
    if (descriptor.has_dispatch_pointer()) {
        writer.put64(reinterpret_cast<uint64_t>(launch.dispatch_packet.data()));
    }
    if (descriptor.has_queue_pointer()) {
        writer.put64(0);
    }
    if (descriptor.has_kernarg_pointer()) {
        writer.put64(launch.kernarg_address);
    }
    if (descriptor.has_dispatch_id()) {
        writer.put64(0);
    }
    if (descriptor.has_flat_scratch_init()) {
        writer.put64(0);
    }
    if (descriptor.has_private_segment_size()) {
        writer.put(descriptor.scratch_size);
    }
    writer.skip_to(descriptor.num_user_sgprs());
    for (int i = 0; i < 3; ++i) {
        if (descriptor.has_work_group_id(i)) {
            writer.put(group.id[i]);
        }
    }
    if (descriptor.has_work_group_info()) {
        writer.put(0);
    }
    if (descriptor.has_scratch_offset()) {
        writer.put(0);
    }
}

} // namespace

Wave::Wave() : storage_(std::make_unique<uint32_t[]>(2 * kRegisterFile + kAlignment))
{
    const auto address = reinterpret_cast<uintptr_t>(storage_.get());
    uint32_t* aligned = storage_.get() + (64 - address % 64) % 64 / sizeof(uint32_t);
    vgprs_ = reinterpret_cast<Lanes*>(aligned);
    vgpr_undefined_ = reinterpret_cast<Lanes*>(aligned + kRegisterFile);
}

void Wave::start(Launch& launch, WorkGroup& group, uint32_t wave_in_group)
{
    launch_ = &launch;
    group_ = &group;
    number_ = wave_in_group;
    const KernelDescriptor& descriptor = launch.kernel->descriptor;
    const uint32_t accumulators =
        descriptor.num_vector_registers() - std::min(descriptor.num_vector_registers(), descriptor.first_accumulator());
    const auto poison = [&](uint32_t first, uint32_t count) {
        std::fill(vgprs_[first], vgprs_[first] + size_t{count} * kLanes, kPoison);
        std::fill(vgpr_undefined_[first], vgpr_undefined_[first] + size_t{count} * kLanes, ~uint32_t{0});
        std::fill(vgpr_undefined_lanes_ + first, vgpr_undefined_lanes_ + first + count, ~uint64_t{0});
    };
    poison(0, std::min<uint32_t>(descriptor.first_accumulator(), kFirstAccumulator));
    poison(kFirstAccumulator, std::min<uint32_t>(accumulators, kFirstAccumulator));
    std::fill(std::begin(sgpr), std::end(sgpr), kPoison);
    std::fill(std::begin(sgpr_undefined), std::end(sgpr_undefined), ~uint32_t{0});
    scc = false;
    scc_undefined = true;
    mode.bits = descriptor.float_mode() & kFloatModeMask;
    ended = at_barrier = false;
    memory.clear();
    scratch_size_ = descriptor.scratch_size;
    scratch_.resize(size_t{scratch_size_} * kLanes);
    for (size_t i = 0; i < scratch_.size(); ++i) {
        scratch_[i] = static_cast<uint8_t>(kPoison >> (8 * (i % 4)));
    }
    set_up_scalars(*this, launch, group);

    const uint32_t total = launch.block[0] * launch.block[1] * launch.block[2];
    uint64_t exec = 0;
    Lanes ids[3] = {};
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
        const uint32_t item = wave_in_group * kLanes + lane;
        if (item >= total) {
            break;
        }
        exec |= uint64_t{1} << lane;
        ids[0][lane] = item % launch.block[0];
        ids[1][lane] = item / launch.block[0] % launch.block[1];
        ids[2][lane] = item / (launch.block[0] * launch.block[1]);
    }
    set_sgpr64(kExec, exec);
    Lanes packed;
    for (int lane = 0; lane < kLanes; ++lane) {
        packed[lane] = ids[0][lane] | ids[1][lane] << 10 | ids[2][lane] << 20;
    }
    write_vgpr(0, packed, exec);
    next = launch.program->index_of(descriptor.entry);
}

uint64_t Wave::read_scalar(const Operand& operand, bool is_64_bit, uint64_t& undefined) const
{
    undefined = 0;
    switch (operand.kind) {
    case Operand::Kind::scalar:
        if (is_64_bit && operand.num_registers > 1) {
            undefined = sgpr64_undefined(operand.index);
            return sgpr64(operand.index);
        }
        undefined = sgpr_undefined[operand.index];
        return sgpr[operand.index];
    case Operand::Kind::literal:
        return is_64_bit ? operand.bits : operand.bits & 0xffffffffu;
    case Operand::Kind::scc:
        undefined = scc_undefined ? 1 : 0;
        return scc ? 1 : 0;
    case Operand::Kind::vccz:
        return sgpr64(kVcc) == 0 ? 1 : 0;
    case Operand::Kind::execz:
        return exec() == 0 ? 1 : 0;
    // The upper halves of generic addresses, as 64-bit values.
    case Operand::Kind::shared_base:
        return is_64_bit ? kSharedAperture : kSharedAperture >> 32;
    case Operand::Kind::private_base:
        return is_64_bit ? kPrivateAperture : kPrivateAperture >> 32;
    default:
        throw Fault(FaultKind::unknown_instruction, "an operand that is not modelled is read");
    }
}

uint32_t Wave::read_defined_scalar(const Operand& operand, const char* role) const
{
    uint64_t undefined = 0;
    const uint64_t value = read_scalar(operand, false, undefined);
    if (undefined != 0) {
        throw_undefined(role);
    }
    return static_cast<uint32_t>(value);
}

void Wave::throw_undefined(const char* what) const
{
    std::string reason = std::string(what) + " rests on a value that was never written";
    if (!group_->undefined_read.empty()) {
        reason += "; first: " + group_->undefined_read;
    }
    throw Fault(FaultKind::undefined_value, reason);
}

void Wave::throw_undefined_register(int index, uint64_t lanes, const char* role) const
{
    const int lane = __builtin_ctzll(vgpr_undefined_lanes_[index] & lanes);
    const bool is_accumulator = index >= kFirstAccumulator;
    throw_undefined(format("%s (%s%d of lane %d)", role, is_accumulator ? "a" : "v",
                           is_accumulator ? index - kFirstAccumulator : index, lane)
                        .c_str());
}

} // namespace amd_emulator
