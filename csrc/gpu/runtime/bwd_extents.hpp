#pragma once

#include <vector>

#include "fmha/fmha_args.h"
#include "gpu/runtime/bwd_launch.hpp"
#include "gpu/runtime/extents.hpp"

namespace ck_fmha::gpu {

// What the kernels of a backward may access, as in FwdExtents. `columns`: is the group one of the plan of columns, or
// one of those rows that dQ is computed by?
class BwdExtents {
public:
    BwdExtents(const ck_fmha_problem& p, const DevicePlan& on_device, const gpu::FwdGroup& group, const gpu::BwdArgs& a,
               const BwdWorkspace& workspace, bool columns, bool sums_bias, bool wanted)
    {
        if (!wanted) return;
        const int64_t lines = p.batch * p.num_heads;
        const auto of_queries = [&](const char* name, const gpu::Tensor& t, int64_t head_dim) {
            return tensor(name, t, p.batch, p.num_heads, p.seqlen_q, head_dim);
        };
        const auto of_keys = [&](const char* name, const gpu::Tensor& t, int64_t head_dim) {
            return tensor(name, t, p.batch, p.num_heads_kv, p.seqlen_k, head_dim);
        };
        const Extent d_o = of_queries("d_o", a.d_o, p.head_dim_v), dq = of_queries("dq", a.dq, p.head_dim);
        const Extent dk = of_keys("dk", a.dk, p.head_dim), dv = of_keys("dv", a.dv, p.head_dim_v);
        const Extent statistics = array("statistics", a.statistics, 4, 2 * lines * p.seqlen_q);
        const Extent dq_sum = array("dq_sum", a.dq_sum, 4, workspace.dq_size);
        const int64_t num_keys = on_device.plan().num_partial_keys();
        const Extent partial_dk = array("partial_dk", a.partial_dk, 4, num_keys * p.head_dim);
        const Extent partial_dv = array("partial_dv", a.partial_dv, 4, num_keys * p.head_dim_v);
        const Extent work = array("work", a.work, sizeof(gpu::FwdWork), group.work.size());
        const Extent tiles = array("tiles", a.tiles, sizeof(gpu::TileCode), static_cast<int64_t>(group.num_codes()));
        const size_t num_merges = columns ? on_device.plan().merges.size() : group.merges.size();
        const Extent merges = array("merges", a.merges, sizeof(gpu::FwdMerge), num_merges);

        dot_do_o_ = {to_read(of_queries("o", a.o, p.head_dim_v)), to_read(d_o),
                     to_read(array("lse", a.lse, 4, lines * p.seqlen_q)), to_write(statistics)};
        if (a.d_lse != nullptr) dot_do_o_.push_back(to_read(array("d_lse", a.d_lse, 4, lines * p.seqlen_q)));
        convert_ = {to_read(dq_sum), to_write(dq)};
        plan_ = {to_read(work), to_write(tiles)};
        products_ = {to_read(of_queries("q", a.q, p.head_dim)),
                     to_read(of_keys("k", a.k, p.head_dim)),
                     to_read(of_keys("v", a.v, p.head_dim_v)),
                     to_read(d_o),
                     to_read(statistics),
                     to_read(work),
                     to_read(tiles)};
        add_extras(products_, p, a.extras);
        for (const DevicePlan::Section& section : on_device.mask_sections()) {
            const Extent mask = to_read(array("mask", on_device.images() + section.offset, 1, section.size));
            plan_.push_back(mask);
            products_.push_back(mask);
        }
        combine_ = {to_read(merges)};
        if (columns) {
            if (a.extras.dbias.data != nullptr) {
                const int64_t size = sums_bias || p.extras.bias_dtype == CK_FMHA_FLOAT32 ? 4 : 2;
                const Extent dbias = scores("dbias", a.extras.dbias, size, p);
                products_.push_back(sums_bias ? to_add(dbias) : to_write(dbias));
            }
            products_.insert(products_.end(), {to_write(dk), to_write(dv), to_write(partial_dk), to_write(partial_dv)});
            combine_.insert(combine_.end(), {to_read(partial_dk), to_read(partial_dv), to_write(dk), to_write(dv)});
        } else {
            products_.insert(products_.end(), {to_write(dq), to_write(dq_sum)});
            combine_.insert(combine_.end(), {to_read(dq_sum), to_write(dq)});
        }
    }

    // dQ is summed by atomic additions.
    void add_dq_sum(const gpu::BwdArgs& a, const BwdWorkspace& workspace)
    {
        const Extent dq_sum = array("dq_sum", a.dq_sum, 4, workspace.dq_size);
        dot_do_o_.push_back(to_write(dq_sum));
        products_.push_back(to_add(dq_sum));
    }

    const std::vector<Extent>& of_plan() const { return plan_; }
    const std::vector<Extent>& of_dot_do_o() const { return dot_do_o_; }
    const std::vector<Extent>& of_products() const { return products_; }
    const std::vector<Extent>& of_combine() const { return combine_; }
    const std::vector<Extent>& of_convert() const { return convert_; }

private:
    std::vector<Extent> plan_, dot_do_o_, products_, combine_, convert_;
};

} // namespace ck_fmha::gpu
