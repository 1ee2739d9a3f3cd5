#define CK_FMHA_ISA isa_avx2
#include "cpu/dropout_impl.hpp"
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_avx2 = {"avx2",
                                            isa_avx2::make_tile_kernels<float>(),
                                            isa_avx2::make_tile_kernels<double>(),
                                            {},
                                            {},
                                            isa_avx2::dropout_key_bits};

} // namespace ck_fmha::cpu
