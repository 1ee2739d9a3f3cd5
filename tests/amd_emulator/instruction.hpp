// One decoded machine instruction: what LLVM's disassembler printed, taken apart once, with the function that executes
// it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace amd_emulator {

constexpr int kLanes = 64;

/// Numbers of scalar registers, as the hardware encodes them in operands.
constexpr uint16_t kFlatScratch = 102;
constexpr uint16_t kVcc = 106;
constexpr uint16_t kTrapTemporaries = 108;
constexpr uint16_t kM0 = 124;
constexpr uint16_t kExec = 126;
constexpr uint16_t kNumScalarRegisters = 128;
/// Vector registers: v0..v255, then the accumulation registers a0..a255.
constexpr uint16_t kFirstAccumulator = 256;
constexpr uint16_t kNumVectorRegisters = 512;

/// How an operand's bits are to be read. Packed and untyped operands are integers.
enum class ValueType : uint8_t { none, u16, f16, u32, f32, u64, f64 };
constexpr bool is_64_bit(ValueType type) { return type == ValueType::u64 || type == ValueType::f64; }
constexpr bool is_16_bit(ValueType type) { return type == ValueType::u16 || type == ValueType::f16; }
constexpr bool is_float(ValueType type)
{
    return type == ValueType::f16 || type == ValueType::f32 || type == ValueType::f64;
}

struct Operand {
    enum class Kind : uint8_t { none, vector, scalar, literal, off, scc, vccz, execz, shared_base, private_base };
    Kind kind = Kind::none;
    bool negate = false;
    bool absolute = false;
    bool sign_extend = false; ///< of an SDWA part
    uint8_t num_registers = 1;
    uint16_t index = 0; ///< of the first register
    bool is_float_literal = false;
    double number = 0; ///< a floating-point literal as printed
    uint64_t bits = 0; ///< a literal's bits, for floating-point ones after `resolve_literal`

    bool is_vector() const { return kind == Kind::vector; }
    bool is_scalar() const { return kind == Kind::scalar; }
    bool is_register() const { return is_vector() || is_scalar(); }
};

/// Gives a floating-point literal the bits that it has as a source of this type.
void resolve_literal(Operand& operand, ValueType type);

/// Which part of a register an SDWA instruction reads or writes.
enum class SdwaPart : uint8_t { byte0, byte1, byte2, byte3, word0, word1, dword };
enum class SdwaUnused : uint8_t { pad, sign_extend, preserve };

/// Where an instruction's lanes take their first source from (data-parallel primitives).
enum class DppMove : uint8_t {
    none,
    quad_permute,
    row_shift_left,
    row_shift_right,
    row_rotate_right,
    wave_shift_left,
    wave_rotate_left,
    wave_shift_right,
    wave_rotate_right,
    row_mirror,
    row_half_mirror,
    row_broadcast_15,
    row_broadcast_31,
    row_new_broadcast
};

struct Modifiers {
    int32_t offset = 0;
    int32_t offset0 = 0;
    int32_t offset1 = 0;
    bool offset_enable = false;    ///< offen
    bool index_enable = false;     ///< idxen
    bool to_lds = false;           ///< lds: the loaded data go to LDS
    bool returns = false;          ///< glc (gfx90a) or sc0 (gfx942): an atomic returns the old value
    bool matrix_broadcast = false; ///< cbsz, abid or blgp of a matrix product is not 0
    bool clamp = false;
    float output_scale = 1; ///< mul:2, mul:4, div:2
    bool has_op_sel = false, has_op_sel_hi = false;
    uint8_t op_sel = 0; ///< one bit a source, then one for the destination
    uint8_t op_sel_hi = 0;
    uint8_t neg_lo = 0;
    uint8_t neg_hi = 0;
    bool sdwa = false;
    SdwaPart sdwa_destination = SdwaPart::dword;
    SdwaUnused sdwa_unused = SdwaUnused::preserve;
    SdwaPart sdwa_source[2] = {SdwaPart::dword, SdwaPart::dword};
    DppMove dpp = DppMove::none;
    uint8_t dpp_argument = 0;
    uint8_t row_mask = 0xf;
    uint8_t bank_mask = 0xf;
    bool bound_control = false;
};

class Wave;
using Lanes = uint32_t[kLanes];
struct Instruction;
struct Operation;
using Execute = void (*)(Wave&, const Instruction&);

struct Instruction {
    Execute execute = nullptr; ///< never null after decoding: an unknown instruction's function throws
    const Operation* operation = nullptr;
    uint64_t address = 0; ///< in the loaded image
    uint8_t size = 4;
    uint8_t num_operands = 0;
    bool is_plain = true; ///< no SDWA, DPP, negation, absolute value, clamp, scale or op_sel: the quick way will do
    int32_t branch_target = -1; ///< index of the instruction
    uint32_t encoding[2] = {0, 0};
    std::array<Operand, 6> operands;
    Modifiers modifiers;
    std::string mnemonic; ///< without the suffix of its encoding
    std::string text;     ///< as disassembled

    const Operand& operand(int i) const { return operands[static_cast<std::size_t>(i)]; }
    int16_t immediate16() const { return static_cast<int16_t>(encoding[0] & 0xffffu); }
};

} // namespace amd_emulator
