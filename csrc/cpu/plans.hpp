#pragma once

#include <memory>

#include "fmha/fmha_args.h"
#include "fmha/mask_expr.hpp"
#include "fmha/plan_cache.hpp"

namespace ck_fmha::cpu {

// The plan of a call (RowPlan, ColumnPlan): that of an earlier call with the same mask and sizes, or a new one.
template <class Lines>
std::shared_ptr<const Lines> plan_of(const MaskExpr& mask, const ck_fmha_problem& p)
{
    const auto make = [&] { return std::make_shared<const Lines>(mask, p); };
    // Bytes that say what is attended may differ from call to call.
    if (p.extras.attended.tensor.data) return make();
    return PlanCache::global().find_or_make<Lines>({&mask, Lines::kAxis, Lines::sizes(p)}, make);
}

} // namespace ck_fmha::cpu
