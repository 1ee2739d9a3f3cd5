#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <tuple>

#include "fmha/fmha_args.h"

// How a call crosses from Python: tensors as addresses and strides, for the module knows nothing of torch. The caller
// keeps them alive.

namespace ck_fmha::bindings {

using Tensor = std::array<int64_t, 4>; // address, stride_batch, stride_head, stride_seq
using Sizes = std::array<int64_t, 7>;  // batch, num_heads, num_heads_kv, seqlen_q, seqlen_k, head_dim, head_dim_v

using Scores = std::array<int64_t, 5>; // address, stride_batch, stride_head, stride_q, stride_k
// bias, its dtype, softcap, attended, address and batch stride of ALiBi's slopes, dropout_p, dropout_seed
using Extras = std::tuple<Scores, int32_t, double, Scores, std::array<int64_t, 2>, double, uint64_t>;

inline ck_fmha_tensor to_tensor(const Tensor& t)
{
    return {reinterpret_cast<void*>(static_cast<uintptr_t>(t[0])), t[1], t[2], t[3]};
}

inline ck_fmha_scores to_scores(const Scores& t) { return {to_tensor({t[0], t[1], t[2], t[3]}), t[4]}; }

template <class Args>
void set_problem(Args& args, int32_t dtype, const Sizes& sizes, double softmax_scale, int32_t num_threads,
                 const std::optional<Extras>& extras)
{
    ck_fmha_problem& p = args.problem;
    p.version = CK_FMHA_ARGS_VERSION;
    p.size = sizeof(args);
    p.dtype = dtype;
    p.num_threads = num_threads;
    p.batch = sizes[0];
    p.num_heads = sizes[1];
    p.num_heads_kv = sizes[2];
    p.seqlen_q = sizes[3];
    p.seqlen_k = sizes[4];
    p.head_dim = sizes[5];
    p.head_dim_v = sizes[6];
    p.softmax_scale = softmax_scale;
    if (!extras) return;
    const auto& [bias, bias_dtype, softcap, attended, slopes, dropout_p, dropout_seed] = *extras;
    p.extras = {to_scores(bias),
                bias_dtype,
                softcap,
                to_scores(attended),
                reinterpret_cast<const float*>(static_cast<uintptr_t>(slopes[0])),
                slopes[1],
                dropout_p,
                dropout_seed};
}

// The functions and classes of the GPU runtime. Nothing of them needs a GPU or its driver to be there when the module
// is imported.
void bind_gpu(pybind11::module_& m);
void bind_ck_tile(pybind11::module_& m);

} // namespace ck_fmha::bindings
