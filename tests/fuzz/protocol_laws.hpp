#pragma once

#include "fmha/bound_mask.hpp"
#include "mask_grammar.hpp"

namespace mask_fuzz {

using ck_tile_masks::DynamicTile;

// What the laws are checked on, for the report.
struct Subject {
    const WrittenMask& mask;
    const Call& call;
    DynamicTile tile;
};

std::string to_string(const Subject& subject);

// Prints the subject and what is wrong with it, and aborts.
[[noreturn]] void fault(const Subject& subject, const std::string& what);

// The laws of the mask protocol against every element. mask_func is the truth here: that it is the predicate of the
// definition is what the other tests check. `draws` chooses the bands and ranges.
void check_small(const Subject& subject, const ck_fmha::BoundMask& bound, Draws& draws);

// The same laws on lengths up to 2^31 - 1, against samples of the elements around a few places.
void check_huge(const Subject& subject, const ck_fmha::BoundMask& bound, Draws& draws);

} // namespace mask_fuzz
