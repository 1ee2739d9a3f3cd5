#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cpu/amx_permission.hpp"
#include "cpu/tile_kernels.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_generic;
#if defined(CK_FMHA_X86)
extern const IsaKernels kIsaKernels_avx2;
extern const IsaKernels kIsaKernels_avx512;
extern const TileKernels<Bf16Pair> kPairKernels_avx512_bf16;
extern const TileKernels<Bf16Pair> kPairKernels_avx512_amx;
extern const TileKernels<Float16Pair> kFloat16Kernels_avx512_amx;
#endif
#if defined(CK_FMHA_EMULATED_ISA)
extern const TileKernels<Bf16Pair> kPairKernels_avx512_bf16_emulated;
extern const TileKernels<Bf16Pair> kPairKernels_avx512_amx_emulated;
extern const TileKernels<Float16Pair> kFloat16Kernels_avx512_amx_emulated;
#endif

namespace {

constexpr int kMaxTables = 7;

// Products of pairs of bfloat16 on top of AVX-512, and those of float16 made of several of them.
[[maybe_unused]] IsaKernels with_pairs(const char* name, IsaKernels kernels, const TileKernels<Bf16Pair>& pairs,
                                       const TileKernels<Float16Pair>& of_float16 = {})
{
    kernels.name = name;
    kernels.of_bf16_pairs = pairs;
    kernels.of_float16_pairs = of_float16;
    return kernels;
}

struct Available {
    IsaKernels tables[kMaxTables];
    const char* names[kMaxTables];
    int count = 0;

    Available()
    {
        add(kIsaKernels_generic);
#if defined(CK_FMHA_X86)
        __builtin_cpu_init();
        const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
        const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#if defined(CK_FMHA_EMULATED_ISA)
        if (avx512) add(with_pairs("avx512_bf16_emulated", kIsaKernels_avx512, kPairKernels_avx512_bf16_emulated));
        if (avx512)
            add(with_pairs("avx512_amx_emulated", kIsaKernels_avx512, kPairKernels_avx512_amx_emulated,
                           kFloat16Kernels_avx512_amx_emulated));
#endif
        const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
        // The last one is the default. AMD's processors multiply a pair in the time of a number: 1.7 times as fast as
        // float32 (Zen 5). Intel's do not: 1.4 to 1.6 times as slow (Sapphire Rapids), there it is used on request
        // only.
        const bool pairs_are_fast = bf16 && __builtin_cpu_is("amd");
        const IsaKernels of_vectors = with_pairs("avx512_bf16", kIsaKernels_avx512, kPairKernels_avx512_bf16);
        if (bf16 && !pairs_are_fast) add(of_vectors);
        if (avx2) add(kIsaKernels_avx2);
        if (avx512) add(kIsaKernels_avx512);
        if (pairs_are_fast) add(of_vectors);
        if (bf16 && amx_is_permitted())
            add(with_pairs("avx512_amx", kIsaKernels_avx512, kPairKernels_avx512_amx, kFloat16Kernels_avx512_amx));
#endif
    }

    void add(const IsaKernels& table)
    {
        tables[count] = table;
        names[count++] = table.name;
    }
};

const Available& available()
{
    static const Available a;
    return a;
}

const IsaKernels& select()
{
    const Available& a = available();
    const char* wanted = std::getenv("CK_FMHA_CPU_ISA");
    if (!wanted || !*wanted) return a.tables[a.count - 1];
    std::string names;
    for (int n = 0; n < a.count; ++n) {
        if (a.names[n] == std::string(wanted)) return a.tables[n];
        names += (n ? ", " : "") + std::string(a.names[n]);
    }
    throw std::runtime_error("ck_fmha: CK_FMHA_CPU_ISA is '" + std::string(wanted) + "', but this processor offers " +
                             names + ": choose one of them or unset the variable");
}

} // namespace

const IsaKernels& isa_kernels()
{
    static const IsaKernels& table = select();
    return table;
}

const char* const* available_isas(int* count)
{
    *count = available().count;
    return available().names;
}

} // namespace ck_fmha::cpu
