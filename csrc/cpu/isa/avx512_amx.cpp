#define CK_FMHA_ISA isa_avx512_amx
#define CK_FMHA_AMX
#include "cpu/pair_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const TileKernels<Bf16Pair> kPairKernels_avx512_amx = isa_avx512_amx::make_pair_kernels();
extern const TileKernels<Float16Pair> kFloat16Kernels_avx512_amx = isa_avx512_amx::make_float16_kernels();

} // namespace ck_fmha::cpu
