#define CK_FMHA_ISA isa_avx2
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_avx2 = isa_avx2::make_isa_kernels("avx2");

} // namespace ck_fmha::cpu
