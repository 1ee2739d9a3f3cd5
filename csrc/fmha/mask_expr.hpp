#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fmha/bound_mask.hpp"

namespace ck_fmha {

// A mask as the user composed it, before it is bound to a call. Immutable; shared between calls and threads. What it
// is bound to may outlive it.
class MaskExpr {
public:
    MaskExpr() = default;
    MaskExpr(const MaskExpr&) = delete;
    MaskExpr& operator=(const MaskExpr&) = delete;
    virtual ~MaskExpr(); // its plans go with it (plan_cache.hpp)

    // The mask of one (batch, head) of a call. Refuses lengths that do not fit the data of the mask.
    virtual std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const = 0;

    // Do heads, or samples, differ? If not, one schedule serves all of them.
    virtual bool varies_by_head() const = 0;
    virtual bool varies_by_batch() const = 0;

    // Refuses a call for which the mask has too many or too few heads or samples.
    virtual void check_counts(int64_t batch, int64_t num_heads) const = 0;
};

// A data array of a mask; shared by the expression and what is bound from it.
using IndexArray = std::shared_ptr<const std::vector<index_t>>;

// Builds the expression of a *structure* (which definitions, how combined), its *parameters* (the numbers) and its
// *data* (arrays: document offsets, block lists, ...), both in the order in which the structure names the definitions;
// those of a node come before those of its parts:
//
//     expr := DEFINITION | "not(" expr ")" | "and(" expr "," expr ")" | "or(" expr "," expr ")"
//           | "transpose(" expr ")" | "shift(" expr ")" | "per_head(" expr {"," expr} ")" | "per_sample(" ... ")"
//
// Parameters of "shift": dq, dk. The definitions, with what they take, stand in mask_definitions.cpp. Throws
// std::invalid_argument that says what is wrong and where.
std::shared_ptr<const MaskExpr> build_mask(const std::string& structure, const std::vector<int64_t>& params,
                                           const std::vector<IndexArray>& data = {});

} // namespace ck_fmha
