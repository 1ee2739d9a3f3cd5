#pragma once

#include "gpu/tile/mma_m16n8k16.hpp"

// The matrix atom of sm_90a: a warpgroup, four warps, multiplies 64 x 16 by 16 x kColumns (wgmma). B lies in shared
// memory, A there or in registers. Warp w has rows 16 w .. + 15 of A and of the result, as the atom of one warp
// (mma_m16n8k16.hpp) has them. Products run while the warps go on, until these wait for them.
//
// Shared memory is described by 64 bits. Tiles are rows of 64 dimensions, 128 bytes, or of 32, whose pieces of 16 bytes
// are swizzled (shared_panels.hpp):
//
//     bits  0..13   where it begins, / 16
//          16..29   from 64 dimensions to the next, / 16        if dimensions are the columns of B
//          32..45   from 8 rows to the next, / 16
//          62..63   1: rows of 128 bytes are swizzled, 2: of 64

namespace ck_fmha::gpu {

using Descriptor = unsigned long long;

// Before the first product of a group: registers that it reads or adds to may have been written.
CK_FMHA_DEVICE void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// After the last one: the group is under way.
CK_FMHA_DEVICE void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// All groups are over but the kLeft that were begun last.
template <index_t kLeft = 0>
CK_FMHA_DEVICE void wait_for_products()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}
// Nothing is done with these registers on the other side of this.
template <index_t kBlocks>
CK_FMHA_DEVICE void hold(MmaAcc (&c)[kBlocks])
{
    unroll<kBlocks>([&](auto n) { unroll<4>([&](auto e) { asm volatile("" : "+f"(c[n][e])::"memory"); }); });
}

// Nor written later than this, where they are operands.
template <index_t kChunks>
CK_FMHA_DEVICE void hold(const MmaA (&a)[kChunks])
{
    unroll<kChunks>([&](auto c) { unroll<4>([&](auto dword) { asm volatile("" ::"r"(a[c][dword]) : "memory"); }); });
}

// multiply_add(c, a, b, adds): c = a b, plus c if `adds`. Rows of a tile in shared memory are rows of A and columns of
// B; `kAcrossB` (`kAcrossA`): they are the depth.
template <class T, index_t kColumns, bool kAcrossB, bool kAcrossA = false>
struct WarpgroupProduct;

#define CK_FMHA_ACC4(n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define CK_FMHA_ACC16(n) CK_FMHA_ACC4(n), CK_FMHA_ACC4(n + 1), CK_FMHA_ACC4(n + 2), CK_FMHA_ACC4(n + 3)
#define CK_FMHA_REGISTERS_16 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define CK_FMHA_REGISTERS_32                                                                                           \
    CK_FMHA_REGISTERS_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define CK_FMHA_REGISTERS_64                                                                                           \
    CK_FMHA_REGISTERS_32                                                                                               \
    ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, " \
    "%54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define CK_FMHA_ACCUMULATORS_32 CK_FMHA_ACC16(0)
#define CK_FMHA_ACCUMULATORS_64 CK_FMHA_ACC16(0), CK_FMHA_ACC16(4)
#define CK_FMHA_ACCUMULATORS_128 CK_FMHA_ACCUMULATORS_64, CK_FMHA_ACC16(8), CK_FMHA_ACC16(12)

// The operands after the accumulators are numbered from N / 2 on.
#define CK_FMHA_WARPGROUP_PRODUCT(T, TYPE, N, REGISTERS, P0, P1, P2, P3, P4, P5, P6)                                   \
    template <bool kAcrossB, bool kAcrossA>                                                                            \
    struct WarpgroupProduct<T, N, kAcrossB, kAcrossA> {                                                                \
        CK_FMHA_DEVICE static void multiply_add(MmaAcc (&c)[N / 8], const MmaA& a, Descriptor b, bool adds)            \
        {                                                                                                              \
            asm volatile("{.reg .pred adds;\n setp.ne.b32 adds, " P5 ", 0;\n wgmma.mma_async.sync.aligned.m64n" #N     \
                         "k16.f32." TYPE "." TYPE " {" REGISTERS "}, {" P0 ", " P1 ", " P2 ", " P3 "}, " P4            \
                         ", adds, 1, 1, " P6 ";}"                                                                      \
                         : CK_FMHA_ACCUMULATORS_##N                                                                    \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)),            \
                           "n"(static_cast<int>(kAcrossB)));                                                           \
        }                                                                                                              \
        CK_FMHA_DEVICE static void multiply_add(MmaAcc (&c)[N / 8], Descriptor a, Descriptor b, bool adds)             \
        {                                                                                                              \
            asm volatile("{.reg .pred adds;\n setp.ne.b32 adds, " P2 ", 0;\n wgmma.mma_async.sync.aligned.m64n" #N     \
                         "k16.f32." TYPE "." TYPE " {" REGISTERS "}, " P0 ", " P1 ", adds, 1, 1, " P3 ", " P4 ";}"     \
                         : CK_FMHA_ACCUMULATORS_##N                                                                    \
                         : "l"(a), "l"(b), "r"(static_cast<int>(adds)), "n"(static_cast<int>(kAcrossA)),               \
                           "n"(static_cast<int>(kAcrossB)));                                                           \
        }                                                                                                              \
    };
CK_FMHA_WARPGROUP_PRODUCT(f16, "f16", 32, CK_FMHA_REGISTERS_16, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
CK_FMHA_WARPGROUP_PRODUCT(bf16, "bf16", 32, CK_FMHA_REGISTERS_16, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
CK_FMHA_WARPGROUP_PRODUCT(f16, "f16", 64, CK_FMHA_REGISTERS_32, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
CK_FMHA_WARPGROUP_PRODUCT(bf16, "bf16", 64, CK_FMHA_REGISTERS_32, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
CK_FMHA_WARPGROUP_PRODUCT(f16, "f16", 128, CK_FMHA_REGISTERS_64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
CK_FMHA_WARPGROUP_PRODUCT(bf16, "bf16", 128, CK_FMHA_REGISTERS_64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
#undef CK_FMHA_WARPGROUP_PRODUCT
#undef CK_FMHA_ACCUMULATORS_128
#undef CK_FMHA_ACCUMULATORS_64
#undef CK_FMHA_ACCUMULATORS_32
#undef CK_FMHA_REGISTERS_64
#undef CK_FMHA_REGISTERS_32
#undef CK_FMHA_REGISTERS_16
#undef CK_FMHA_ACC16
#undef CK_FMHA_ACC4

} // namespace ck_fmha::gpu
