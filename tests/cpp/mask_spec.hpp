#pragma once

// A definition of the library side by side with its oracle. Specs compose as definitions do:
//
//     check_all_shapes(longformer(4, 2, 1) & ~causal());

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

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
    std::shared_ptr<const void> data = nullptr; // what `def` points to
};

template <class... Part>
std::string text(const Part&... part)
{
    std::ostringstream out;
    (out << ... << part);
    return out.str();
}

inline std::shared_ptr<const void> both(const std::shared_ptr<const void>& a, const std::shared_ptr<const void>& b)
{
    return a && b ? std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(a, b)
           : a    ? a
                  : b;
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
        {text("(", a.claim.name, " | ", b.claim.name, ")"), oracle, a.claim.live_exact && b.claim.live_exact, false},
        both(a.data, b.data)};
}
template <class A, class B>
auto operator&(const Spec<A>& a, const Spec<B>& b)
{
    const Oracle oracle = [p = a.claim.oracle, q = b.claim.oracle](const MaskCall& call) -> Predicate {
        return [p = p(call), q = q(call)](element_t i, element_t j) { return p(i, j) && q(i, j); };
    };
    return Spec<decltype(a.def & b.def)>{
        a.def & b.def,
        {text("(", a.claim.name, " & ", b.claim.name, ")"), oracle, false, a.claim.full_exact && b.claim.full_exact},
        both(a.data, b.data)};
}
template <class A>
auto operator~(const Spec<A>& a)
{
    const Oracle oracle = [p = a.claim.oracle](const MaskCall& call) -> Predicate {
        return [p = p(call)](element_t i, element_t j) { return !p(i, j); };
    };
    return Spec<decltype(~a.def)>{
        ~a.def, {text("~", a.claim.name), oracle, a.claim.full_exact, a.claim.live_exact}, a.data};
}

// Rows and columns exchanged, with those of the call.
template <class A>
auto transpose(const Spec<A>& a)
{
    const Oracle oracle = [p = a.claim.oracle](const MaskCall& call) -> Predicate {
        return [p = p({call.batch, call.head, call.seqlen_k, call.seqlen_q})](element_t i, element_t j) {
            return p(j, i);
        };
    };
    return Spec<decltype(ck_tile_masks::transpose(a.def))>{
        ck_tile_masks::transpose(a.def),
        {text(a.claim.name, ".T"), oracle, a.claim.live_exact, a.claim.full_exact},
        a.data};
}

// The mask of seqlen_q - dq rows and seqlen_k - dk columns, its first element placed at (dq, dk).
template <class A>
auto shift(const Spec<A>& a, index_t dq, index_t dk)
{
    const Oracle oracle = [=, p = a.claim.oracle](const MaskCall& call) -> Predicate {
        const auto length = [](element_t seqlen, element_t d) { return index_t(std::max<element_t>(seqlen - d, 0)); };
        return [=, p = p({call.batch, call.head, length(call.seqlen_q, dq), length(call.seqlen_k, dk)})](
                   element_t i, element_t j) { return i >= dq && j >= dk && p(i - dq, j - dk); };
    };
    return Spec<decltype(ck_tile_masks::shift(a.def, dq, dk))>{
        ck_tile_masks::shift(a.def, dq, dk),
        {text(a.claim.name, ".shift(", dq, ", ", dk, ")"), oracle, a.claim.live_exact, a.claim.full_exact},
        a.data};
}

// A choice among specs of one type: PerHead or PerSample of their definitions, by the head or the batch of the call.
template <template <class> class Choice, class A>
Spec<Choice<A>> choice(const std::vector<Spec<A>>& parts, const char* name, index_t MaskCall::* entry)
{
    struct Data {
        std::vector<A> defs;
        std::vector<Spec<A>> parts; // keep what their definitions point to
    };
    const auto data = std::make_shared<Data>();
    data->parts = parts;
    Claim claim{text(name, "("),
                [=](const MaskCall& call) { return data->parts[std::size_t(call.*entry)].claim.oracle(call); }};
    for (const Spec<A>& part : parts) {
        data->defs.push_back(part.def);
        claim.name += text(data->defs.size() > 1 ? ", " : "", part.claim.name);
        claim.live_exact = claim.live_exact && part.claim.live_exact;
        claim.full_exact = claim.full_exact && part.claim.full_exact;
    }
    claim.name += ")";
    return {Choice<A>(data->defs.data(), index_t(parts.size())), claim, data};
}
template <class A>
auto per_head(const std::vector<Spec<A>>& parts)
{
    return choice<ck_tile_masks::PerHead>(parts, "per_head", &MaskCall::head);
}
template <class A>
auto per_sample(const std::vector<Spec<A>>& parts)
{
    return choice<ck_tile_masks::PerSample>(parts, "per_sample", &MaskCall::batch);
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
