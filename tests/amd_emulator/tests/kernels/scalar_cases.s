// Scalar instructions: test_scalar_alu.cpp knows what they must do. Results go to s20 (and s21).
#include "kernel.inc"

case s_add_u32, s_add_u32 s20, s16, s17
case s_addc_u32, s_addc_u32 s20, s16, s17
case s_sub_u32, s_sub_u32 s20, s16, s17
case s_subb_u32, s_subb_u32 s20, s16, s17
case s_add_i32, s_add_i32 s20, s16, s17
case s_sub_i32, s_sub_i32 s20, s16, s17
case s_mul_i32, s_mul_i32 s20, s16, s17
case s_mul_hi_u32, s_mul_hi_u32 s20, s16, s17
case s_mul_hi_i32, s_mul_hi_i32 s20, s16, s17
case s_min_i32, s_min_i32 s20, s16, s17
case s_max_u32, s_max_u32 s20, s16, s17
case s_abs_i32, s_abs_i32 s20, s16
case s_and_b32, s_and_b32 s20, s16, s17
case s_andn2_b64, s_andn2_b64 s[20:21], s[16:17], s[18:19]
case s_xor_b64, s_xor_b64 s[20:21], s[16:17], s[18:19]
case s_not_b32, s_not_b32 s20, s16
case s_lshl_b32, s_lshl_b32 s20, s16, s17
case s_lshr_b64, s_lshr_b64 s[20:21], s[16:17], s18
case s_ashr_i32, s_ashr_i32 s20, s16, s17
case s_ashr_i64, s_ashr_i64 s[20:21], s[16:17], s18
case s_bfe_u32, s_bfe_u32 s20, s16, 0x80005
case s_bfe_i32, s_bfe_i32 s20, s16, 0x70003
case s_bfe_u64, s_bfe_u64 s[20:21], s[16:17], 0x28000c
case s_bfe_i64, s_bfe_i64 s[20:21], s[16:17], 0x180014
case s_bfm_b32, s_bfm_b32 s20, 5, 9
case s_brev_b32, s_brev_b32 s20, s16
case s_bcnt1_i32_b64, s_bcnt1_i32_b64 s20, s[16:17]
case s_ff1_i32_b32, s_ff1_i32_b32 s20, s16
case s_flbit_i32_b32, s_flbit_i32_b32 s20, s16
case s_sext_i32_i16, s_sext_i32_i16 s20, s16
case s_cselect_b32, s_cselect_b32 s20, s16, s17
case s_movk_i32, s_movk_i32 s20, 0x8123
case s_addk_i32, s_addk_i32 s20, 0x8001
case s_mulk_i32, s_mulk_i32 s20, 0xfffd
case s_mov_b64_inline, s_mov_b64 s[20:21], -2
case s_mov_b64_float, s_mov_b64 s[20:21], 1.0
case s_pack_lh_b32_b16, s_pack_lh_b32_b16 s20, s16, s17
case s_lshl2_add_u32, s_lshl2_add_u32 s20, s16, s17
case s_and_saveexec_b64, s_and_saveexec_b64 s[20:21], s[16:17]
case s_andn2_saveexec_b64, s_andn2_saveexec_b64 s[20:21], s[16:17]
case s_cmp_lt_i32, s_cmp_lt_i32 s16, s17
case s_cmp_lt_u32, s_cmp_lt_u32 s16, s17
case s_cmp_eq_u64, s_cmp_eq_u64 s[16:17], s[18:19]
case s_cmpk_gt_i32, s_cmpk_gt_i32 s16, 0x8005
case s_bitcmp1_b32, s_bitcmp1_b32 s16, s17
case_of s_setreg, "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 4), 5", "s_getreg_b32 s20, hwreg(HW_REG_MODE, 4, 4)"

// --- branches: s20 is 1 where the branch was taken ---
.macro branch_case name, instruction
    begin_case \name
    s_mov_b32 s20, 1
    \instruction .Ltaken\@
    s_mov_b32 s20, 0
.Ltaken\@:
    end_case \name
.endm
branch_case branch_scc0, s_cbranch_scc0
branch_case branch_scc1, s_cbranch_scc1
branch_case branch_vccz, s_cbranch_vccz
branch_case branch_vccnz, s_cbranch_vccnz
branch_case branch_execz, s_cbranch_execz
branch_case branch_execnz, s_cbranch_execnz

// A loop, a call and a return: s20 = 10 + 9 + ... + 1, s21 = 7 * s16.
begin_case loop_and_call
    s_mov_b32 s20, 0
    s_mov_b32 s22, 10
.Lloop:
    s_add_i32 s20, s20, s22
    s_sub_i32 s22, s22, 1
    s_cmp_lg_u32 s22, 0
    s_cbranch_scc1 .Lloop
    s_getpc_b64 s[24:25]
.Lhere:
    s_add_u32 s24, s24, .Lfunction - .Lhere
    s_addc_u32 s25, s25, 0
    s_swappc_b64 s[32:33], s[24:25]
    s_branch .Lend
.Lfunction:
    s_mul_i32 s21, s16, 7
    s_setpc_b64 s[32:33]
.Lend:
end_case loop_and_call
