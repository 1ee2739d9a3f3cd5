#define CK_FMHA_ISA isa_generic
#include "cpu/dropout_impl.hpp"
#include "cpu/tile_kernels_impl.hpp"

namespace ck_fmha::cpu {

extern const IsaKernels kIsaKernels_generic = {"generic",
                                               isa_generic::make_tile_kernels<float>(),
                                               isa_generic::make_tile_kernels<double>(),
                                               {},
                                               {},
                                               isa_generic::dropout_key_bits};

} // namespace ck_fmha::cpu
