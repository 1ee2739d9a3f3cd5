#define CK_FMHA_ISA isa_avx512
#include "cpu/dropout_impl.hpp"
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_avx512 = {"avx512",
                                              isa_avx512::make_tile_kernels<float>(),
                                              isa_avx512::make_tile_kernels<double>(),
                                              {},
                                              {},
                                              isa_avx512::dropout_key_bits};

} // namespace ck_fmha::cpu
