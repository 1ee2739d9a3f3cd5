// Branches, barriers, waits, the mode register, and instructions that only concern timing and caches.
#include "operation.hpp"

#include "launch.hpp"
#include "program.hpp"
#include "wave.hpp"

#include <string>

namespace amd_emulator {
namespace {

Operation row(InstructionClass instruction_class, Execute execute)
{
    Operation operation;
    operation.instruction_class = instruction_class;
    operation.execute = execute;
    return operation;
}

void branch(Wave& wave, const Instruction& instruction)
{
    if (instruction.branch_target < 0) {
        throw_unsupported(instruction, "a branch out of the code");
    }
    wave.next = instruction.branch_target;
}

bool defined_scc(const Wave& wave)
{
    if (wave.scc_undefined) {
        wave.throw_undefined("a branch on SCC");
    }
    return wave.scc;
}
bool vcc_is_zero(const Wave& wave)
{
    // A bit that is certainly set decides, whatever the others are.
    const uint64_t undefined = wave.sgpr64_undefined(kVcc);
    if (undefined != 0 && (wave.sgpr64(kVcc) & ~undefined) == 0) {
        wave.throw_undefined("a branch on VCC");
    }
    return wave.sgpr64(kVcc) == 0;
}

void add_branches(InstructionTable& table)
{
    const auto add = [&](const char* name, Execute execute) {
        table.add(name, row(InstructionClass::branch, execute));
    };
    add("s_branch", branch);
    add("s_cbranch_scc0", [](Wave& w, const Instruction& i) {
        if (!defined_scc(w)) {
            branch(w, i);
        }
    });
    add("s_cbranch_scc1", [](Wave& w, const Instruction& i) {
        if (defined_scc(w)) {
            branch(w, i);
        }
    });
    add("s_cbranch_vccz", [](Wave& w, const Instruction& i) {
        if (vcc_is_zero(w)) {
            branch(w, i);
        }
    });
    add("s_cbranch_vccnz", [](Wave& w, const Instruction& i) {
        if (!vcc_is_zero(w)) {
            branch(w, i);
        }
    });
    add("s_cbranch_execz", [](Wave& w, const Instruction& i) {
        if (w.exec() == 0) {
            branch(w, i);
        }
    });
    add("s_cbranch_execnz", [](Wave& w, const Instruction& i) {
        if (w.exec() != 0) {
            branch(w, i);
        }
    });
    add("s_getpc_b64", [](Wave& w, const Instruction& i) { w.set_sgpr64(i.operand(0).index, i.address + i.size); });
    add("s_setpc_b64",
        [](Wave& w, const Instruction& i) { w.next = w.launch().program->index_of(w.sgpr64(i.operand(0).index)); });
    add("s_swappc_b64", [](Wave& w, const Instruction& i) {
        const uint64_t target = w.sgpr64(i.operand(1).index);
        w.set_sgpr64(i.operand(0).index, i.address + i.size);
        w.next = w.launch().program->index_of(target);
    });
    add("s_call_b64", [](Wave& w, const Instruction& i) {
        w.set_sgpr64(i.operand(0).index, i.address + i.size);
        branch(w, i);
    });
    add("s_endpgm", [](Wave& w, const Instruction&) {
        w.memory.complete_all(w);
        w.ended = true;
    });
}

void wait_for_counters(Wave& wave, const Instruction& instruction)
{
    const uint32_t bits = instruction.encoding[0];
    wave.memory.wait(wave, (bits & 0xf) | (bits >> 14 & 3) << 4, bits >> 8 & 0xf);
}

constexpr uint32_t kModeRegister = 1;

struct HardwareField {
    uint32_t id, offset, size;
    explicit HardwareField(const Instruction& instruction)
    {
        const uint32_t bits = instruction.encoding[0];
        id = bits & 63;
        offset = bits >> 6 & 31;
        size = (bits >> 11 & 31) + 1;
    }
    uint32_t mask() const { return size == 32 ? ~uint32_t{0} : (uint32_t{1} << size) - 1; }
};

void set_mode(Wave& wave, const Instruction& instruction, uint32_t value)
{
    const HardwareField field(instruction);
    if (field.id != kModeRegister) {
        throw_unsupported(instruction, "this hardware register");
    }
    const uint32_t mask = field.mask() << field.offset;
    wave.mode.bits = (wave.mode.bits & ~mask) | (value << field.offset & mask);
    if ((wave.mode.bits & 0xf) != 0) {
        throw_unsupported(instruction, "a rounding mode other than to the nearest");
    }
}

void get_register(Wave& wave, const Instruction& instruction)
{
    const HardwareField field(instruction);
    // Everything but the mode tells where the wave runs; one fixed place will do.
    const uint32_t value = field.id == kModeRegister ? wave.mode.bits : 0;
    wave.sgpr[instruction.operand(0).index] = value >> field.offset & field.mask();
    wave.sgpr_undefined[instruction.operand(0).index] = 0;
}

} // namespace

void add_control(InstructionTable& table)
{
    add_branches(table);
    table.add("s_waitcnt", row(InstructionClass::wait, wait_for_counters));
    table.add("s_barrier", row(InstructionClass::barrier, [](Wave& w, const Instruction&) { w.at_barrier = true; }));
    table.add("s_setreg_b32", row(InstructionClass::other, [](Wave& w, const Instruction& i) {
                  set_mode(w, i, w.read_defined_scalar(i.operand(1), "the mode"));
              }));
    table.add("s_setreg_imm32_b32",
              row(InstructionClass::other, [](Wave& w, const Instruction& i) { set_mode(w, i, i.encoding[1]); }));
    table.add("s_getreg_b32", row(InstructionClass::other, get_register));
    table.add("s_trap",
              row(InstructionClass::other, [](Wave&, const Instruction& i) { throw_unsupported(i, "a trap"); }));
    const auto nothing = [](Wave&, const Instruction&) {};
    table.add("s_nop", row(InstructionClass::wait, nothing));
    for (const char* name :
         {"s_sleep", "s_setprio", "s_sethalt", "s_icache_inv", "s_inst_prefetch", "s_ttracedata", "s_dcache_inv",
          "s_dcache_wb", "s_dcache_inv_vol", "s_dcache_wb_vol", "s_incperflevel", "s_decperflevel", "buffer_wbl2",
          "buffer_inv", "buffer_invl2", "buffer_wbinvl1", "buffer_wbinvl1_vol"}) {
        table.add(name, row(InstructionClass::other, nothing));
    }
}

} // namespace amd_emulator
