// One instance of the forward as nvcc compiles it.
#define CK_FMHA_MASK and_<big_bird, diagonal>
#define CK_FMHA_DTYPE bf16
#define CK_FMHA_HEAD_DIM 128
#define CK_FMHA_WAVES 4
#include "gpu/kernel/fwd_entry.hpp"
