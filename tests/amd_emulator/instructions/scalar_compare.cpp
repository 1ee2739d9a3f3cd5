// Scalar comparisons, which set the scalar condition code.
#include "scalar_operation.hpp"

namespace amd_emulator {
namespace {

template <class T>
void add_relations(InstructionTable& table, const std::string& type)
{
    table.add("s_cmp_eq_" + type, scalar([](T a, T b) { return a == b; }));
    table.add("s_cmp_lg_" + type, scalar([](T a, T b) { return a != b; }));
    if constexpr (sizeof(T) == 4) {
        table.add("s_cmp_gt_" + type, scalar([](T a, T b) { return a > b; }));
        table.add("s_cmp_ge_" + type, scalar([](T a, T b) { return a >= b; }));
        table.add("s_cmp_lt_" + type, scalar([](T a, T b) { return a < b; }));
        table.add("s_cmp_le_" + type, scalar([](T a, T b) { return a <= b; }));
        // The constant has 16 bits, with the sign of the type.
        using Short = std::conditional_t<std::is_signed_v<T>, int16_t, uint16_t>;
        table.add("s_cmpk_eq_" + type, scalar([](T a, T k) { return a == static_cast<T>(static_cast<Short>(k)); }));
        table.add("s_cmpk_lg_" + type, scalar([](T a, T k) { return a != static_cast<T>(static_cast<Short>(k)); }));
        table.add("s_cmpk_gt_" + type, scalar([](T a, T k) { return a > static_cast<T>(static_cast<Short>(k)); }));
        table.add("s_cmpk_ge_" + type, scalar([](T a, T k) { return a >= static_cast<T>(static_cast<Short>(k)); }));
        table.add("s_cmpk_lt_" + type, scalar([](T a, T k) { return a < static_cast<T>(static_cast<Short>(k)); }));
        table.add("s_cmpk_le_" + type, scalar([](T a, T k) { return a <= static_cast<T>(static_cast<Short>(k)); }));
    }
}

} // namespace

void add_scalar_compare(InstructionTable& table)
{
    add_relations<int32_t>(table, "i32");
    add_relations<uint32_t>(table, "u32");
    add_relations<uint64_t>(table, "u64");
    table.add("s_bitcmp0_b32", scalar([](uint32_t a, uint32_t b) { return (a >> (b & 31) & 1) == 0; }));
    table.add("s_bitcmp1_b32", scalar([](uint32_t a, uint32_t b) { return (a >> (b & 31) & 1) != 0; }));
    table.add("s_bitcmp0_b64", scalar([](uint64_t a, uint32_t b) { return (a >> (b & 63) & 1) == 0; }));
    table.add("s_bitcmp1_b64", scalar([](uint64_t a, uint32_t b) { return (a >> (b & 63) & 1) != 0; }));
}

} // namespace amd_emulator
