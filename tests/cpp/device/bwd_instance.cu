// One instance of the backward as nvcc compiles it.
#define CK_FMHA_MASK and_<big_bird, diagonal>
#define CK_FMHA_DTYPE bf16
#define CK_FMHA_HEAD_DIM 128
#define CK_FMHA_WAVES 8
#define CK_FMHA_ADDS_DQ 1
#include "gpu/kernel/bwd_entry.hpp"
