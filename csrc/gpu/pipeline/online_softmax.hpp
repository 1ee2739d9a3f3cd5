#pragma once

#include "gpu/tile/platform.hpp"

// The online softmax in base 2 (Milakov, Gimelshein 2018; Dao 2023), with a lazy maximum: scores are taken relative to
// a reference that is moved, and the output rescaled, only when one exceeds it by more than the element type's slack.
// So the common tile has no exchange between lanes and no rescale.

namespace ck_fmha::gpu {

template <class Wave>
class OnlineSoftmax {
    using Element = typename Wave::Element;
    using PerQuery = typename Wave::PerQuery;

public:
    // Turns scores into probabilities relative to the reference; rescales `o` where that moved. `keep_attended` marks
    // the scores that do not count as -inf.
    template <class KeepAttended>
    CK_FMHA_DEVICE void update(typename Wave::Scores& s, typename Wave::Output& o, float scale_log2,
                               const KeepAttended& keep_attended)
    {
        Wave::scale_and_shift(s, scale_log2, reference_);
        keep_attended(s);
        const PerQuery largest = Wave::max_in_lane(s);
        if (any_lane(largest > limit_)) move_reference(s, o, Wave::max_over_lanes(largest));
        Wave::exp2(s);
        Wave::add_to_sums(sums_, s);
    }

    // The sum of a row's probabilities, 0 for a row that attended nothing.
    CK_FMHA_DEVICE PerQuery sum() const { return Wave::sum_over_lanes(sums_.x + sums_.y); }
    // log2 of the sum of 2^score.
    CK_FMHA_DEVICE PerQuery log2_sum(PerQuery sum) const { return reference_ + log2(sum); }

private:
    static constexpr float kInfinity = __builtin_inff();

    CK_FMHA_DEVICE void move_reference(typename Wave::Scores& s, typename Wave::Output& o, PerQuery largest)
    {
        const bool moves = largest > limit_;
        const bool is_first = limit_ == -kInfinity; // nothing to rescale, and 2^-by may overflow
        const PerQuery by = moves ? largest - Element::kProbabilityExponent : 0.f;
        const PerQuery factor = is_first ? 1.f : exp2(-by);
        limit_ = moves ? Element::kProbabilityExponent + Element::kExponentSlack : limit_;
        reference_ += by;
        sums_ *= Float2{factor, factor};
        Wave::scale(o, factor);
        Wave::shift(s, by);
    }

    PerQuery reference_ = 0.f;
    PerQuery limit_ = -kInfinity; // relative to the reference
    Float2 sums_ = {0.f, 0.f};
};

} // namespace ck_fmha::gpu
