#pragma once

#include "gpu/kernel/bwd_kernel.hpp"

namespace ck_fmha::gpu {

// Turns the float32 sums of dQ into dQ: four sums a thread.
template <class Traits>
struct BwdConvertKernel {
    using T = typename Traits::T;
    using QueryGradients = typename BwdPolicy<Traits>::Wave::QueryGradients;
    static constexpr index_t kThreads = kBwdThreads;
    static constexpr index_t kQuads = Traits::kHeadDim / 4; // of a row

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        const RowsOfGroup rows(args);
        const float factor = args.scale * exp2(-MatrixElement<T>::kGradientExponent);
        const Float4* const sums = reinterpret_cast<const Float4*>(args.dq_sum + rows.first_sum * Traits::kHeadDim);
        T* const out = row_of<T>(args.dq, rows, 0);
        if constexpr (QueryGradients::kSumsInOrder) {
            const index_t dim = thread_index() % kQuads * 4;
            if (dim >= args.head_dim) return;
            for (index_t n = thread_index() / kQuads; n < rows.count; n += kThreads / kQuads)
                *reinterpret_cast<Dword2*>(out + n * args.dq.stride_seq + dim) =
                    rounded(sums[n * kQuads + dim / 4] * factor);
        } else {
            for (index_t n = thread_index(); n < kBwdRowsPerGroup * kQuads; n += kThreads) {
                const typename QueryGradients::FourSums first(4 * n);
                if (first.row >= rows.count) continue;
                const Dword2 both = rounded(sums[n] * factor);
                T* const row = out + first.row * args.dq.stride_seq;
                unroll<2>([&](auto pair) {
                    const index_t dim = first.dim + 8 * pair;
                    if (dim < args.head_dim) *reinterpret_cast<unsigned*>(row + dim) = both[pair];
                });
            }
        }
    }

private:
    CK_FMHA_DEVICE static Dword2 rounded(const Float4& x)
    {
        return {MatrixElement<T>::pack(x[0], x[1]), MatrixElement<T>::pack(x[2], x[3])};
    }
};

} // namespace ck_fmha::gpu
