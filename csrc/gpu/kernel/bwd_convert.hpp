#pragma once

#include "gpu/kernel/bwd_kernel.hpp"

namespace ck_fmha::gpu {

// Turns the float32 sums of dQ into dQ: four sums a thread.
template <class Traits>
struct BwdConvertKernel {
    using T = typename Traits::T;
    using QueryGradients = typename BwdPolicy<Traits>::Wave::QueryGradients;
    static constexpr index_t kThreads = kBwdThreads;
    static constexpr index_t kThreadsPerRow = Traits::kHeadDim / 4;
    static constexpr index_t kRowsAtOnce = kThreads / kThreadsPerRow;

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        const RowsOfGroup rows(args);
        const index_t place = thread_index() % kThreadsPerRow * 4; // of the sums
        if (QueryGradients::kSumsInOrder && place >= args.head_dim) return;
        const float factor = args.scale * exp2(-MatrixElement<T>::kGradientExponent);
        const float* const sums = args.dq_sum + rows.first_number * Traits::kHeadDim + place;
        T* const out = row_of<T>(args.dq, rows, 0);
        for (index_t n = thread_index() / kThreadsPerRow; n < rows.count; n += kRowsAtOnce) {
            const Float4 x = *reinterpret_cast<const Float4*>(sums + n * Traits::kHeadDim) * factor;
            const Dword2 both = {MatrixElement<T>::pack(x[0], x[1]), MatrixElement<T>::pack(x[2], x[3])};
            T* const row = out + n * args.dq.stride_seq;
            if constexpr (QueryGradients::kSumsInOrder) {
                *reinterpret_cast<Dword2*>(row + place) = both;
            } else {
                unroll<2>([&](auto pair) {
                    const index_t dim = QueryGradients::dim_of_sums(place + 2 * pair);
                    if (dim < args.head_dim) *reinterpret_cast<unsigned*>(row + dim) = both[pair];
                });
            }
        }
    }
};

} // namespace ck_fmha::gpu
