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
    static constexpr index_t kThreads = 256;
    static constexpr index_t kThreadsPerRow = Traits::kHeadDim / 8; // 16 bytes of dO and of O each
    static constexpr index_t kRowsAtOnce = kThreads / kThreadsPerRow;
    static constexpr float kInfinity = __builtin_inff();
    static constexpr float kLogToLog2 = 1.44269504088896341f;

    CK_FMHA_DEVICE static void run(const BwdArgs& args)
    {
        const RowsOfGroup rows(args);
        const index_t dim = thread_index() % kThreadsPerRow * 8;
        const T* const o = row_of<T>(args.o, rows, 0) + dim;
        const T* const d_o = row_of<T>(args.d_o, rows, 0) + dim;
        for (index_t n = thread_index() / kThreadsPerRow; n < rows.count;
             n += kRowsAtOnce) { // with all threads of a row
            float sum = 0.f;
            if (dim < args.head_dim_v) sum = dot(o + n * args.o.stride_seq, d_o + n * args.d_o.stride_seq);
            unroll<kExchanges>([&](auto step) { sum += other_lane(sum, 1 << step); });

            const long_index_t number = rows.first_number + n;
            if constexpr (Traits::kAddsDq) {
                Float4* const dq = reinterpret_cast<Float4*>(args.dq_sum + number * Traits::kHeadDim + dim);
                dq[0] = dq[1] = Float4{};
            }
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
    static constexpr index_t kExchanges = __builtin_ctz(kThreadsPerRow);

    CK_FMHA_DEVICE static float dot(const T* a, const T* b)
    {
        using Eight = T __attribute__((ext_vector_type(8)));
        const auto x = __builtin_convertvector(*reinterpret_cast<const Eight*>(a), Float8);
        const auto y = __builtin_convertvector(*reinterpret_cast<const Eight*>(b), Float8);
        float sum = 0.f;
        unroll<8>([&](auto n) { sum = __builtin_fmaf(x[n.value], y[n.value], sum); });
        return sum;
    }
    using Float8 = float __attribute__((ext_vector_type(8)));
};

} // namespace ck_fmha::gpu
