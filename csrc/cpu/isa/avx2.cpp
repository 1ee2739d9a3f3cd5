#define CK_FMHA_ISA isa_avx2
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const TileKernels kTileKernels_avx2 = isa_avx2::make_tile_kernels("avx2");

} // namespace ck_fmha::cpu
