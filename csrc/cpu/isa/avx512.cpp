#define CK_FMHA_ISA isa_avx512
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_avx512 = isa_avx512::make_isa_kernels("avx512");

} // namespace ck_fmha::cpu
