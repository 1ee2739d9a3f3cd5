// Memory instructions. Arguments: src, dst, and what else each kernel says. The work-item's number is in v0.
#include "kernel.inc"

.macro begin_memory name
    begin_kernel \name
    s_load_dwordx4 s[4:7], s[0:1], 0x0   // src, dst
    s_load_dwordx2 s[8:9], s[0:1], 0x10  // numbers
    v_lshlrev_b32 v1, 2, v0              // 4 bytes a lane
    v_lshlrev_b32 v2, 4, v0              // 16 bytes a lane
    v_mov_b32 v3, 0
    s_waitcnt lgkmcnt(0)
.endm
.macro end_memory name
    s_waitcnt vmcnt(0) lgkmcnt(0)
    global_store_dwordx4 v2, v[16:19], s[6:7]
    end_kernel \name, 4096, 24
.endm
.macro clear_result
    v_mov_b32 v16, 0
    v_mov_b32 v17, 0
    v_mov_b32 v18, 0
    v_mov_b32 v19, 0
.endm

// The destination overlaps the address.
begin_memory overlapping_load
    v_mov_b32 v5, s5
    v_add_co_u32 v4, vcc, s4, v2
    v_addc_co_u32 v5, vcc, v5, v3, vcc
    global_load_dwordx4 v[4:7], v[4:5], off
    s_waitcnt vmcnt(0)
    v_mov_b32 v16, v4
    v_mov_b32 v17, v5
    v_mov_b32 v18, v6
    v_mov_b32 v19, v7
end_memory overlapping_load

// Bytes and shorts, signed and not, into halves.
begin_memory narrow_loads
    clear_result
    global_load_ubyte v16, v1, s[4:5] offset:1
    global_load_sshort v17, v1, s[4:5] offset:2
    global_load_short_d16 v18, v1, s[4:5]
    s_waitcnt vmcnt(0)
    global_load_short_d16_hi v18, v1, s[4:5] offset:2
    global_load_sbyte v19, v1, s[4:5] offset:3
end_memory narrow_loads

// The narrow stores of one dword: its bytes in reverse order.
begin_memory narrow_stores
    clear_result
    global_load_dword v4, v1, s[4:5]
    s_waitcnt vmcnt(0)
    v_lshrrev_b32 v5, 24, v4
    v_lshrrev_b32 v6, 8, v4
    v_lshlrev_b32 v7, 8, v4
    global_store_byte v2, v5, s[6:7]
    global_store_byte_d16_hi v2, v4, s[6:7] offset:1
    global_store_byte v2, v6, s[6:7] offset:2
    global_store_byte v2, v4, s[6:7] offset:3
    global_store_short v2, v4, s[6:7] offset:4
    global_store_short_d16_hi v2, v4, s[6:7] offset:6
    global_load_dwordx2 v[16:17], v2, s[6:7]
end_memory narrow_stores

// A buffer of s8 bytes to load from, and one of s9 bytes to store to: dwords beyond them load 0 and are not stored.
begin_memory buffer_range
    s_mov_b32 s12, s4
    s_and_b32 s13, s5, 0xffff
    s_mov_b32 s14, s8
    s_mov_b32 s15, 0x20000
    clear_result
    s_mov_b32 s10, 8
    buffer_load_dwordx4 v[16:19], v2, s[12:15], s10 offen offset:4
    s_waitcnt vmcnt(0)
    s_mov_b32 s12, s6
    s_and_b32 s13, s7, 0xffff
    s_mov_b32 s14, s9
    v_add_u32 v4, 0x400, v1
    buffer_store_dword v0, v4, s[12:15], 0 offen
end_memory buffer_range

// A structured buffer: s9 bytes a record, s8 records.
begin_memory buffer_records
    s_mov_b32 s12, s4
    s_and_b32 s13, s5, 0xffff
    s_lshl_b32 s16, s9, 16
    s_or_b32 s13, s13, s16
    s_mov_b32 s14, s8
    s_mov_b32 s15, 0x20000
    clear_result
    buffer_load_dword v16, v0, s[12:15], 0 idxen offset:4
    buffer_load_ushort v17, v0, s[12:15], 0 idxen
end_memory buffer_records

// Scalar loads through an address and through a buffer of s8 bytes.
begin_memory scalar_loads
    s_mov_b32 s12, s4
    s_and_b32 s13, s5, 0xffff
    s_mov_b32 s14, s8
    s_mov_b32 s15, 0x20000
    s_mov_b32 s10, 8
    s_load_dword s20, s[4:5], s10
    s_buffer_load_dwordx4 s[24:27], s[12:15], 0x4
    s_load_dwordx2 s[22:23], s[4:5], 0x14
    s_waitcnt lgkmcnt(0)
    v_mov_b32 v16, s20
    v_mov_b32 v17, s23
    v_mov_b32 v18, s25
    v_mov_b32 v19, s27
end_memory scalar_loads

// Atomics of all lanes on a few dwords at dst + 1024. v4: what to add.
begin_memory global_atomics
    clear_result
    v_mov_b32 v4, 3
    v_mov_b32 v5, 1.0
    v_mov_b32 v6, v0
    v_mov_b32 v7, 5                        // compare with 5
    v_mov_b32 v8, 7
    v_mov_b32 v9, 0
#if defined(__gfx90a__)
    global_atomic_add v16, v3, v4, s[6:7] offset:1024 glc
    global_atomic_smax v17, v3, v0, s[6:7] offset:1032 glc
#else
    global_atomic_add v16, v3, v4, s[6:7] offset:1024 sc0
    global_atomic_smax v17, v3, v0, s[6:7] offset:1032 sc0
#endif
    global_atomic_add_f32 v3, v5, s[6:7] offset:1028
    global_atomic_cmpswap v3, v[6:7], s[6:7] offset:1036
    global_atomic_add_x2 v3, v[8:9], s[6:7] offset:1040
    global_atomic_umin v3, v0, s[6:7] offset:1048
    global_atomic_xor v3, v0, s[6:7] offset:1052
end_memory global_atomics

// A load straight into LDS, 16 dwords further.
begin_memory lds_dma
    clear_result
    s_mov_b32 s12, s4
    s_and_b32 s13, s5, 0xffff
    s_mov_b32 s14, -1
    s_mov_b32 s15, 0x20000
    s_mov_b32 m0, 64
    buffer_load_dword v1, s[12:15], 0 offen lds
    s_waitcnt vmcnt(0)
    ds_read_b32 v16, v1 offset:64
end_memory lds_dma

// Stores and loads of LDS of all widths; a second pair of addresses below the first.
begin_memory lds_widths
    clear_result
    global_load_dwordx4 v[4:7], v2, s[4:5]
    s_waitcnt vmcnt(0)
    ds_write_b128 v2, v[4:7]
    ds_read2_b32 v[16:17], v2 offset0:3 offset1:1
    ds_read_u16_d16_hi v18, v2 offset:2
    ds_read_i8 v19, v2 offset:15
end_memory lds_widths

// A base below zero, which the offsets bring back: addresses wrap round.
begin_memory lds_below_zero
    clear_result
    global_load_dwordx4 v[4:7], v2, s[4:5]
    v_add_u32 v8, 0xffffffe0, v2
    s_waitcnt vmcnt(0)
    ds_write_b96 v8, v[4:6] offset:32
    ds_write_b32 v8, v7 offset:44
    ds_read_b32 v16, v8 offset:36
    ds_read_b32 v17, v2 offset:8
    ds_read2_b32 v[18:19], v8 offset0:11 offset1:8
end_memory lds_below_zero

begin_memory lds_stores
    clear_result
    global_load_dwordx4 v[4:7], v2, s[4:5]
    s_waitcnt vmcnt(0)
    ds_write2_b32 v2, v4, v5 offset0:1 offset1:0
    ds_write_b16 v2, v6 offset:8
    ds_write_b16_d16_hi v2, v6 offset:10
    ds_write_b8 v2, v7 offset:12
    ds_write_b8_d16_hi v2, v7 offset:13
    ds_write_b16 v2, v4 offset:14
    ds_read_b128 v[16:19], v2
end_memory lds_stores

begin_memory lds_stride_64
    clear_result
    global_load_dwordx2 v[4:5], v2, s[4:5]
    s_waitcnt vmcnt(0)
    ds_write2st64_b32 v1, v4, v5 offset0:2 offset1:5
    ds_read2st64_b32 v[16:17], v1 offset0:5 offset1:2
end_memory lds_stride_64

// Atomics on LDS: counts, sums in float, a chain of exchanges.
begin_memory lds_atomics
    clear_result
    v_mov_b32 v4, 0
    v_mov_b32 v5, 1
    v_mov_b32 v6, 0.5
    ds_write_b64 v3, v[4:5]
    ds_write_b32 v3, v4 offset:8
    ds_add_rtn_u32 v16, v3, v5
    ds_add_f32 v3, v6 offset:8
    ds_max_u32 v3, v0 offset:4
    s_waitcnt lgkmcnt(0)
    ds_read2_b32 v[18:19], v3 offset0:1 offset1:2
    ds_wrxchg_rtn_b32 v17, v3, v0
end_memory lds_atomics

// Moves between lanes: v4 is the input; lanes come from src + 1024.
begin_memory lane_moves
    clear_result
    global_load_dword v4, v1, s[4:5]
    global_load_dword v5, v1, s[4:5] offset:1024
    s_waitcnt vmcnt(0)
    ds_bpermute_b32 v16, v5, v4
    ds_permute_b32 v17, v5, v4
    ds_swizzle_b32 v18, v4 offset:swizzle(BITMASK_PERM, "01pip")
    ds_swizzle_b32 v19, v4 offset:swizzle(QUAD_PERM, 3, 0, 2, 1)
end_memory lane_moves
