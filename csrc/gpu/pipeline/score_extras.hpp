#pragma once

#include "gpu/pipeline/dropout.hpp"
#include "gpu/pipeline/tanh.hpp"
#include "gpu/tile/elements_in_memory.hpp"

// Softcap, bias, ALiBi and dropout, for pipelines with any layout of scores: a wave gives every element of a lane its
// place.

namespace ck_fmha::gpu {

// The unit in which scores are compared. Products alone are scaled to powers of two. Where something is added to them
// they keep their own unit until a reference is subtracted: the lowest number of a float is a bias that people mask by,
// and log2 e times that is none.
template <bool kNatural_>
struct ScoreUnit {
    static constexpr bool kNatural = kNatural_;
    static constexpr float kInBase2 = kNatural ? 1.44269504088896341f : 1.f;
    static constexpr float kInBaseE = kNatural ? 1.f : 0.693147180559945309f;
};

// Of one (batch, head) in a kernel with arguments Args. What is wanted once a tile is read from these when it is
// wanted: the loop has no registers to spare for it.
template <class Traits, class Args>
class ScoreExtras {
    static constexpr index_t kExtras = Traits::kExtras;
    using T = typename Traits::T;

public:
    using Unit = ScoreUnit<(kExtras & kChangeScores) != 0>;
    static constexpr bool kHasSoftcap = (kExtras & kSoftcap) != 0;
    static constexpr bool kHasAlibi = (kExtras & kAlibi) != 0;
    static constexpr bool kHasBias = (kExtras & kBias) != 0;
    static constexpr bool kHasAttended = (kExtras & kAttended) != 0;
    static constexpr bool kAddsBiasGradient = (kExtras & (kBiasGradientSum | kBiasGradientOfKeys)) != 0;
    static constexpr bool kHasBiasGradient = kAddsBiasGradient || (kExtras & kBiasGradient) != 0;
    static constexpr bool kHasDropout = (kExtras & kDropout) != 0;

    CK_FMHA_DEVICE ScoreExtras(const Args& args, index_t batch, index_t head)
        : args_(args),
          factor_(Unit::kNatural ? args.extras.factor : args.scale_log2),
          alibi_slope_(kHasAlibi ? slope_of(args.extras, batch, head) : 0.f),
          batch_(batch),
          head_(head)
    {
    }

    // Products Q K^T of queries from first_query on and keys from first_key on become scores less `reference`, in
    // Unit; `slope` takes the cap's derivative.
    template <class Wave, class Reference>
    CK_FMHA_DEVICE void to_scores(typename Wave::Scores& s, const Reference& reference, index_t first_query,
                                  index_t first_key, typename Wave::Scores* slope = nullptr) const
    {
        if constexpr (Unit::kNatural) {
            to_natural_scores<Wave>(s, first_query, first_key, slope);
            Wave::shift(s, reference);
        } else {
            Wave::scale_and_shift(s, factor_, reference);
        }
    }
    // The same without a reference.
    template <class Wave>
    CK_FMHA_DEVICE void to_natural_scores(typename Wave::Scores& s, index_t first_query, index_t first_key,
                                          typename Wave::Scores* slope = nullptr) const
    {
        if constexpr (kHasSoftcap) cap<Wave>(s, slope);
        if constexpr (!kHasSoftcap || kHasBias || kHasAlibi) scale_and_add<Wave>(s, first_query, first_key);
        if constexpr (kHasAttended) keep_attended<Wave>(s, first_query, first_key);
    }

    // Passes on dS of the scores that a bias was added to.
    template <class Wave>
    CK_FMHA_DEVICE void add_bias_gradient(const typename Wave::Scores& ds, index_t first_query, index_t first_key) const
    {
        if (!Wave::has_scores_of_its_own()) return;
        const auto args = read_arguments_anew(args_);
        const float factor = gpu::exp2(-Wave::Element::kGradientExponent);
        typename Wave::Scores x = ds;
        if constexpr (!kAddsBiasGradient) {
            const auto out = elements<Wave, BiasElement>(args, args.extras.dbias, first_query, first_key);
            Wave::for_each_score(x, [&](float y, auto query, auto key) {
                out.store(query, key, y * factor);
                return y;
            });
        } else {
            const auto out = elements<Wave, float>(args, args.extras.dbias, first_query, first_key);
            if constexpr ((kExtras & kBiasGradientOfKeys) != 0) {
                float sum[Wave::kKeysOfLane] = {};
                Wave::for_each_score(x, [&](float y, auto query, auto key) {
                    sum[key / Wave::kKeyStep] += out.holds(query, key) ? y * factor : 0.f;
                    return y;
                });
                unroll<Wave::kKeysOfLane>(
                    [&](auto n) { out.add(Constant<0>{}, Constant<n * Wave::kKeyStep>{}, sum[n]); });
            } else {
                Wave::for_each_score(x, [&](float y, auto query, auto key) {
                    out.add(query, key, y * factor);
                    return y;
                });
            }
        }
    }
    // Probabilities of the backward, from scores less the LSE.
    template <class Wave>
    CK_FMHA_DEVICE static void to_probabilities(typename Wave::Scores& s)
    {
        // Otherwise the LSE has the exponent in it.
        if constexpr (Unit::kNatural) Wave::scale_and_add(s, Unit::kInBase2, Wave::Element::kGradientExponent);
        Wave::exp2(s);
    }

    // What dropout keeps, in the form that Wave::drop takes.
    template <class Wave>
    CK_FMHA_DEVICE bits_t kept(index_t first_query, index_t first_key) const
    {
        const auto args = read_arguments_anew(args_);
        const Dropout dropout(args.extras.threshold, args.extras.seed, batch_, head_);
        return dropout.template kept<Wave::kKeysOfBits, Wave::kLanesOfBits>(first_query + Wave::query_of_bits(),
                                                                            first_key, Wave::share_of_bits());
    }
    CK_FMHA_DEVICE float keep_scale() const { return read_arguments_anew(args_).extras.keep_scale; }

private:
    template <bool kIsFloat32, class>
    struct ElementOfBias {
        using type = float;
    };
    template <class Element>
    struct ElementOfBias<false, Element> {
        using type = Element;
    };
    using BiasElement = typename ElementOfBias<(kExtras & kBiasFloat32) != 0, T>::type;

    template <class Wave, class Element>
    CK_FMHA_DEVICE ElementsInMemory<Element> elements(const Args& args, const ScoresTensor& t, index_t first_query,
                                                      index_t first_key) const
    {
        return {t,
                batch_,
                head_,
                first_query,
                first_key,
                args.seqlen_q - first_query,
                args.seqlen_k - first_key,
                Wave::first_query_of_lane(),
                Wave::first_key_of_lane()};
    }

    // Capped scores have their scale.
    template <class Wave>
    CK_FMHA_DEVICE void scale_and_add(typename Wave::Scores& s, index_t first_query, index_t first_key) const
    {
        const auto args = read_arguments_anew(args_);
        const auto bias = elements<Wave, BiasElement>(args, args.extras.bias, first_query, first_key);
        const index_t first_distance = first_query - first_key + args.seqlen_k - args.seqlen_q +
                                       Wave::first_query_of_lane() - Wave::first_key_of_lane();
        Wave::for_each_score(s, [&](float x, auto query, auto key) {
            if constexpr (!kHasSoftcap) x *= factor_;
            if constexpr (kHasBias) x += bias.load(query, key);
            if constexpr (kHasAlibi) {
                const auto distance = static_cast<float>(first_distance + (query - key));
                x = multiply_add(-alibi_slope_, magnitude(distance), x);
            }
            return x;
        });
    }
    // Not together with a bias: where two tensors lie in memory takes too many registers.
    template <class Wave>
    CK_FMHA_DEVICE void keep_attended(typename Wave::Scores& s, index_t first_query, index_t first_key) const
    {
        const auto args = read_arguments_anew(args_);
        const auto attended = elements<Wave, bool>(args, args.extras.attended, first_query, first_key);
        Wave::for_each_score(s,
                             [&](float x, auto query, auto key) { return attended.load(query, key) ? x : -kInfinity; });
    }

    template <class Wave>
    CK_FMHA_DEVICE void cap(typename Wave::Scores& s, typename Wave::Scores* slope) const
    {
        const float softcap = read_arguments_anew(args_).extras.softcap;
        const auto capped = [&](float x) { return Tanh(x * factor_); };
        if (slope != nullptr)
            Wave::for_each_score(s, *slope, [&](float x) {
                const Tanh t = capped(x);
                return Float2{softcap * t.value, t.derivative};
            });
        else
            Wave::for_each_score(s, [&](float x, auto, auto) { return softcap * capped(x).value; });
    }

    CK_FMHA_DEVICE static float slope_of(const ExtrasArgs& extras, index_t batch, index_t head)
    {
        return load_uniform<float>(extras.alibi_slopes + batch * extras.alibi_stride_batch + head);
    }

    const Args& args_;
    float factor_;
    float alibi_slope_;
    index_t batch_;
    index_t head_;
};

} // namespace ck_fmha::gpu
