#pragma once

// The eight tile registers of AMX, each 16 rows of 64 bytes, and their product of pairs of bfloat16. Included by
// isa/avx512_amx*.cpp only. With CK_FMHA_EMULATE_AMX the same operations in plain C++: slow, for tests on processors
// that lack the instructions.
//
// The instructions are written as assembly: g++'s intrinsics take the numbers of registers as text, and say nothing of
// the memory that they read and write.

#include <cstring>

#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu::CK_FMHA_ISA {

inline constexpr int kTileRows = 16;
inline constexpr int kTileCols = 16; // of 32-bit elements: pairs of bfloat16, or float

#if defined(CK_FMHA_EMULATE_AMX)

struct TileRegisters {
    TileConfig config;
    uint32_t tile[8][kTileRows][kTileCols];
};
static thread_local TileRegisters t_registers;

static inline void store_tile_config(TileConfig& config) { config = t_registers.config; }
static inline void load_tile_config(const TileConfig& config) { t_registers.config = config; }

// As the processor does where tiles are used that nobody has set up.
static inline auto& tile_register(int number)
{
    if (t_registers.config.bytes[0] != 1) __builtin_trap();
    return t_registers.tile[number];
}

template <int kTile>
static inline void zero_tile()
{
    std::memset(tile_register(kTile), 0, sizeof tile_register(kTile));
}
// Rows `ld` elements apart.
template <int kTile, class Element>
static inline void load_tile(const Element* p, ptrdiff_t ld)
{
    for (int r = 0; r < kTileRows; ++r)
        std::memcpy(tile_register(kTile)[r], p + r * ld, 64);
}
template <int kTile>
static inline void store_tile(float* p, ptrdiff_t ld)
{
    for (int r = 0; r < kTileRows; ++r)
        std::memcpy(p + r * ld, tile_register(kTile)[r], 64);
}

static inline float as_float(uint32_t bits)
{
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
// Subnormal numbers count as zero of their sign, in operands and results, whatever the processor is set to.
static inline float flushed(float x)
{
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return as_float((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

// tdpbf16ps, C += A B: A has rows of pairs, B a row of pairs for each pair of A. First and second products are summed
// apart, from zero; the sum of both is added to C. Every operation is rounded to nearest even.
template <int kC, int kA, int kB>
static inline void multiply_add_tiles()
{
    const auto product = [](uint32_t a, uint32_t b, float sum) {
        return flushed(__builtin_fmaf(flushed(as_float(a)), flushed(as_float(b)), sum));
    };
    for (int m = 0; m < kTileRows; ++m) {
        float first[kTileCols] = {}, second[kTileCols] = {};
        for (int k = 0; k < kTileCols; ++k) {
            const uint32_t a = tile_register(kA)[m][k], *b = tile_register(kB)[k];
            for (int n = 0; n < kTileCols; ++n) {
                first[n] = product(a << 16, b[n] << 16, first[n]);
                second[n] = product(a & 0xffff0000u, b[n] & 0xffff0000u, second[n]);
            }
        }
        for (int n = 0; n < kTileCols; ++n) {
            uint32_t& c = tile_register(kC)[m][n];
            const float sum = flushed(flushed(as_float(c)) + flushed(first[n] + second[n]));
            std::memcpy(&c, &sum, sizeof c);
        }
    }
}

#else

static inline void store_tile_config(TileConfig& config) { __asm__ volatile("sttilecfg %0" : "=m"(config)); }
// An empty configuration sets the registers free.
static inline void load_tile_config(const TileConfig& config)
{
    if (config.bytes[0] == 0)
        __asm__ volatile("tilerelease");
    else
        __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

template <int kTile>
static inline void zero_tile()
{
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
// Rows `ld` elements apart.
template <int kTile, class Element>
static inline void load_tile(const Element* p, ptrdiff_t ld)
{
    static_assert(sizeof(Element) == 4);
    __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(kTile), "r"(p), "r"(4 * ld) : "memory");
}
template <int kTile>
static inline void store_tile(float* p, ptrdiff_t ld)
{
    __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(kTile), "r"(p), "r"(4 * ld) : "memory");
}

// C += A B: A has rows of pairs, B a row of pairs for each pair of A.
template <int kC, int kA, int kB>
static inline void multiply_add_tiles()
{
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kC), "i"(kA), "i"(kB));
}

#endif

// Sets this thread's registers up for whole tiles; `before` is what they were set up for.
static inline void enter_tiles(TileConfig& before)
{
    store_tile_config(before);
    TileConfig config{}; // byte 0: palette 1; from byte 16 on: bytes of a row; from byte 48 on: rows
    config.bytes[0] = 1;
    for (int tile = 0; tile < 8; ++tile) {
        config.bytes[16 + 2 * tile] = 4 * kTileCols;
        config.bytes[48 + tile] = kTileRows;
    }
    load_tile_config(config);
}

// Other libraries may count on what they set up, and an operating system saves registers that are in use.
static inline void leave_tiles(const TileConfig& before) { load_tile_config(before); }

} // namespace ck_fmha::cpu::CK_FMHA_ISA
