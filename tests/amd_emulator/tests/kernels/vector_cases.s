// One vector instruction each: test_vector_alu.cpp knows what they must do. Registers: see begin_case in kernel.inc.
#include "kernel.inc"

// --- moves, logic, shifts ---
case v_mov_b32, v_mov_b32 v16, v4
case v_not_b32, v_not_b32 v16, v4
case v_and_b32, v_and_b32 v16, v4, v8
case v_or_b32, v_or_b32 v16, s16, v8
case v_xor_b32, v_xor_b32 v16, v4, v8
case v_and_or_b32, v_and_or_b32 v16, v4, v8, v12
case v_bfi_b32, v_bfi_b32 v16, v4, v8, v12
case v_bfrev_b32, v_bfrev_b32 v16, v4
case v_perm_b32, v_perm_b32 v16, v4, v8, v12
case v_alignbit_b32, v_alignbit_b32 v16, v4, v8, v12
case v_alignbyte_b32, v_alignbyte_b32 v16, v4, v8, v12
case v_cndmask_b32, v_cndmask_b32 v16, v4, v8, vcc
case v_cndmask_b32_pair, v_cndmask_b32_e64 v16, v4, v8, s[18:19]
case v_cndmask_b32_signs, v_cndmask_b32_e64 v16, -v4, |v8|, vcc
case v_lshlrev_b32, v_lshlrev_b32 v16, v4, v8
case v_lshrrev_b32, v_lshrrev_b32 v16, v4, v8
case v_ashrrev_i32, v_ashrrev_i32 v16, v4, v8
case v_lshlrev_b64, v_lshlrev_b64 v[16:17], v4, v[8:9]
case v_lshrrev_b64, v_lshrrev_b64 v[16:17], v4, v[8:9]
case v_ashrrev_i64, v_ashrrev_i64 v[16:17], v4, v[8:9]
case v_lshlrev_b16, v_lshlrev_b16 v16, v4, v8
case v_lshrrev_b16, v_lshrrev_b16 v16, v4, v8
case v_ashrrev_i16, v_ashrrev_i16 v16, v4, v8
case v_lshl_or_b32, v_lshl_or_b32 v16, v4, v8, v12
case v_lshl_add_u32, v_lshl_add_u32 v16, v4, v8, v12
case v_add_lshl_u32, v_add_lshl_u32 v16, v4, v8, v12
case v_bfe_u32, v_bfe_u32 v16, v4, v8, v12
case v_bfe_i32, v_bfe_i32 v16, v4, v8, v12
case_of v_accvgpr_round_trip, "v_accvgpr_write_b32 a7, v4", "v_accvgpr_read_b32 v16, a7"
// --- sums, products, choices, counts ---
case v_add_u32, v_add_u32 v16, v4, v8
case v_sub_u32, v_sub_u32 v16, v4, v8
case v_add_i32_clamp, v_add_i32 v16, v4, v8 clamp
case v_sub_i32_clamp, v_sub_i32 v16, v4, v8 clamp
case v_add_u32_clamp, v_add_u32_e64 v16, v4, v8 clamp
case v_sub_u32_clamp, v_sub_u32_e64 v16, v4, v8 clamp
case v_subrev_u32, v_subrev_u32 v16, v4, v8
case v_add3_u32, v_add3_u32 v16, v4, v8, v12
case v_add_co_u32, v_add_co_u32 v16, vcc, v4, v8
case v_addc_co_u32, v_addc_co_u32 v16, vcc, v4, v8, vcc
case v_subb_co_u32, v_subb_co_u32 v16, vcc, v4, v8, vcc
case v_subbrev_co_u32, v_subbrev_co_u32 v16, vcc, v4, v8, vcc
case v_add_u16, v_add_u16 v16, v4, v8
case v_sub_u16, v_sub_u16 v16, v4, v8
case v_mad_u16_high, v_mad_u16 v16, v4, v8, v12 op_sel:[1,0,1,1]
case v_mul_lo_u32, v_mul_lo_u32 v16, v4, v8
case v_mul_hi_u32, v_mul_hi_u32 v16, v4, v8
case v_mul_hi_i32, v_mul_hi_i32 v16, v4, v8
case v_mul_u32_u24, v_mul_u32_u24 v16, v4, v8
case v_mul_i32_i24, v_mul_i32_i24 v16, v4, v8
case v_mad_u32_u24, v_mad_u32_u24 v16, v4, v8, v12
case v_mul_lo_u16, v_mul_lo_u16 v16, v4, v8
case v_mad_u64_u32, v_mad_u64_u32 v[16:17], vcc, v4, v8, v[12:13]
case v_mad_i64_i32, v_mad_i64_i32 v[16:17], vcc, v4, v8, v[12:13]
case v_min_i32, v_min_i32 v16, v4, v8
case v_max_u32, v_max_u32 v16, v4, v8
case v_med3_i32, v_med3_i32 v16, v4, v8, v12
case v_min3_u32, v_min3_u32 v16, v4, v8, v12
case v_bcnt_u32_b32, v_bcnt_u32_b32 v16, v4, v8
case v_ffbh_u32, v_ffbh_u32 v16, v4
case v_ffbl_b32, v_ffbl_b32 v16, v4
case_of v_mbcnt, "v_mbcnt_lo_u32_b32 v16, s16, 0", "v_mbcnt_hi_u32_b32 v16, s17, v16"
case v_sad_u8, v_sad_u8 v16, v4, v8, v12
case v_literal, v_add_u32 v16, 0x12345678, v4
case v_inline_negative, v_add_u32 v16, -7, v4
// --- floating point ---
case v_add_f32, v_add_f32 v16, v4, v8
case v_sub_f32, v_sub_f32 v16, v4, v8
case v_subrev_f32, v_subrev_f32 v16, v4, v8
case v_mul_f32, v_mul_f32 v16, v4, v8
case v_fma_f32_signs, v_fma_f32 v16, -v4, |v8|, -|v12|
case v_fmac_f32, v_fmac_f32 v16, v4, v8
case v_fma_f32_clamp, v_fma_f32 v16, v4, v8, v12 clamp
case v_mul_f32_times_four, v_mul_f32 v16, v4, v8 mul:4
case v_min_f32, v_min_f32 v16, v4, v8
case v_max_f32, v_max_f32 v16, v4, v8
case v_max3_f32, v_max3_f32 v16, v4, v8, v12
case v_med3_f32, v_med3_f32 v16, v4, v8, v12
case v_floor_f32, v_floor_f32 v16, v4
case v_rndne_f32, v_rndne_f32 v16, v4
case v_ldexp_f32, v_ldexp_f32 v16, v4, v8
case v_mul_f32_constant, v_mul_f32 v16, 0.15915494, v4
case v_exp_f32, v_exp_f32 v16, v4
case v_log_f32, v_log_f32 v16, v4
case v_rcp_f32, v_rcp_f32 v16, v4
case v_rsq_f32, v_rsq_f32 v16, v4
case v_sqrt_f32, v_sqrt_f32 v16, v4
case v_add_f64, v_add_f64 v[16:17], v[4:5], v[8:9]
case v_fma_f64, v_fma_f64 v[16:17], v[4:5], -v[8:9], v[12:13]
case v_mul_f64_constant, v_mul_f64 v[16:17], v[4:5], 0.5
case v_add_f16, v_add_f16 v16, v4, v8
case v_mul_f16, v_mul_f16 v16, v4, v8
case v_fma_f16, v_fma_f16 v16, v4, v8, v12
case v_fma_f16_high, v_fma_f16 v16, v4, v8, v12 op_sel:[1,0,1,1]
case v_max_f16, v_max_f16 v16, v4, v8
case v_add_f16_constant, v_add_f16 v16, 1.0, v4
// --- conversions ---
case v_cvt_f32_i32, v_cvt_f32_i32 v16, v4
case v_cvt_f32_u32, v_cvt_f32_u32 v16, v4
case v_cvt_i32_f32, v_cvt_i32_f32 v16, v4
case v_cvt_u32_f32, v_cvt_u32_f32 v16, v4
case v_cvt_f16_f32, v_cvt_f16_f32 v16, v4
case v_cvt_f32_f16, v_cvt_f32_f16 v16, v4
case v_cvt_f32_f64, v_cvt_f32_f64 v16, v[4:5]
case v_cvt_f64_f32, v_cvt_f64_f32 v[16:17], v4
case v_cvt_f32_ubyte2, v_cvt_f32_ubyte2 v16, v4
case v_cvt_pkrtz_f16_f32, v_cvt_pkrtz_f16_f32 v16, v4, v8
case v_pack_b32_f16, v_pack_b32_f16 v16, v4, v8
case v_pack_b32_f16_high, v_pack_b32_f16 v16, v4, v8 op_sel:[1,1,0]
// --- packed and mixed ---
case v_pk_add_f32, v_pk_add_f32 v[16:17], v[4:5], v[8:9]
case v_pk_fma_f32_select, v_pk_fma_f32 v[16:17], v[4:5], v[8:9], v[12:13] op_sel:[0,1,0] op_sel_hi:[1,0,1] neg_lo:[0,0,1]
case v_pk_mul_f32_scalar, v_pk_mul_f32 v[16:17], v[4:5], s[16:17] op_sel_hi:[1,0]
case v_pk_mov_b32, v_pk_mov_b32 v[16:17], v[4:5], v[8:9] op_sel:[1,0]
case v_pk_fma_f16, v_pk_fma_f16 v16, v4, v8, v12
case v_pk_mul_f16_select, v_pk_mul_f16 v16, v4, v8 op_sel:[1,0] op_sel_hi:[0,0] neg_hi:[1,0]
case v_pk_add_u16, v_pk_add_u16 v16, v4, v8
case v_pk_max_i16, v_pk_max_i16 v16, v4, v8
case v_pk_lshlrev_b16, v_pk_lshlrev_b16 v16, v4, v8
case v_fma_mix_f32, v_fma_mix_f32 v16, v4, -v8, v12 op_sel:[0,1,0] op_sel_hi:[0,1,0]
case v_fma_mixlo_f16, v_fma_mixlo_f16 v16, v4, v8, v12 op_sel:[0,0,1] op_sel_hi:[0,1,1]
case v_fma_mixhi_f16, v_fma_mixhi_f16 v16, v4, v8, v12 op_sel_hi:[1,1,1]
// --- SDWA ---
case sdwa_bytes_signed, v_add_u32_sdwa v16, sext(v4), v8 dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:BYTE_3 src1_sel:WORD_1
case sdwa_word_signed, v_add_u32_sdwa v16, sext(v4), sext(v8) dst_sel:DWORD dst_unused:UNUSED_PAD src0_sel:WORD_1 src1_sel:BYTE_0
case sdwa_to_byte_preserve, v_mov_b32_sdwa v16, v4 dst_sel:BYTE_2 dst_unused:UNUSED_PRESERVE src0_sel:BYTE_1
case sdwa_to_word_pad, v_mov_b32_sdwa v16, v4 dst_sel:WORD_1 dst_unused:UNUSED_PAD src0_sel:WORD_0
case sdwa_to_byte_sext, v_mov_b32_sdwa v16, v4 dst_sel:BYTE_1 dst_unused:UNUSED_SEXT src0_sel:BYTE_0
case sdwa_add_f16, v_add_f16_sdwa v16, v4, v8 dst_sel:WORD_1 dst_unused:UNUSED_PRESERVE src0_sel:WORD_1 src1_sel:WORD_0
case sdwa_cmp, v_cmp_eq_u32_sdwa vcc, v4, v8 src0_sel:BYTE_0 src1_sel:BYTE_1
// --- DPP ---
case dpp_quad_perm, v_mov_b32_dpp v16, v4 quad_perm:[2,3,0,1] row_mask:0xf bank_mask:0xf
case dpp_row_shl, v_mov_b32_dpp v16, v4 row_shl:3 row_mask:0xf bank_mask:0xf
case dpp_row_shr_zero, v_mov_b32_dpp v16, v4 row_shr:5 row_mask:0xf bank_mask:0xf bound_ctrl:0
case dpp_row_ror, v_mov_b32_dpp v16, v4 row_ror:4 row_mask:0xf bank_mask:0xf
case dpp_row_mirror, v_mov_b32_dpp v16, v4 row_mirror row_mask:0xf bank_mask:0xf
case dpp_row_half_mirror, v_mov_b32_dpp v16, v4 row_half_mirror row_mask:0xf bank_mask:0xf
case dpp_row_bcast15, v_mov_b32_dpp v16, v4 row_bcast:15 row_mask:0xa bank_mask:0xf
case dpp_row_bcast31, v_mov_b32_dpp v16, v4 row_bcast:31 row_mask:0xc bank_mask:0xf
case dpp_wave_shr, v_mov_b32_dpp v16, v4 wave_shr:1 row_mask:0xf bank_mask:0xf
case dpp_masks, v_mov_b32_dpp v16, v4 quad_perm:[0,1,2,3] row_mask:0x5 bank_mask:0x3
case dpp_add_f32, v_add_f32_dpp v16, v4, v8 row_newbcast:2 row_mask:0xf bank_mask:0xf
// --- comparisons and EXEC ---
case v_cmp_lt_f32, v_cmp_lt_f32 vcc, v4, v8
case v_cmp_nlt_f32, v_cmp_nlt_f32 vcc, v4, v8
case v_cmp_u_f32, v_cmp_u_f32 vcc, v4, v8
case v_cmp_lg_f32, v_cmp_lg_f32 vcc, v4, v8
case v_cmp_gt_i32, v_cmp_gt_i32 vcc, v4, v8
case v_cmp_le_u16, v_cmp_le_u16 vcc, v4, v8
case v_cmp_ne_u64, v_cmp_ne_u64 vcc, v[4:5], v[8:9]
case v_cmp_ge_f16, v_cmp_ge_f16 vcc, v4, v8
case v_cmp_class_f32, v_cmp_class_f32 vcc, v4, v8
case_of masked_write, "s_mov_b64 exec, s[18:19]", "v_add_u32 v16, v4, v8"
case_of masked_compare, "s_mov_b64 exec, s[18:19]", "v_cmp_gt_u32 vcc, v4, v8"
case v_readlane, v_readlane_b32 s20, v4, 37
case_of v_readfirstlane, "s_mov_b64 exec, s[18:19]", "v_readfirstlane_b32 s20, v4"
case v_writelane, v_writelane_b32 v16, s16, 41
case v_swap_b32, v_swap_b32 v16, v4
// --- the mode register ---
begin_case flushing_add_f32
    v_add_f32 v16, v4, v8
    v_add_f16 v17, v5, v9
end_case flushing_add_f32, 0
