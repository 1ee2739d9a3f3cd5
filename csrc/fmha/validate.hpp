#pragma once

#include "fmha/fmha_args.h"

namespace ck_fmha {

// Throw std::invalid_argument that names the field and the value received. The core checks what could make it read or
// write out of bounds, whoever calls it; shapes and dtypes of tensors are checked in Python with better words.
void validate(const ck_fmha_fwd_args& args);
void validate(const ck_fmha_bwd_args& args);

} // namespace ck_fmha
