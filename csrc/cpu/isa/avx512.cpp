#define CK_FMHA_ISA isa_avx512
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const TileKernels kTileKernels_avx512 = isa_avx512::make_tile_kernels("avx512");

} // namespace ck_fmha::cpu
