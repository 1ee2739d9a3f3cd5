#pragma once

#include "gpu/tile/per_query.hpp"

// The online softmax (Milakov, Gimelshein 2018; Dao 2023), with a lazy maximum: scores are taken relative to
// a reference that is moved, and the output rescaled, only when one exceeds it by more than the element type's slack.
// So the common tile has no exchange between lanes and no rescale. Scores come in a ScoreUnit, as a rule powers of two.

namespace ck_fmha::gpu {

// How large a score may be, relative to the reference, without moving it: -inf until its query has attended to a key,
// then kLimit. A bit for each of a lane's queries; for one query, the number itself.
template <class Element, index_t kQueries>
class ScoreLimits {
public:
    CK_FMHA_DEVICE float operator[](index_t n) const { return (attended_ >> n & 1) != 0 ? kLimit : -kInfinity; }
    CK_FMHA_DEVICE void attend(index_t n, bool attends) { attended_ |= static_cast<unsigned>(attends) << n; }

    static constexpr float kLimit = Element::kProbabilityExponent + Element::kExponentSlack;

private:
    unsigned attended_ = 0;
};
template <class Element>
class ScoreLimits<Element, 1> {
public:
    CK_FMHA_DEVICE float operator[](index_t) const { return limit_; }
    CK_FMHA_DEVICE void attend(index_t, bool attends)
    {
        limit_ = attends ? Element::kProbabilityExponent + Element::kExponentSlack : limit_;
    }

private:
    float limit_ = -kInfinity;
};

template <class Wave, class Unit>
class OnlineSoftmax {
    using PerQuery = typename Wave::PerQuery;
    // Of probabilities, in the unit of scores.
    struct Element {
        static constexpr float kProbabilityExponent = Wave::Element::kProbabilityExponent / Unit::kInBase2;
        static constexpr float kExponentSlack = Wave::Element::kExponentSlack / Unit::kInBase2;
    };

public:
    // Turns products into probabilities relative to the reference; rescales `o` where that moved. to_scores(s,
    // reference) makes scores less the reference of them, and -inf of those that do not count; natural ones stay as
    // they are, for the reference may be so far away that nothing would be left of them.
    template <class ToScores>
    CK_FMHA_DEVICE void update(typename Wave::Scores& s, typename Wave::Output& o, const ToScores& to_scores)
    {
        to_scores(s, reference_);
        const PerQuery largest = Wave::max_in_lane(s);
        if (any_lane(exceeds(largest))) move_reference(s, o, Wave::max_over_lanes(largest));
        if constexpr (Unit::kNatural) {
            Wave::shift(s, reference_);
            Wave::scale(s, Unit::kInBase2);
        }
        Wave::exp2(s);
        Wave::add_to_sums(sums_, s);
    }

    // The sum of a row's probabilities, 0 for a row that attended nothing.
    CK_FMHA_DEVICE PerQuery sum() const { return Wave::sum_over_lanes(sums_); }
    // The logarithm of the sum of exponentials of all scores, in their unit.
    CK_FMHA_DEVICE PerQuery log_sum(const PerQuery& sum) const
    {
        PerQuery result;
        unroll<PerQuery::kCount>([&](auto n) { result[n] = reference_[n] + log2(sum[n]) / Unit::kInBase2; });
        return result;
    }

private:
    CK_FMHA_DEVICE bool exceeds(const PerQuery& x) const
    {
        bool exceeds = false;
        unroll<PerQuery::kCount>([&](auto n) { exceeds |= relative(x, n) > limit_[n]; });
        return exceeds;
    }
    CK_FMHA_DEVICE float relative(const PerQuery& x, index_t n) const
    {
        return Unit::kNatural ? x[n] - reference_[n] : x[n];
    }

    CK_FMHA_DEVICE void move_reference(typename Wave::Scores& s, typename Wave::Output& o, const PerQuery& largest)
    {
        PerQuery by, factor;
        unroll<PerQuery::kCount>([&](auto n) {
            const bool moves = relative(largest, n) > limit_[n];
            const bool is_first = limit_[n] == -kInfinity; // nothing to rescale, and 2^-by may overflow
            const float moved = largest[n] - Element::kProbabilityExponent;
            by[n] = !moves ? 0.f : Unit::kNatural ? moved - reference_[n] : moved;
            factor[n] = is_first ? 1.f : exp2(-by[n] * Unit::kInBase2);
            limit_.attend(n, moves);
            if constexpr (Unit::kNatural)
                reference_[n] = moves ? moved : reference_[n];
            else
                reference_[n] += by[n];
        });
        Wave::scale(sums_, factor);
        Wave::scale(o, factor);
        if constexpr (!Unit::kNatural) Wave::shift(s, by);
    }

    PerQuery reference_ = PerQuery::all(0.f);
    ScoreLimits<Element, PerQuery::kCount> limit_;
    typename Wave::Sums sums_ = {};
};

} // namespace ck_fmha::gpu
