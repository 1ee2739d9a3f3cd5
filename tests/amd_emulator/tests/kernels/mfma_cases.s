// One matrix product each. Arguments: a and b (2 dwords a lane), c and d (32 dwords a lane).
#include "kernel.inc"

.macro mfma_case name, instruction, sources, registers
    begin_kernel \name
    s_load_dwordx8 s[4:11], s[0:1], 0x0
    v_lshlrev_b32 v1, 3, v0
    v_lshlrev_b32 v2, 7, v0
    s_waitcnt lgkmcnt(0)
    global_load_dwordx2 v[4:5], v1, s[4:5]
    global_load_dwordx2 v[6:7], v1, s[6:7]
    .irp i, 0, 4, 8, 12, 16, 20, 24, 28
    global_load_dwordx4 v[32+\i:35+\i], v2, s[8:9] offset:4*\i
    .endr
    s_waitcnt vmcnt(0)
    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
    v_accvgpr_write_b32 a\i, v[32+\i]
    .endr
    s_nop 7
    .if \sources == 2
    \instruction a[0:\registers-1], v[4:5], v[6:7], a[0:\registers-1]
    .else
    \instruction a[0:\registers-1], v4, v6, a[0:\registers-1]
    .endif
    s_nop 15
    s_nop 7
    .irp i, 0, 4, 8, 12, 16, 20, 24, 28
    global_store_dwordx4 v2, a[\i:3+\i], s[10:11] offset:4*\i
    .endr
    end_kernel \name, 0, 32
.endm

#if defined(__gfx90a__)
mfma_case f32_32x32x1, v_mfma_f32_32x32x1f32, 1, 32
mfma_case f32_16x16x1, v_mfma_f32_16x16x1f32, 1, 16
mfma_case f32_4x4x1, v_mfma_f32_4x4x1f32, 1, 4
mfma_case f32_32x32x2, v_mfma_f32_32x32x2f32, 1, 16
mfma_case f32_16x16x4, v_mfma_f32_16x16x4f32, 1, 4
mfma_case f16_32x32x4, v_mfma_f32_32x32x4f16, 2, 32
mfma_case f16_16x16x4, v_mfma_f32_16x16x4f16, 2, 16
mfma_case f16_4x4x4, v_mfma_f32_4x4x4f16, 2, 4
mfma_case f16_32x32x8, v_mfma_f32_32x32x8f16, 2, 16
mfma_case f16_16x16x16, v_mfma_f32_16x16x16f16, 2, 4
mfma_case bf16_32x32x4_1k, v_mfma_f32_32x32x4bf16_1k, 2, 32
mfma_case bf16_16x16x4_1k, v_mfma_f32_16x16x4bf16_1k, 2, 16
mfma_case bf16_4x4x4_1k, v_mfma_f32_4x4x4bf16_1k, 2, 4
mfma_case bf16_32x32x8_1k, v_mfma_f32_32x32x8bf16_1k, 2, 16
mfma_case bf16_16x16x16_1k, v_mfma_f32_16x16x16bf16_1k, 2, 4
mfma_case bf16_32x32x2, v_mfma_f32_32x32x2bf16, 1, 32
mfma_case bf16_16x16x2, v_mfma_f32_16x16x2bf16, 1, 16
mfma_case bf16_4x4x2, v_mfma_f32_4x4x2bf16, 1, 4
mfma_case bf16_32x32x4, v_mfma_f32_32x32x4bf16, 1, 16
mfma_case bf16_16x16x8, v_mfma_f32_16x16x8bf16, 1, 4
#else
mfma_case f32_32x32x1, v_mfma_f32_32x32x1_2b_f32, 1, 32
mfma_case f32_16x16x1, v_mfma_f32_16x16x1_4b_f32, 1, 16
mfma_case f32_4x4x1, v_mfma_f32_4x4x1_16b_f32, 1, 4
mfma_case f32_32x32x2, v_mfma_f32_32x32x2_f32, 1, 16
mfma_case f32_16x16x4, v_mfma_f32_16x16x4_f32, 1, 4
mfma_case f16_32x32x4, v_mfma_f32_32x32x4_2b_f16, 2, 32
mfma_case f16_16x16x4, v_mfma_f32_16x16x4_4b_f16, 2, 16
mfma_case f16_4x4x4, v_mfma_f32_4x4x4_16b_f16, 2, 4
mfma_case f16_32x32x8, v_mfma_f32_32x32x8_f16, 2, 16
mfma_case f16_16x16x16, v_mfma_f32_16x16x16_f16, 2, 4
mfma_case bf16_32x32x4_1k, v_mfma_f32_32x32x4_2b_bf16, 2, 32
mfma_case bf16_16x16x4_1k, v_mfma_f32_16x16x4_4b_bf16, 2, 16
mfma_case bf16_4x4x4_1k, v_mfma_f32_4x4x4_16b_bf16, 2, 4
mfma_case bf16_32x32x8_1k, v_mfma_f32_32x32x8_bf16, 2, 16
mfma_case bf16_16x16x16_1k, v_mfma_f32_16x16x16_bf16, 2, 4
#endif
