// The backward of backend="ck_tile" as an instance, compiled as HIP against the stand-in.

#define CK_FMHA_MASK or_<longformer_tokens, and_<big_bird, diagonal>>
#define CK_FMHA_DTYPE __bf16
#define CK_FMHA_HEAD_DIM 128
#define CK_FMHA_PADS 1
#include "gpu/ck_tile/bwd_entry.hpp"
