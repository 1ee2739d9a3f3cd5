#pragma once

// The one matrix product of the CPU back end (product_call.hpp), as the instruction set computes it.

#if defined(CK_FMHA_AMX)
#include "cpu/product_amx.hpp"
#else
#include "cpu/product_vectors.hpp"
#endif
