// The state of a wave and of its work-group while they execute.
#pragma once

#include "fault.hpp"
#include "instruction.hpp"
#include "memory_operation.hpp"

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

namespace amd_emulator {

class MemoryMap;
class Program;
struct KernelDescriptor;
struct RunOptions;

/// What registers and LDS hold before anything is written: a quiet NaN as float, as two halves and as two bfloat16, and
/// an improbable address.
constexpr uint32_t kPoison = 0xffe5ffe5u;

/// The bits of the mode register that the emulator acts on; from the kernel descriptor, changed by s_setreg.
struct FloatMode {
    uint32_t bits = 0;
    bool flush_input_f32() const { return (bits & 0x10) == 0; }
    bool flush_output_f32() const { return (bits & 0x20) == 0; }
    bool flush_input_f16_f64() const { return (bits & 0x40) == 0; }
    bool flush_output_f16_f64() const { return (bits & 0x80) == 0; }
    bool flushes_anything() const { return (bits & 0xf0) != 0xf0; }
};

struct Launch; // launch.hpp

struct WorkGroup {
    std::vector<uint8_t> lds;
    std::vector<uint8_t> lds_undefined;          ///< one byte for each byte of LDS: all ones if it was never written
    std::vector<const MemoryOperation*> lds_dma; ///< operations in flight that will write LDS
    uint32_t id[3] = {0, 0, 0};
    std::string undefined_read; ///< where undefined LDS was first read, for messages
};

class Wave {
public:
    Wave();

    /// Poisons everything and sets up what the hardware sets up at the start of a wave.
    void start(Launch& launch, WorkGroup& group, uint32_t wave_in_group);

    // --- scalar state ---
    uint32_t sgpr[kNumScalarRegisters];
    uint32_t sgpr_undefined[kNumScalarRegisters]; ///< bits that rest on something never written
    bool scc = false;
    bool scc_undefined = false;
    FloatMode mode;
    int32_t next = 0; ///< index of the next instruction
    bool ended = false;
    bool at_barrier = false;

    uint64_t sgpr64(int index) const { return sgpr[index] | uint64_t{sgpr[index + 1]} << 32; }
    uint64_t sgpr64_undefined(int index) const
    {
        return sgpr_undefined[index] | uint64_t{sgpr_undefined[index + 1]} << 32;
    }
    void set_sgpr64(int index, uint64_t value, uint64_t undefined = 0)
    {
        sgpr[index] = static_cast<uint32_t>(value);
        sgpr[index + 1] = static_cast<uint32_t>(value >> 32);
        sgpr_undefined[index] = static_cast<uint32_t>(undefined);
        sgpr_undefined[index + 1] = static_cast<uint32_t>(undefined >> 32);
        if (index == kExec && undefined != 0) {
            throw_undefined("EXEC");
        }
    }
    uint64_t exec() const { return sgpr64(kExec); }
    /// A scalar operand; sets `undefined` to its undefined bits.
    uint64_t read_scalar(const Operand& operand, bool is_64_bit, uint64_t& undefined) const;
    /// A scalar operand that must not be undefined, because it is (part of) an address or decides something.
    uint32_t read_defined_scalar(const Operand& operand, const char* role) const;

    // --- vector state ---
    Lanes& vgpr(int index) { return vgprs_[index]; }
    /// Lanes of the register that have undefined bits, and which bits (valid only in those lanes).
    uint64_t& vgpr_undefined_lanes(int index) { return vgpr_undefined_lanes_[index]; }
    Lanes& vgpr_undefined(int index) { return vgpr_undefined_[index]; }
    uint32_t undefined_bits(int index, int lane) const
    {
        return (vgpr_undefined_lanes_[index] >> lane & 1) != 0 ? vgpr_undefined_[index][lane] : 0;
    }
    /// Writes a register in these lanes with values that are all defined.
    void write_vgpr(int index, const Lanes& values, uint64_t lanes)
    {
        if (lanes == ~uint64_t{0}) {
            std::memcpy(vgprs_[index], values, sizeof(Lanes));
        } else {
            for (int lane = 0; lane < kLanes; ++lane) {
                vgprs_[index][lane] = (lanes >> lane & 1) != 0 ? values[lane] : vgprs_[index][lane];
            }
        }
        vgpr_undefined_lanes_[index] &= ~lanes;
    }
    /// One lane, with the bits of it that are undefined.
    void write_lane(int index, int lane, uint32_t value, uint32_t undefined)
    {
        vgprs_[index][lane] = value;
        const uint64_t bit = uint64_t{1} << lane;
        if (undefined != 0) {
            vgpr_undefined_lanes_[index] |= bit;
            vgpr_undefined_[index][lane] = undefined;
        } else {
            vgpr_undefined_lanes_[index] &= ~bit;
        }
    }
    /// An address register must be defined in all lanes that use it.
    void require_defined(int index, uint64_t lanes, const char* role) const
    {
        if ((vgpr_undefined_lanes_[index] & lanes) != 0) {
            throw_undefined_register(index, lanes, role);
        }
    }

    // --- memory operations in flight ---
    MemoryQueue memory;

    Launch& launch() { return *launch_; }
    WorkGroup& group() { return *group_; }
    uint32_t number() const { return number_; }
    uint8_t* scratch(int lane) { return scratch_.data() + static_cast<size_t>(lane) * scratch_size_; }
    uint32_t scratch_size() const { return scratch_size_; }

    [[noreturn]] void throw_undefined(const char* what) const;
    [[noreturn]] void throw_undefined_register(int index, uint64_t lanes, const char* role) const;

private:
    struct Registers;
    std::unique_ptr<uint32_t[]> storage_;
    Lanes* vgprs_ = nullptr;
    Lanes* vgpr_undefined_ = nullptr;
    uint64_t vgpr_undefined_lanes_[kNumVectorRegisters];
    std::vector<uint8_t> scratch_;
    uint32_t scratch_size_ = 0;
    Launch* launch_ = nullptr;
    WorkGroup* group_ = nullptr;
    uint32_t number_ = 0;
};

} // namespace amd_emulator
