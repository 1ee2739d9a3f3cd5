#include "gpu/runtime/bwd_launch.hpp"

#include <tuple>

#include "fmha/validate.hpp"
#include "gpu/runtime/bwd_extents.hpp"
#include "gpu/runtime/launch_call.hpp"

namespace ck_fmha::gpu {
namespace {

using ck_tile_masks::Axis;
using gpu::BwdArgs;

constexpr GroupSize kSize{kBwdThreads}; // of kernels that take no tiles to shared memory

BwdArgs common_args(const ck_fmha_bwd_args& args)
{
    const ck_fmha_problem& p = args.problem;
    BwdArgs a{};
    const auto of_queries = [&](const char* name, const ck_fmha_tensor& t) {
        return to_tensor(name, t, p.batch, p.num_heads, p.seqlen_q);
    };
    const auto of_keys = [&](const char* name, const ck_fmha_tensor& t) {
        return to_tensor(name, t, p.batch, p.num_heads_kv, p.seqlen_k);
    };
    a.q = of_queries("q", args.q);
    a.k = of_keys("k", args.k);
    a.v = of_keys("v", args.v);
    a.o = of_queries("o", args.o);
    a.d_o = of_queries("d_o", args.d_o);
    a.dq = of_queries("dq", args.dq);
    a.dk = of_keys("dk", args.dk);
    a.dv = of_keys("dv", args.dv);
    a.lse = static_cast<const float*>(args.lse);
    a.d_lse = static_cast<const float*>(args.dlse);
    set_sizes(a, p);
    a.scale_log2 = scale_log2(p.softmax_scale);
    a.scale = to_float(p.softmax_scale);
    a.extras = extras_args(p);
    a.extras.dbias = to_scores("dbias", args.dbias, p, size_of_bias(p.extras));
    return a;
}

template <class Module>
void check_modules(const DevicePlan& plan, const std::vector<std::shared_ptr<Module>>& modules)
{
    if (modules.size() != plan.plan().groups.size())
        refuse("a module must be given for each of the plan's " + std::to_string(plan.plan().groups.size()) +
               " groups, got " + std::to_string(modules.size()));
    for (const auto& module : modules)
        if (!module->is_on(plan.driver(), plan.device())) refuse("a module is on another device than the plan");
}

void check(const ck_fmha_bwd_args& args, const BwdLaunch& launch)
{
    validate(args);
    const ck_fmha_problem& p = args.problem;
    const gpu::FwdShape& shape = launch.columns->plan().shape;
    check_problem(p, shape);
    if (shape.axis != Axis::cols || shape.heads_per_kv != p.num_heads / p.num_heads_kv)
        refuse("the plan was made for another call");
    check_modules(*launch.columns, launch.modules);
    if (launch.rows) {
        check_problem(p, launch.rows->plan().shape);
        check_modules(*launch.rows, launch.dq_modules);
        if (launch.rows->plan().shape.axis != Axis::rows || &launch.rows->driver() != &launch.columns->driver() ||
            launch.rows->device() != launch.columns->device())
            refuse("the plan of rows was made for another call");
    }
    if (args.dq.data == nullptr || args.dk.data == nullptr || args.dv.data == nullptr)
        refuse("dq, dk and dv must all be there on GPUs");
    if (launch.workspace == nullptr || reinterpret_cast<uintptr_t>(launch.workspace) % 16 != 0)
        refuse("the workspace must be there, aligned to 16 bytes");
}

// The launches of a call's kernels.
class Launches {
public:
    Launches(const ck_fmha_bwd_args& args, const BwdLaunch& launch)
        : problem_(args.problem),
          launch_(launch),
          driver_(launch.columns->driver()),
          lanes_(driver_.device(launch.columns->device()).lanes),
          workspace_(launch.columns->plan(), launch.rows ? &launch.rows->plan() : nullptr, args.problem.head_dim,
                     args.problem.head_dim_v),
          common_(common_args(args))
    {
        common_.statistics = launch.workspace + workspace_.statistics;
        common_.dq_sum = launch.workspace + workspace_.dq_sum;
        common_.partial_dk = launch.workspace + workspace_.partial_dk;
        common_.partial_dv = launch.workspace + workspace_.partial_dv;
    }

    // The lists that are kept.
    void find_tiles_of_columns(Stream stream) const
    {
        for_each_column_group(
            [&](const gpu::FwdGroup& group, const BwdModule& module, const BwdArgs& a, const BwdExtents& extents) {
                if (group.keeps_lists)
                    find_tiles(module.plan(), threads_of_columns(), a, group.work.size(), stream, extents);
            });
    }
    void find_tiles_of_rows(Stream stream) const
    {
        for_each_row_group(
            [&](const gpu::FwdGroup& group, const BwdDqModule& module, const BwdArgs& a, const BwdExtents& extents) {
                if (group.keeps_lists)
                    find_tiles(module.plan(), threads_of_rows(), a, group.work.size(), stream, extents);
            });
    }

    void compute() const
    {
        const gpu::FwdPlan& plan = launch_.columns->plan();
        // Before and after the groups come kernels that are the same in all of their modules.
        size_t left = plan.groups.size();
        for_each_column_group(
            [&](const gpu::FwdGroup& group, const BwdModule& module, BwdArgs a, const BwdExtents& extents) {
                if (left == plan.groups.size()) run_once(module.dot_do_o(), num_row_groups(), a, extents.of_dot_do_o());
                const bool in_order = launch_.sums_bias && launch_.rows;
                const auto lines = static_cast<index_t>(in_order ? problem_.batch * problem_.num_heads : 1);
                const GroupSize size{threads_of_columns(), bwd_launch_shared_bytes(lanes_, plan.num_waves, head_dim())};
                for_each_part(group, a, [&](BwdArgs part, size_t num_items) {
                    if (!group.keeps_lists)
                        find_tiles(module.plan(), size.threads, part, num_items, launch_.stream, extents);
                    for (index_t line = 0; line < lines; ++line) {
                        part.extras.only_line = in_order ? line : -1;
                        launch_work(driver_, module.dq_dk_dv(), size, part, num_items, launch_.stream,
                                    extents.of_products());
                    }
                });
                if (--left > 0) return;
                if (!plan.merges.empty())
                    launch_items(driver_, module.combine(), kSize, a, plan.merges.size(),
                                 a.num_shared / a.merge_heads * kMergeParts, launch_.stream, extents.of_combine(),
                                 [&](size_t items) { a.merges += items; });
                if (!launch_.rows) run_once(module.convert(), num_row_groups(), a, extents.of_convert());
            });
        for_each_row_group(
            [&](const gpu::FwdGroup& group, const BwdDqModule& module, BwdArgs a, const BwdExtents& extents) {
                const index_t num_waves = launch_.rows->plan().num_waves;
                const GroupSize size{threads_of_rows(), bwd_dq_launch_shared_bytes(lanes_, num_waves, head_dim())};
                for_each_part(group, a, [&](const BwdArgs& part, size_t num_items) {
                    if (!group.keeps_lists)
                        find_tiles(module.plan(), size.threads, part, num_items, launch_.stream, extents);
                    launch_work(driver_, module.dq(), size, part, num_items, launch_.stream, extents.of_products());
                });
                if (!group.merges.empty())
                    launch_items(driver_, module.combine(), kSize, a, group.merges.size(), a.num_shared * kMergeParts,
                                 launch_.stream, extents.of_combine(), [&](size_t items) { a.merges += items; });
            });
    }

private:
    // use(group, module, arguments, extents) for the groups of a plan.
    template <class Module, class Use>
    void for_each_group(const DevicePlan& on_device, const std::vector<std::shared_ptr<Module>>& modules,
                        const Use& use) const
    {
        const gpu::FwdPlan& plan = on_device.plan();
        const bool columns = plan.shape.axis == Axis::cols;
        for (size_t g = 0; g < plan.groups.size(); ++g) {
            BwdArgs a = common_;
            a.images = on_device.images();
            a.num_shared = plan.num_shared();
            a.shared_heads = plan.shared_heads();
            a.merge_heads = columns ? plan.merge_heads() : 1;
            a.work = on_device.work(g);
            a.tiles = on_device.tiles(g, launch_.workspace + workspace_.tiles);
            a.num_stored = plan.groups[g].num_stored;
            a.merges = columns ? on_device.merges() : on_device.merges(g);
            a.heads_in_turn = static_cast<index_t>(plan.has_cut_lines);
            BwdExtents extents(problem_, on_device, plan.groups[g], a, workspace_, columns, launch_.sums_bias,
                               driver_.wants_extents());
            if (!launch_.rows) extents.add_dq_sum(a, workspace_);
            use(plan.groups[g], *modules[g], a, extents);
        }
    }
    template <class Use>
    void for_each_column_group(const Use& use) const
    {
        for_each_group(*launch_.columns, launch_.modules, use);
    }
    template <class Use>
    void for_each_row_group(const Use& use) const
    {
        if (launch_.rows) for_each_group(*launch_.rows, launch_.dq_modules, use);
    }

    index_t head_dim() const { return launch_.columns->plan().shape.head_dim; } // of the instances
    index_t threads_of_columns() const { return bwd_threads(lanes_, launch_.columns->plan().num_waves); }
    index_t threads_of_rows() const { return bwd_dq_threads(lanes_, launch_.rows->plan().num_waves, head_dim()); }
    void find_tiles(Function plan, index_t threads, const BwdArgs& a, size_t num_items, Stream stream,
                    const BwdExtents& extents) const
    {
        const GroupSize size{threads, bwd_plan_launch_shared_bytes(lanes_)};
        gpu::find_tiles(driver_, plan, size, a, num_items, stream, extents.of_plan());
    }
    int64_t num_row_groups() const
    {
        return (problem_.seqlen_q + gpu::kBwdRowsPerGroup - 1) / gpu::kBwdRowsPerGroup * problem_.batch *
               problem_.num_heads;
    }
    void run_once(Function function, int64_t num_groups, BwdArgs a, const std::vector<Extent>& extents) const
    {
        if (num_groups >= (int64_t{1} << 32) / kSize.threads)
            refuse("batch * num_heads * seqlen_q is more than a launch takes: split the call");
        launch_items(driver_, function, kSize, a, static_cast<size_t>(num_groups), 1, launch_.stream, extents,
                     [](size_t) {});
    }

    const ck_fmha_problem& problem_;
    const BwdLaunch& launch_;
    const Driver& driver_;
    const index_t lanes_; // of the device
    BwdWorkspace workspace_;
    BwdArgs common_;
};

} // namespace

BwdWorkspace::BwdWorkspace(const gpu::FwdPlan& columns, const gpu::FwdPlan* rows, int64_t head_dim, int64_t head_dim_v)
{
    const gpu::FwdShape& shape = columns.shape;
    const int64_t num_rows = shape.batch * shape.num_heads * shape.seqlen_q;
    const int64_t num_sums = shape.batch * shape.num_heads * bwd_sum_rows(shape.lanes, shape.seqlen_q);
    dq_size = rows == nullptr ? num_sums * shape.head_dim : 0;
    if (rows != nullptr)
        for (const gpu::FwdGroup& group : rows->groups)
            dq_size = std::max(dq_size, rows->num_partial_rows(group) * head_dim);
    statistics = take(2 * num_rows);
    dq_sum = take(dq_size);
    partial_dk = take(columns.num_partial_keys() * head_dim);
    partial_dv = take(columns.num_partial_keys() * head_dim_v);
    tiles = take(std::max(columns.num_codes_of_call(), rows == nullptr ? 0 : rows->num_codes_of_call()));
}

int64_t BwdWorkspace::take(int64_t count)
{
    const int64_t begin = size;
    size += (count + 3) / 4 * 4; // aligned to 16 bytes
    return begin;
}

void attention_backward(const ck_fmha_bwd_args& args, const BwdLaunch& launch)
{
    check(args, launch);
    const Driver& driver = launch.columns->driver();
    const OnDevice on(driver, launch.columns->device());
    const bool capturing = driver.is_capturing(launch.stream);
    if (capturing) keep_for_good(std::tuple(launch.columns, launch.modules, launch.rows, launch.dq_modules));
    const Launches launches(args, launch);
    launch.columns->prepare(launch.stream, capturing, [&](Stream stream) { launches.find_tiles_of_columns(stream); });
    if (launch.rows)
        launch.rows->prepare(launch.stream, capturing, [&](Stream stream) { launches.find_tiles_of_rows(stream); });
    launches.compute();
}

} // namespace ck_fmha::gpu
