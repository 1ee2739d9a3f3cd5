// Memory operations between their issue and the s_waitcnt that makes their results visible.
#pragma once

#include "instruction.hpp"

#include <cstdint>
#include <memory>
#include <vector>

namespace amd_emulator {

/// What a memory instruction does to each lane; one constant object for each mnemonic.
struct MemoryAccess {
    enum class Action : uint8_t { load, store, atomic };
    enum class HalfRegister : uint8_t { none, low, high }; ///< loads and stores of 16 bits to or from half a register
    /// Old value, operand, and the value to compare with; gives the new value.
    using Atomic = uint64_t (*)(uint64_t old, uint64_t operand, uint64_t compare);

    Action action = Action::load;
    uint8_t bytes = 4;         ///< at each address
    uint8_t num_addresses = 1; ///< 2: ds_read2, ds_write2
    uint16_t address_unit = 1; ///< what offset0 and offset1 count
    bool sign_extend = false;
    HalfRegister half = HalfRegister::none;
    Atomic atomic = nullptr;
    bool compares = false;

    int num_registers() const { return (bytes + 3) / 4 * num_addresses; }
};

enum class MemorySpace : uint8_t { global, lds, scratch, flat };

/// Which counter an operation is in. Scalar loads return in any order, so nothing but a wait for 0 covers them; generic
/// (flat) accesses count in both.
enum class WaitCounter : uint8_t { vector, lds, scalar, flat };

struct MemoryOperation {
    const Instruction* instruction;
    const MemoryAccess* access;
    void (*perform)(Wave&, MemoryOperation&); ///< the access itself
    WaitCounter counter;
    MemorySpace space;
    bool performed;
    bool vector_done, lds_done; ///< flat: which of its two waits came
    bool writes_lds;
    uint16_t destination;     ///< first register
    uint8_t num_destinations; ///< 0: nothing is returned
    bool to_scalar;
    bool clipped;      ///< a buffer's bounds cut it: `bytes_in_range` counts
    uint32_t lds_base; ///< LDS-DMA: where lane 0's dword goes
    uint64_t lanes;
    uint64_t address[kLanes];
    int64_t second_offset; ///< from the first address to the second
    uint8_t bytes_in_range[kLanes];
    uint32_t data[16][kLanes]; ///< what is stored, then what was loaded
    uint32_t undefined[16][kLanes];
    bool has_undefined;
};

/// The operations of one wave that are in flight, in order of issue.
class MemoryQueue {
public:
    void clear();
    bool empty() const { return queue_.empty(); }

    /// A free operation, not yet in the queue.
    MemoryOperation& prepare();
    /// Puts what `prepare` gave into the queue. Its destinations may not be used until a wait.
    void issue(Wave& wave);
    /// s_waitcnt: completes what is certain to be complete when at most so many operations are outstanding.
    void wait(Wave& wave, unsigned max_vector, unsigned max_lds);
    void complete_all(Wave& wave) { wait(wave, 0, 0); }

    /// @throws Fault if the instruction uses a register that an operation in flight will write.
    void check_registers(const Instruction& instruction) const;

private:
    void perform(Wave& wave, MemoryOperation& operation);
    void deliver(Wave& wave, MemoryOperation& operation);
    bool is_complete(size_t position, unsigned max_vector, unsigned max_lds) const;
    void mark(const MemoryOperation& operation, int change);
    void count(const MemoryOperation& operation, int change);
    [[noreturn]] void throw_in_flight(const Instruction& instruction, const Operand& operand) const;

    std::vector<std::unique_ptr<MemoryOperation>> free_;
    std::vector<std::unique_ptr<MemoryOperation>> queue_;
    std::unique_ptr<MemoryOperation> prepared_;
    unsigned num_vector_ = 0;
    unsigned num_lds_ = 0;
    uint8_t vector_in_flight_[kNumVectorRegisters] = {};
    uint8_t scalar_in_flight_[kNumScalarRegisters] = {};
};

} // namespace amd_emulator
