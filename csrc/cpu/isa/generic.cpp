#define CK_FMHA_ISA isa_generic
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_generic = isa_generic::make_isa_kernels("generic");

} // namespace ck_fmha::cpu
