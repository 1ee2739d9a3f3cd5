#pragma once

#include "gpu/kernel/bwd_args.hpp"
#include "gpu/kernel/rows_of.hpp"
#include "gpu/pipeline/bwd_policy.hpp"
#include "gpu/pipeline/score_extras.hpp"

namespace ck_fmha::gpu {

// What the backward wants to know of each query:
//
//     LSE     in base 2, less Element::kGradientExponent (as it is where scores are natural); +inf for a query that
//     attends nothing, so that its
//             probabilities 2^(score - LSE) are zero without being asked about
//     -delta  delta = sum of dO * O, less the gradient of the LSE: dS = P (dP - delta)
//
// and sums of dQ start as zero. One work-group takes kBwdRowsPerGroup queries of one (batch, head).
template <class Traits>
struct BwdDotDoOKernel {
    using T = typename Traits::T;
    using Unit = typename ScoreExtras<Traits, BwdArgs>::Unit;
    static constexpr index_t kThreads = kBwdThreads;
    static constexpr index_t kThreadsPerRow = Traits::kHeadDim / 8; // 16 bytes of dO and of O each
    static constexpr index_t kRowsAtOnce = kThreads / kThreadsPerRow;
    static constexpr float kLogToLog2 = 1.44269504088896341f;

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        const RowsOfGroup rows(args);
        if constexpr (Traits::kAddsDq) {
            constexpr bool kWholeTiles = !BwdPolicy<Traits>::Wave::QueryGradients::kSumsInOrder;
            Float4* const sums = reinterpret_cast<Float4*>(args.dq_sum + rows.first_sum * Traits::kHeadDim);
            const index_t count = (kWholeTiles ? kBwdRowsPerGroup : rows.count) * (Traits::kHeadDim / 4);
            for (index_t n = thread_index(); n < count; n += kThreads)
                sums[n] = Float4{};
        }
        const index_t dim = thread_index() % kThreadsPerRow * 8;
        const T* const o = row_of<T>(args.o, rows, 0) + dim;
        const T* const d_o = row_of<T>(args.d_o, rows, 0) + dim;
        for (index_t n = thread_index() / kThreadsPerRow; n < rows.count;
             n += kRowsAtOnce) { // with all threads of a row
            float sum = 0.f;
            if (dim < args.head_dim_v) sum = dot(o + n * args.o.stride_seq, d_o + n * args.d_o.stride_seq);
            for (index_t flip = 1; flip < kThreadsPerRow; flip *= 2)
                sum += other_lane<kThreadsPerRow>(sum, flip);

            const long_index_t number = rows.first_number + n;
            if (dim > 0) continue;
            const float lse = args.lse[number];
            const float delta = sum - (args.d_lse == nullptr ? 0.f : args.d_lse[number]);
            const float exponent = MatrixElement<T>::kGradientExponent;
            const float reference = Unit::kNatural ? lse : lse * kLogToLog2 - exponent;
            reinterpret_cast<Float2*>(args.statistics)[number] =
                lse == -kInfinity ? Float2{kInfinity, 0.f} : Float2{reference, -delta};
        }
    }

private:
    CK_FMHA_DEVICE static float dot(const T* a, const T* b)
    {
        const Float8 x = MatrixElement<T>::unpack(*reinterpret_cast<const Dword4*>(a));
        const Float8 y = MatrixElement<T>::unpack(*reinterpret_cast<const Dword4*>(b));
        float sum = 0.f;
        unroll<8>([&](auto n) { sum = multiply_add(x[n.value], y[n.value], sum); });
        return sum;
    }
};

} // namespace ck_fmha::gpu
