// Scalar instructions and branches against plain models.
#include "case_runner.hpp"

#include <functional>

namespace {

using u32 = uint32_t;
using u64 = uint64_t;
using i32 = int32_t;
using i64 = int64_t;

struct Expected {
    u64 value;
    int scc; ///< -1: kept
};

struct ScalarCase {
    const char* kernel;
    int width; ///< bits of the result; 0: none
    std::function<Expected(const CaseInput&)> model;
};
void PrintTo(const ScalarCase& c, std::ostream* out) { *out << c.kernel; }

u32 a(const CaseInput& in) { return in.sgpr(16); }
u32 b(const CaseInput& in) { return in.sgpr(17); }
i32 ia(const CaseInput& in) { return static_cast<i32>(a(in)); }
i32 ib(const CaseInput& in) { return static_cast<i32>(b(in)); }
u64 aa(const CaseInput& in) { return in.pair(16); }
u64 bb(const CaseInput& in) { return in.pair(18); }
u32 d(const CaseInput& in) { return in.sgpr(20); }
Expected nonzero(u64 value) { return {value, value != 0}; }
bool overflows(i64 value) { return value != static_cast<i32>(value); }

const ScalarCase kCases[] = {
    {"s_add_u32", 32, [](auto& i) { return Expected{a(i) + b(i), u64{a(i)} + b(i) > 0xffffffffu}; }},
    {"s_addc_u32", 32,
     [](auto& i) { return Expected{a(i) + b(i) + i.scc(), u64{a(i)} + b(i) + i.scc() > 0xffffffffu}; }},
    {"s_sub_u32", 32, [](auto& i) { return Expected{a(i) - b(i), b(i) > a(i)}; }},
    {"s_subb_u32", 32, [](auto& i) { return Expected{a(i) - b(i) - i.scc(), u64{b(i)} + i.scc() > a(i)}; }},
    {"s_add_i32", 32, [](auto& i) { return Expected{a(i) + b(i), overflows(i64{ia(i)} + ib(i))}; }},
    {"s_sub_i32", 32, [](auto& i) { return Expected{a(i) - b(i), overflows(i64{ia(i)} - ib(i))}; }},
    {"s_mul_i32", 32, [](auto& i) { return Expected{a(i) * b(i), -1}; }},
    {"s_mul_hi_u32", 32, [](auto& i) { return Expected{u64{a(i)} * b(i) >> 32, -1}; }},
    {"s_mul_hi_i32", 32, [](auto& i) { return Expected{static_cast<u32>(i64{ia(i)} * ib(i) >> 32), -1}; }},
    {"s_min_i32", 32, [](auto& i) { return Expected{static_cast<u32>(std::min(ia(i), ib(i))), ia(i) < ib(i)}; }},
    {"s_max_u32", 32, [](auto& i) { return Expected{std::max(a(i), b(i)), a(i) > b(i)}; }},
    {"s_abs_i32", 32, [](auto& i) { return nonzero(static_cast<u32>(std::abs(i64{ia(i)}))); }},
    {"s_and_b32", 32, [](auto& i) { return nonzero(a(i) & b(i)); }},
    {"s_andn2_b64", 64, [](auto& i) { return nonzero(aa(i) & ~bb(i)); }},
    {"s_xor_b64", 64, [](auto& i) { return nonzero(aa(i) ^ bb(i)); }},
    {"s_not_b32", 32, [](auto& i) { return nonzero(~a(i)); }},
    {"s_lshl_b32", 32, [](auto& i) { return nonzero(a(i) << (b(i) % 32)); }},
    {"s_lshr_b64", 64, [](auto& i) { return nonzero(aa(i) >> (i.sgpr(18) % 64)); }},
    {"s_ashr_i32", 32, [](auto& i) { return nonzero(static_cast<u32>(ia(i) >> (b(i) % 32))); }},
    {"s_ashr_i64", 64, [](auto& i) { return nonzero(static_cast<u64>(static_cast<i64>(aa(i)) >> (i.sgpr(18) % 64))); }},
    {"s_bfe_u32", 32, [](auto& i) { return nonzero(a(i) >> 5 & 0xffu); }},
    {"s_bfe_i32", 32, [](auto& i) { return nonzero(static_cast<u32>(static_cast<i32>(a(i) << 22) >> 25)); }},
    {"s_bfe_u64", 64, [](auto& i) { return nonzero(aa(i) >> 12 & 0xffffffffffu); }},
    {"s_bfe_i64", 64, [](auto& i) { return nonzero(static_cast<u64>(static_cast<i64>(aa(i) << 20) >> 40)); }},
    {"s_bfm_b32", 32, [](auto&) { return Expected{0x1fu << 9, -1}; }},
    {"s_brev_b32", 32,
     [](auto& i) {
         u32 result = 0;
         for (int bit = 0; bit < 32; ++bit) {
             result |= (a(i) >> bit & 1) << (31 - bit);
         }
         return Expected{result, -1};
     }},
    {"s_bcnt1_i32_b64", 32, [](auto& i) { return nonzero(static_cast<u64>(__builtin_popcountll(aa(i)))); }},
    {"s_ff1_i32_b32", 32,
     [](auto& i) { return Expected{a(i) == 0 ? 0xffffffffu : static_cast<u32>(__builtin_ctz(a(i))), -1}; }},
    {"s_flbit_i32_b32", 32,
     [](auto& i) { return Expected{a(i) == 0 ? 0xffffffffu : static_cast<u32>(__builtin_clz(a(i))), -1}; }},
    {"s_sext_i32_i16", 32, [](auto& i) { return Expected{static_cast<u32>(static_cast<int16_t>(a(i))), -1}; }},
    {"s_cselect_b32", 32, [](auto& i) { return Expected{i.scc() ? a(i) : b(i), -1}; }},
    {"s_movk_i32", 32, [](auto&) { return Expected{0xffff8123u, -1}; }},
    {"s_addk_i32", 32,
     [](auto& i) { return Expected{d(i) + 0xffff8001u, overflows(i64{static_cast<i32>(d(i))} - 0x7fff)}; }},
    {"s_mulk_i32", 32, [](auto& i) { return Expected{d(i) * 0xfffffffdu, -1}; }},
    {"s_mov_b64_inline", 64, [](auto&) { return Expected{~u64{1}, -1}; }},
    {"s_mov_b64_float", 64, [](auto&) { return Expected{0x3ff0000000000000u, -1}; }},
    {"s_pack_lh_b32_b16", 32, [](auto& i) { return Expected{(a(i) & 0xffffu) | (b(i) & 0xffff0000u), -1}; }},
    {"s_lshl2_add_u32", 32, [](auto& i) { return Expected{a(i) * 4 + b(i), (u64{a(i)} << 2) + b(i) > 0xffffffffu}; }},
    {"s_cmp_lt_i32", 0, [](auto& i) { return Expected{0, ia(i) < ib(i)}; }},
    {"s_cmp_lt_u32", 0, [](auto& i) { return Expected{0, a(i) < b(i)}; }},
    {"s_cmp_eq_u64", 0, [](auto& i) { return Expected{0, aa(i) == bb(i)}; }},
    {"s_cmpk_gt_i32", 0, [](auto& i) { return Expected{0, ia(i) > -0x7ffb}; }},
    {"s_bitcmp1_b32", 0, [](auto& i) { return Expected{0, static_cast<int>(a(i) >> (b(i) % 32) & 1)}; }},
    {"s_setreg", 32, [](auto&) { return Expected{5, -1}; }},
};

class ScalarAlu : public ::testing::TestWithParam<ScalarCase> {};
INSTANTIATE_TEST_SUITE_P(Cases, ScalarAlu, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.kernel); });

TEST_P(ScalarAlu, EqualsItsModel)
{
    for (const char* architecture : kArchitectures) {
        const KernelModule& module = loaded_module("scalar_cases", architecture);
        std::mt19937 random(0);
        for (int trial = 0; trial < 12; ++trial) {
            CaseInput input = random_input(Numbers::integers, static_cast<unsigned>(trial));
            const u32 special[] = {
                0, 1, 0x7fffffffu, 0x80000000u, 0xffffffffu, static_cast<u32>(random()), static_cast<u32>(random())};
            for (size_t i = 0; i < 5; ++i) {
                input.scalars[i] = special[random() % 7];
            }
            if (trial == 3) {
                input.scalars[2] = input.scalars[0], input.scalars[3] = input.scalars[1];
            }
            input.scalars[14] = random() % 2;
            const CaseOutput output = run_case(module, GetParam().kernel, input);
            ASSERT_EQ(output.error, hipSuccess) << ck_fmha_emulator_last_failure();
            const Expected expected = GetParam().model(input);
            if (GetParam().width == 32) {
                EXPECT_EQ(output.sgpr(20), static_cast<u32>(expected.value)) << std::hex << a(input) << " " << b(input);
            }
            if (GetParam().width == 64) {
                EXPECT_EQ(output.pair(20), expected.value) << std::hex << aa(input) << " " << bb(input);
            }
            EXPECT_EQ(output.scc(), expected.scc < 0 ? input.scc() : expected.scc != 0)
                << std::hex << aa(input) << " " << bb(input);
        }
    }
}

TEST(ScalarControl, SavingExec)
{
    const KernelModule& module = loaded_module("scalar_cases", "gfx942");
    const CaseInput input = random_input(Numbers::integers, 1);
    const CaseOutput conjunction = run_case(module, "s_and_saveexec_b64", input);
    EXPECT_EQ(conjunction.pair(20), ~u64{0});
    EXPECT_EQ(conjunction.exec(), input.pair(16));
    EXPECT_EQ(run_case(module, "s_andn2_saveexec_b64", input).exec(), 0u); // source and not EXEC
    EXPECT_FALSE(run_case(module, "s_andn2_saveexec_b64", input).scc());
}

TEST(ScalarControl, Branches)
{
    const KernelModule& module = loaded_module("scalar_cases", "gfx90a");
    for (const u32 flag : {0u, 1u}) {
        CaseInput input = random_input(Numbers::integers, 1);
        input.scalars[12] = 0;
        input.scalars[13] = flag << 7;
        input.scalars[14] = flag;
        EXPECT_EQ(run_case(module, "branch_scc0", input).sgpr(20), 1 - flag);
        EXPECT_EQ(run_case(module, "branch_scc1", input).sgpr(20), flag);
        EXPECT_EQ(run_case(module, "branch_vccz", input).sgpr(20), 1 - flag);
        EXPECT_EQ(run_case(module, "branch_vccnz", input).sgpr(20), flag);
        EXPECT_EQ(run_case(module, "branch_execz", input).sgpr(20), 0u);
        EXPECT_EQ(run_case(module, "branch_execnz", input).sgpr(20), 1u);
    }
}

TEST(ScalarControl, LoopCallAndReturn)
{
    const KernelModule& module = loaded_module("scalar_cases", "gfx942");
    const CaseInput input = random_input(Numbers::integers, 1);
    const CaseOutput output = run_case(module, "loop_and_call", input);
    ASSERT_EQ(output.error, hipSuccess) << ck_fmha_emulator_last_failure();
    EXPECT_EQ(output.sgpr(20), 55u);
    EXPECT_EQ(output.sgpr(21), input.sgpr(16) * 7);
}

} // namespace
