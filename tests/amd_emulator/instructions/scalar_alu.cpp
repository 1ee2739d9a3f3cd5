// Scalar arithmetic, logic, shifts, bit counts, selections and moves.
#include "scalar_operation.hpp"
#include "wave.hpp"

#include <algorithm>

namespace amd_emulator {
namespace {

using i32 = int32_t;
using u32 = uint32_t;
using i64 = int64_t;
using u64 = uint64_t;

template <class T>
T extract(T a, u32 offset_and_width)
{
    constexpr u32 bits = sizeof(T) * 8;
    const u32 offset = offset_and_width & (bits - 1);
    const u32 width = offset_and_width >> 16 & 0x7f;
    if (width == 0) {
        return 0;
    }
    using U = std::make_unsigned_t<T>;
    U value = static_cast<U>(a) >> offset;
    if (width < bits) {
        value &= (U{1} << width) - 1;
    }
    if (std::is_signed_v<T> && width < bits && (value >> (width - 1) & 1) != 0) {
        value |= ~U{0} << width;
    }
    if (std::is_signed_v<T> && offset + width > bits) {
        return a >> offset;
    }
    return static_cast<T>(value);
}

template <class T>
T reverse(T a)
{
    T result = 0;
    for (size_t i = 0; i < sizeof(T) * 8; ++i) {
        result = static_cast<T>(result << 1 | (a >> i & 1));
    }
    return result;
}

WithScc<u32> add(u32 a, u32 b, bool carry)
{
    const u64 sum = u64{a} + b + (carry ? 1 : 0);
    return {static_cast<u32>(sum), sum >> 32 != 0};
}
WithScc<u32> subtract(u32 a, u32 b, bool borrow)
{
    const u64 less = u64{b} + (borrow ? 1 : 0);
    return {static_cast<u32>(a - less), less > a};
}
WithScc<i32> add_signed(i32 a, i32 b)
{
    i32 sum = 0;
    const bool overflow = __builtin_add_overflow(a, b, &sum);
    return {sum, overflow};
}
WithScc<i32> subtract_signed(i32 a, i32 b)
{
    i32 difference = 0;
    const bool overflow = __builtin_sub_overflow(a, b, &difference);
    return {difference, overflow};
}

Operation bits(Operation operation)
{
    operation.undefined_rule = UndefinedRule::bitwise;
    return operation;
}

Operation upward(Operation operation)
{
    operation.undefined_rule = UndefinedRule::upward;
    return operation;
}

void add_sums(InstructionTable& table)
{
    table.add("s_add_u32", upward(scalar([](u32 a, u32 b) { return add(a, b, false); })));
    table.add("s_addc_u32", upward(scalar([](u32 a, u32 b, bool c) { return add(a, b, c); })));
    table.add("s_sub_u32", upward(scalar([](u32 a, u32 b) { return subtract(a, b, false); })));
    table.add("s_subb_u32", upward(scalar([](u32 a, u32 b, bool c) { return subtract(a, b, c); })));
    table.add("s_add_i32", upward(scalar([](i32 a, i32 b) { return add_signed(a, b); })));
    table.add("s_sub_i32", upward(scalar([](i32 a, i32 b) { return subtract_signed(a, b); })));
    table.add("s_addk_i32", in_place(scalar([](i32 a, i32 k) { return add_signed(a, static_cast<int16_t>(k)); })));
    table.add("s_mulk_i32",
              in_place(scalar([](u32 a, i32 k) { return a * static_cast<u32>(i32{static_cast<int16_t>(k)}); })));
    table.add("s_mul_i32", upward(scalar([](u32 a, u32 b) { return a * b; })));
    table.add("s_mul_hi_u32", scalar([](u32 a, u32 b) { return static_cast<u32>(u64{a} * b >> 32); }));
    table.add("s_mul_hi_i32", scalar([](i32 a, i32 b) { return static_cast<i32>(i64{a} * b >> 32); }));
    table.add("s_min_i32", scalar([](i32 a, i32 b) { return WithScc<i32>{std::min(a, b), a < b}; }));
    table.add("s_max_i32", scalar([](i32 a, i32 b) { return WithScc<i32>{std::max(a, b), a > b}; }));
    table.add("s_min_u32", scalar([](u32 a, u32 b) { return WithScc<u32>{std::min(a, b), a < b}; }));
    table.add("s_max_u32", scalar([](u32 a, u32 b) { return WithScc<u32>{std::max(a, b), a > b}; }));
    table.add("s_abs_i32",
              setting_scc(scalar([](i32 a) { return a < 0 ? 0 - static_cast<u32>(a) : static_cast<u32>(a); })));
    table.add("s_absdiff_i32", setting_scc(scalar([](i32 a, i32 b) {
                  return static_cast<u32>(a > b ? static_cast<u32>(a) - static_cast<u32>(b)
                                                : static_cast<u32>(b) - static_cast<u32>(a));
              })));
    const auto add_shifted = [&](const char* name, auto function) { table.add(name, scalar(function)); };
    add_shifted("s_lshl1_add_u32",
                [](u32 a, u32 b) { return WithScc<u32>{(a << 1) + b, (u64{a} << 1) + b > ~u32{0}}; });
    add_shifted("s_lshl2_add_u32",
                [](u32 a, u32 b) { return WithScc<u32>{(a << 2) + b, (u64{a} << 2) + b > ~u32{0}}; });
    add_shifted("s_lshl3_add_u32",
                [](u32 a, u32 b) { return WithScc<u32>{(a << 3) + b, (u64{a} << 3) + b > ~u32{0}}; });
    add_shifted("s_lshl4_add_u32",
                [](u32 a, u32 b) { return WithScc<u32>{(a << 4) + b, (u64{a} << 4) + b > ~u32{0}}; });
}

template <class T>
void add_logic(InstructionTable& table, const std::string& suffix)
{
    const auto add_bits = [&](const char* name, Operation operation) {
        table.add(name + suffix, setting_scc(bits(operation)));
    };
    add_bits("s_and_", scalar([](T a, T b) { return a & b; }));
    add_bits("s_or_", scalar([](T a, T b) { return a | b; }));
    add_bits("s_xor_", scalar([](T a, T b) { return a ^ b; }));
    add_bits("s_andn2_", scalar([](T a, T b) { return a & ~b; }));
    add_bits("s_orn2_", scalar([](T a, T b) { return a | ~b; }));
    add_bits("s_nand_", scalar([](T a, T b) { return ~(a & b); }));
    add_bits("s_nor_", scalar([](T a, T b) { return ~(a | b); }));
    add_bits("s_xnor_", scalar([](T a, T b) { return ~(a ^ b); }));
    add_bits("s_not_", scalar([](T a) { return ~a; }));
    constexpr u32 mask = sizeof(T) * 8 - 1;
    add_bits("s_lshl_", scalar([](T a, u32 b) { return a << (b & mask); }));
    add_bits("s_lshr_", scalar([](T a, u32 b) { return a >> (b & mask); }));
    table.add("s_mov_" + suffix, bits(scalar([](T a) { return a; })));
    table.add("s_cmov_" + suffix, in_place(scalar([](T old, T a, bool scc) { return scc ? a : old; })));
    table.add("s_cselect_" + suffix, bits(scalar([](T a, T b, bool scc) { return scc ? a : b; })));
    table.add("s_brev_" + suffix, bits(scalar([](T a) { return reverse(a); })));
    table.add("s_bfm_" + suffix, scalar([](u32 a, u32 b) { return ((T{1} << (a & mask)) - 1) << (b & mask); }));
    table.add("s_bitset0_" + suffix, in_place(scalar([](T old, u32 a) { return old & ~(T{1} << (a & mask)); })));
    table.add("s_bitset1_" + suffix, in_place(scalar([](T old, u32 a) { return old | T{1} << (a & mask); })));
    table.add("s_bcnt0_i32_" + suffix,
              setting_scc(scalar([](T a) { return static_cast<u32>(__builtin_popcountll(static_cast<T>(~a))); })));
    table.add("s_bcnt1_i32_" + suffix,
              setting_scc(scalar([](T a) { return static_cast<u32>(__builtin_popcountll(a)); })));
    table.add("s_ff0_i32_" + suffix,
              scalar([](T a) { return static_cast<T>(~a) == 0 ? -1 : __builtin_ctzll(~u64{a}); }));
    table.add("s_ff1_i32_" + suffix, scalar([](T a) { return a == 0 ? -1 : __builtin_ctzll(a); }));
}

/// The destination gets EXEC, then EXEC becomes this combination of the source and EXEC.
template <class F>
void add_saving_exec(InstructionTable& table, const std::string& name, F function)
{
    Operation operation;
    operation.instruction_class = InstructionClass::scalar_alu;
    operation.result = ValueType::u64;
    operation.source[0] = ValueType::u64;
    operation.num_sources = 1;
    operation.scalar = detail::scalar_function(function, &F::operator());
    operation.execute = [](Wave& wave, const Instruction& instruction) {
        uint64_t undefined = 0;
        const uint64_t source = wave.read_scalar(instruction.operand(1), true, undefined);
        const uint64_t exec = wave.exec();
        ScalarArguments arguments{{source, exec, 0}, false, 0, false};
        instruction.operation->scalar(arguments);
        // Lanes that are off stay off, whatever the source's bits for them are.
        ScalarArguments other{{source ^ undefined, exec, 0}, false, 0, false};
        instruction.operation->scalar(other);
        wave.set_sgpr64(instruction.operand(0).index, exec);
        wave.set_sgpr64(kExec, arguments.result, arguments.result ^ other.result);
        wave.scc = wave.exec() != 0;
        wave.scc_undefined = false;
    };
    table.add("s_" + name + "_saveexec_b64", operation);
}

} // namespace

void add_scalar_alu(InstructionTable& table)
{
    add_sums(table);
    add_logic<u32>(table, "b32");
    add_logic<u64>(table, "b64");
    table.add("s_ashr_i32", setting_scc(bits(scalar([](i32 a, u32 b) { return a >> (b & 31); }))));
    table.add("s_ashr_i64", setting_scc(bits(scalar([](i64 a, u32 b) { return a >> (b & 63); }))));
    table.add("s_bfe_u32", setting_scc(bits(scalar([](u32 a, u32 b) { return extract(a, b); }))));
    table.add("s_bfe_i32", setting_scc(bits(scalar([](i32 a, u32 b) { return extract(a, b); }))));
    table.add("s_bfe_u64", setting_scc(bits(scalar([](u64 a, u32 b) { return extract(a, b); }))));
    table.add("s_bfe_i64", setting_scc(bits(scalar([](i64 a, u32 b) { return extract(a, b); }))));
    table.add("s_flbit_i32_b32", scalar([](u32 a) { return a == 0 ? -1 : __builtin_clz(a); }));
    table.add("s_flbit_i32_b64", scalar([](u64 a) { return a == 0 ? -1 : __builtin_clzll(a); }));
    table.add("s_flbit_i32", scalar([](i32 a) {
                  const u32 differs = static_cast<u32>(a < 0 ? ~a : a);
                  return differs == 0 ? -1 : __builtin_clz(differs);
              }));
    table.add("s_sext_i32_i8", scalar([](u32 a) { return static_cast<i32>(static_cast<int8_t>(a)); }));
    table.add("s_sext_i32_i16", scalar([](u32 a) { return static_cast<i32>(static_cast<int16_t>(a)); }));
    table.add("s_movk_i32", scalar([](i32 k) { return i32{static_cast<int16_t>(k)}; }));
    table.add("s_cmovk_i32",
              in_place(scalar([](i32 old, i32 k, bool scc) { return scc ? i32{static_cast<int16_t>(k)} : old; })));
    table.add("s_pack_ll_b32_b16", bits(scalar([](u32 a, u32 b) { return (a & 0xffffu) | b << 16; })));
    table.add("s_pack_lh_b32_b16", bits(scalar([](u32 a, u32 b) { return (a & 0xffffu) | (b & 0xffff0000u); })));
    table.add("s_pack_hh_b32_b16", bits(scalar([](u32 a, u32 b) { return a >> 16 | (b & 0xffff0000u); })));
    add_saving_exec(table, "and", [](u64 a, u64 exec) { return a & exec; });
    add_saving_exec(table, "or", [](u64 a, u64 exec) { return a | exec; });
    add_saving_exec(table, "xor", [](u64 a, u64 exec) { return a ^ exec; });
    add_saving_exec(table, "andn2", [](u64 a, u64 exec) { return a & ~exec; });
    add_saving_exec(table, "orn2", [](u64 a, u64 exec) { return a | ~exec; });
    add_saving_exec(table, "andn1", [](u64 a, u64 exec) { return ~a & exec; });
}

} // namespace amd_emulator
