#pragma once

#include "fmha/fmha_args.h"
#include "fmha/mask_expr.hpp"

namespace ck_fmha::cpu {

// Attention over the live tiles of a mask. Arguments are validated (std::invalid_argument); memory beyond the outputs
// is O(threads * tile + seqlen). Results do not depend on the number of threads: every sum has a fixed order.
void attention_forward(const ck_fmha_fwd_args& args, const MaskExpr& mask);
void attention_backward(const ck_fmha_bwd_args& args, const MaskExpr& mask);

} // namespace ck_fmha::cpu
