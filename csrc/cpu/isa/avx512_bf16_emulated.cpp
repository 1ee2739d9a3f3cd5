#define CK_FMHA_ISA isa_avx512_bf16_emulated
#define CK_FMHA_EMULATE_BF16
#include "cpu/pair_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const TileKernels<Bf16Pair> kPairKernels_avx512_bf16_emulated = isa_avx512_bf16_emulated::make_pair_kernels();

} // namespace ck_fmha::cpu
