#pragma once

#include <vector>

#include "fmha/fmha_args.h"
#include "gpu/runtime/device_plan.hpp"
#include "gpu/runtime/extents.hpp"

namespace ck_fmha::gpu {

// What the kernels of a group may access, for drivers that check it: the elements of tensors without the gaps between
// their rows, and every array of the plan by itself.
class FwdExtents {
public:
    FwdExtents(const ck_fmha_problem& p, const DevicePlan& on_device, const gpu::FwdGroup& group, const gpu::FwdArgs& a,
               bool wanted)
    {
        if (!wanted) return;
        const Extent partial_o =
            array("partial_o", a.partial_o, 4, on_device.plan().num_partial_rows(group) * p.head_dim_v);
        const Extent partial_lse = array("partial_lse", a.partial_lse, 4, on_device.plan().num_partial_rows(group));
        const Extent tiles = array("tiles", a.tiles, sizeof(gpu::TileCode), static_cast<int64_t>(group.num_codes()));
        const Extent work = array("work", a.work, sizeof(gpu::FwdWork), group.work.size());
        const Extent lse = array("lse", a.lse, 4, p.batch * p.num_heads * p.seqlen_q);
        const Extent o = tensor("o", a.o, p.batch, p.num_heads, p.seqlen_q, p.head_dim_v);

        fwd_ = {to_read(tensor("q", a.q, p.batch, p.num_heads, p.seqlen_q, p.head_dim)),
                to_read(tensor("k", a.k, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim)),
                to_read(tensor("v", a.v, p.batch, p.num_heads_kv, p.seqlen_k, p.head_dim_v)),
                to_write(o),
                to_write(lse),
                to_read(work),
                to_read(tiles)};
        add_extras(fwd_, p, a.extras);
        plan_ = {to_read(work), to_write(tiles)};
        for (const DevicePlan::Section& section : on_device.mask_sections()) {
            const Extent mask = to_read(array("mask", on_device.images() + section.offset, 1, section.size));
            fwd_.push_back(mask);
            plan_.push_back(mask);
        }
        combine_ = {to_write(o), to_write(lse),
                    to_read(array("merges", a.merges, sizeof(gpu::FwdMerge), group.merges.size()))};
        if (group.num_slots > 0) {
            fwd_.insert(fwd_.end(), {to_write(partial_o), to_write(partial_lse)});
            combine_.insert(combine_.end(), {to_read(partial_o), to_read(partial_lse)});
        }
    }

    const std::vector<Extent>& of_plan() const { return plan_; }
    const std::vector<Extent>& of_fwd() const { return fwd_; }
    const std::vector<Extent>& of_combine() const { return combine_; }

private:
    std::vector<Extent> plan_, fwd_, combine_;
};

} // namespace ck_fmha::gpu
