#pragma once

#include "gpu/kernel/bwd_kernel.hpp"

namespace ck_fmha::gpu {

// Turns the float32 sums of dQ into dQ: four dimensions a thread.
template <class Traits>
struct BwdConvertKernel {
    using T = typename Traits::T;
    static constexpr index_t kThreads = 256;
    static constexpr index_t kThreadsPerRow = Traits::kHeadDim / 4;
    static constexpr index_t kRowsAtOnce = kThreads / kThreadsPerRow;

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        const RowsOfGroup rows(args);
        const index_t dim = thread_index() % kThreadsPerRow * 4;
        if (dim >= args.head_dim) return;
        const float factor = args.scale * exp2(-MatrixElement<T>::kGradientExponent);
        const float* const sums = args.dq_sum + rows.first_number * Traits::kHeadDim + dim;
        T* const out = row_of<T>(args.dq, rows, 0) + dim;
        for (index_t n = thread_index() / kThreadsPerRow; n < rows.count; n += kRowsAtOnce) {
            const Float4 x = *reinterpret_cast<const Float4*>(sums + n * Traits::kHeadDim) * factor;
            *reinterpret_cast<Dword2*>(out + n * args.dq.stride_seq) =
                Dword2{MatrixElement<T>::pack(x[0], x[1]), MatrixElement<T>::pack(x[2], x[3])};
        }
    }
};

} // namespace ck_fmha::gpu
