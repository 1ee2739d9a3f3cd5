#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fmha/bound_mask.hpp"

namespace ck_fmha {

// A mask as the user composed it, before it is bound to a call. Immutable; shared between calls and threads.
class MaskExpr {
public:
    virtual ~MaskExpr() = default;
    virtual std::unique_ptr<BoundMask> bind(const ck_tile_masks::MaskCall& call) const = 0;
    // Do heads differ? If not, one schedule serves all heads.
    virtual bool varies_by_head() const = 0;
};

// Builds the expression of a *structure* (which definitions, how combined) and its *parameters* (the numbers, in the
// order in which the structure names the definitions):
//
//     expr := "full" | "diagonal" | "prefix_lm" | "longformer" | "big_bird" | "not(" expr ")"
//           | "and(" expr "," expr ")" | "or(" expr "," expr ")"
//
// The parameters each definition takes stand beside its factory in mask_expr.cpp. Throws std::invalid_argument that
// says what is wrong and where.
std::shared_ptr<const MaskExpr> build_mask(const std::string& structure, const std::vector<int64_t>& params);

} // namespace ck_fmha
