// A copy through LDS, right and wrong: each lane of a work-group of 128 stores its dword of src to LDS, and reads that of the other wave's lane.
// Arguments: src, dst. Each kernel below lacks one thing, or has one too many.
#include "kernel.inc"

.set kWaitScalar, 1
.set kWaitLoad, 2
.set kWaitLdsStore, 4
.set kBarrier, 8
.set kWaitLdsLoad, 16
.set kAll, 31

.macro wait_if parts, part, what:vararg
    .if (\parts) & (\part)
    \what
    .endif
.endm

.macro copy name, parts, lds_dma=0
    begin_kernel \name
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    v_lshlrev_b32 v1, 2, v0
    v_xor_b32 v2, 0x100, v1
    wait_if \parts, kWaitScalar, s_waitcnt lgkmcnt(0)
    .if \lds_dma
    v_readfirstlane_b32 s10, v1            // the wave's first byte in LDS
    s_mov_b32 m0, s10
    s_mov_b32 s12, s4
    s_and_b32 s13, s5, 0xffff
    s_mov_b32 s14, -1
    s_mov_b32 s15, 0x20000
    buffer_load_dword v1, s[12:15], 0 offen lds
    wait_if \parts, kWaitLoad, s_waitcnt vmcnt(0)
    .else
    global_load_dword v3, v1, s[4:5]
    wait_if \parts, kWaitLoad, s_waitcnt vmcnt(0)
    ds_write_b32 v1, v3
    wait_if \parts, kWaitLdsStore, s_waitcnt lgkmcnt(0)
    .endif
    wait_if \parts, kBarrier, s_barrier
    ds_read_b32 v4, v2
    wait_if \parts, kWaitLdsLoad, s_waitcnt lgkmcnt(0)
    global_store_dword v1, v4, s[6:7]
    end_kernel \name, 512, 16
.endm

copy complete, kAll
copy complete_dma, kAll, 1
copy no_wait_for_scalar_load, kAll - kWaitScalar
copy no_wait_for_load, kAll - kWaitLoad
copy no_wait_for_lds_store, kAll - kWaitLdsStore
copy no_barrier, kAll - kBarrier
copy no_wait_for_lds_load, kAll - kWaitLdsLoad
copy no_wait_for_dma, kAll - kWaitLoad, 1

// A wait that leaves one operation outstanding, where two are in flight: the first has come, the second has not.
.macro two_loads name, used
    begin_kernel \name
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    v_lshlrev_b32 v1, 2, v0
    s_waitcnt lgkmcnt(0)
    global_load_dword v3, v1, s[4:5]
    global_load_dword v4, v1, s[4:5]
    s_waitcnt vmcnt(1)
    v_mov_b32 v5, \used
    s_waitcnt vmcnt(0)
    global_store_dword v1, v5, s[6:7]
    end_kernel \name, 0, 16
.endm
two_loads first_of_two, v3
two_loads second_of_two, v4

// Loads of one kind come in order, so the second may have the destination of the first.
begin_kernel reload
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    v_lshlrev_b32 v1, 2, v0
    v_xor_b32 v2, 0x100, v1
    s_waitcnt lgkmcnt(0)
    global_load_dword v3, v1, s[4:5]
    global_load_dword v3, v2, s[4:5]
    s_waitcnt vmcnt(0)
    global_store_dword v1, v3, s[6:7]
end_kernel reload, 0, 16

// Scalar loads come in any order, so a wait for all but one is worth nothing.
begin_kernel scalar_loads_in_order
    s_load_dwordx2 s[4:5], s[0:1], 0x0
    s_load_dwordx2 s[6:7], s[0:1], 0x8
    s_waitcnt lgkmcnt(1)
    s_mov_b64 s[8:9], s[4:5]
end_kernel scalar_loads_in_order, 0, 16

begin_kernel undefined_address
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    s_waitcnt lgkmcnt(0)
    v_add_u32 v9, 4, v8
    global_load_dword v3, v9, s[4:5]
end_kernel undefined_address, 0, 16

begin_kernel undefined_branch
    s_cmp_eq_u32 s40, 0
    s_cbranch_scc1 .Lnext
.Lnext:
end_kernel undefined_branch, 0, 16

begin_kernel undefined_selection
    s_mov_b32 s4, 0
    s_cmp_eq_u32 s40, 0
    s_cselect_b32 s4, s4, 1
    s_cmp_eq_u32 s4, 0
    s_cbranch_scc1 .Lselected
.Lselected:
end_kernel undefined_selection, 0, 16

begin_kernel undefined_exec
    v_cmp_eq_u32 vcc, 0, v8
    s_and_saveexec_b64 s[4:5], vcc
end_kernel undefined_exec, 0, 16

begin_kernel undefined_store
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    v_lshlrev_b32 v1, 2, v0
    s_waitcnt lgkmcnt(0)
    global_store_dword v1, v8, s[6:7]
end_kernel undefined_store, 0, 16

// The undefined half does not matter, neither do undefined upper halves of 64-bit sums, nor what is not selected.
begin_kernel undefined_but_harmless
    s_load_dwordx4 s[4:7], s[0:1], 0x0
    v_lshlrev_b32 v1, 2, v0
    s_waitcnt lgkmcnt(0)
    global_load_short_d16 v8, v1, s[4:5]
    s_waitcnt vmcnt(0)
    v_and_b32 v9, 0xffff, v8
    v_mov_b32 v10, 1
    v_mad_u64_u32 v[10:11], vcc, v9, 1, v[10:11]
    s_cmp_eq_u32 0, 0
    s_cselect_b32 s9, 0, s40
    s_cmp_eq_u32 s9, 0
    s_cbranch_scc0 .Lharmless
    s_mov_b64 s[12:13], exec
    s_mov_b64 exec, 0xff
    s_or_b64 s[40:41], s[40:41], exec
    s_and_saveexec_b64 s[10:11], s[40:41]
    s_mov_b64 exec, s[12:13]
    global_store_dword v1, v10, s[6:7]
.Lharmless:
end_kernel undefined_but_harmless, 0, 16

begin_kernel lds_out_of_bounds
    v_lshlrev_b32 v1, 2, v0
    ds_write_b32 v1, v0 offset:8
end_kernel lds_out_of_bounds, 256, 16

begin_kernel unknown_instruction
    v_mov_b32 v1, 0
    v_cvt_off_f32_i4 v1, v1
end_kernel unknown_instruction, 0, 16

begin_kernel endless
.Lagain:
    s_branch .Lagain
end_kernel endless, 0, 16

begin_kernel too_high_register
    v_mov_b32 v64, 0
end_kernel too_high_register, 0, 16
