#define CK_FMHA_ISA isa_avx512_amx_emulated
#define CK_FMHA_AMX
#define CK_FMHA_EMULATE_BF16
#define CK_FMHA_EMULATE_AMX
#include "cpu/pair_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const TileKernels<Bf16Pair> kPairKernels_avx512_amx_emulated = isa_avx512_amx_emulated::make_pair_kernels();
extern const TileKernels<Float16Pair> kFloat16Kernels_avx512_amx_emulated =
    isa_avx512_amx_emulated::make_float16_kernels();

} // namespace ck_fmha::cpu
