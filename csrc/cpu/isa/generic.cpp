#define CK_FMHA_ISA isa_generic
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const TileKernels kTileKernels_generic = isa_generic::make_tile_kernels("generic");

} // namespace ck_fmha::cpu
