#pragma once

#include <ck_tile/ops/fmha/block/block_masking.hpp>
#include <ck_tile/ops/fmha/kernel/fmha_bwd_kernel.hpp>
#include <ck_tile/ops/fmha/kernel/fmha_fwd_kernel.hpp>
#include <ck_tile/ops/fmha/kernel/fmha_fwd_tile_partitioner.hpp>
