#pragma once

// A definition of the library side by side with its oracle. Specs compose as definitions do:
//
//     check_all_shapes(longformer(4, 2, 1) & ~causal());

#include <sstream>
#include <string>

#include "ck_tile_masks/algebra.hpp"
#include "ck_tile_masks/masks/big_bird.hpp"
#include "ck_tile_masks/masks/diagonal.hpp"
#include "ck_tile_masks/masks/full.hpp"
#include "ck_tile_masks/masks/longformer.hpp"
#include "ck_tile_masks/masks/prefix_lm.hpp"
#include "mask_oracle.hpp"

namespace mask_tests {

// What is claimed about a definition, apart from its type.
struct Claim {
    std::string name;
    Oracle oracle;
    bool live_exact = true; // "live" answers are never early
    bool full_exact = true; // "not full" answers are never early
};

template <class Def>
struct Spec {
    Def def;
    Claim claim;
};

template <class... Part>
std::string text(const Part&... part)
{
    std::ostringstream out;
    (out << ... << part);
    return out.str();
}

// A union is exact about "live" if its parts are, an intersection about "not full"; a complement exchanges the two.
template <class A, class B>
auto operator|(const Spec<A>& a, const Spec<B>& b)
{
    const Oracle oracle = [p = a.claim.oracle, q = b.claim.oracle](const MaskCall& call) -> Predicate {
        return [p = p(call), q = q(call)](element_t i, element_t j) { return p(i, j) || q(i, j); };
    };
    return Spec<decltype(a.def | b.def)>{
        a.def | b.def,
        {text("(", a.claim.name, " | ", b.claim.name, ")"), oracle, a.claim.live_exact && b.claim.live_exact, false}};
}
template <class A, class B>
auto operator&(const Spec<A>& a, const Spec<B>& b)
{
    const Oracle oracle = [p = a.claim.oracle, q = b.claim.oracle](const MaskCall& call) -> Predicate {
        return [p = p(call), q = q(call)](element_t i, element_t j) { return p(i, j) && q(i, j); };
    };
    return Spec<decltype(a.def & b.def)>{
        a.def & b.def,
        {text("(", a.claim.name, " & ", b.claim.name, ")"), oracle, false, a.claim.full_exact && b.claim.full_exact}};
}
template <class A>
auto operator~(const Spec<A>& a)
{
    const Oracle oracle = [p = a.claim.oracle](const MaskCall& call) -> Predicate {
        return [p = p(call)](element_t i, element_t j) { return !p(i, j); };
    };
    return Spec<decltype(~a.def)>{~a.def, {text("~", a.claim.name), oracle, a.claim.full_exact, a.claim.live_exact}};
}

// --- The definitions of the library --------------------------------------------------------------------------------

inline Spec<ck_tile_masks::Full> full() { return {{}, {"full", full_oracle()}}; }

inline Spec<ck_tile_masks::Diagonal> diagonal(index_t left, index_t right, bool bottom_right = false, index_t sinks = 0)
{
    using ck_tile_masks::Alignment;
    return {{left, right, bottom_right ? Alignment::bottom_right : Alignment::top_left, sinks},
            {text("diagonal(left ", left, ", right ", right, bottom_right ? ", bottom-right" : ", top-left", ", sinks ",
                  sinks, ")"),
             diagonal_oracle(left, right, bottom_right, sinks)}};
}

inline Spec<ck_tile_masks::Diagonal> causal(bool bottom_right = false)
{
    using ck_tile_masks::Alignment;
    return {ck_tile_masks::Diagonal::causal(bottom_right ? Alignment::bottom_right : Alignment::top_left),
            {bottom_right ? "causal(bottom-right)" : "causal(top-left)", diagonal_oracle(-1, 0, bottom_right, 0)}};
}

inline Spec<ck_tile_masks::PrefixLM> prefix_lm(index_t prefix, bool bottom_right = false)
{
    using ck_tile_masks::Alignment;
    return {ck_tile_masks::PrefixLM(prefix, bottom_right ? Alignment::bottom_right : Alignment::top_left),
            {text("prefix_lm(prefix ", prefix, bottom_right ? ", bottom-right)" : ", top-left)"),
             prefix_lm_oracle(prefix, bottom_right)}};
}

inline Spec<ck_tile_masks::Longformer> longformer(index_t window, index_t num_global = 0, index_t dilation = 1)
{
    return {{window, num_global, dilation},
            {text("longformer(window ", window, ", global ", num_global, ", dilation ", dilation, ")"),
             longformer_oracle(window, num_global, dilation)}};
}

inline Spec<ck_tile_masks::BigBird> big_bird(index_t block, index_t window = 3, index_t num_global = 1,
                                             index_t num_random = 3, long long seed = 0)
{
    return {ck_tile_masks::BigBird(block, window, num_global, num_random, seed),
            {text("big_bird(block ", block, ", window ", window, ", global ", num_global, ", random ", num_random,
                  ", seed ", seed, ")"),
             big_bird_oracle({block, window, num_global, num_random, seed})}};
}

} // namespace mask_tests
