#include "gpu/runtime/fwd_launch.hpp"

#include "fmha/validate.hpp"
#include "gpu/kernel/fwd_launch.hpp"
#include "gpu/runtime/fwd_extents.hpp"
#include "gpu/runtime/launch_call.hpp"

namespace ck_fmha::gpu {
namespace {

using gpu::FwdArgs;

constexpr GroupSize kCombineSize{256};

FwdArgs common_args(const ck_fmha_fwd_args& args, const gpu::FwdPlan& plan)
{
    const ck_fmha_problem& p = args.problem;
    FwdArgs a{};
    a.q = to_tensor("q", args.q, p.batch, p.num_heads, p.seqlen_q);
    a.k = to_tensor("k", args.k, p.batch, p.num_heads_kv, p.seqlen_k);
    a.v = to_tensor("v", args.v, p.batch, p.num_heads_kv, p.seqlen_k);
    a.o = to_tensor("o", args.o, p.batch, p.num_heads, p.seqlen_q);
    a.lse = static_cast<float*>(args.lse);
    a.num_shared = plan.num_shared();
    a.shared_heads = plan.shared_heads();
    set_sizes(a, p);
    a.scale_log2 = scale_log2(p.softmax_scale);
    a.extras = extras_args(p);
    return a;
}

void check(const ck_fmha_fwd_args& args, const FwdLaunch& launch)
{
    validate(args);
    const ck_fmha_problem& p = args.problem;
    check_problem(p, launch.plan->plan().shape);
    if (launch.modules.size() != launch.plan->plan().groups.size())
        refuse("a module must be given for each of the plan's " + std::to_string(launch.plan->plan().groups.size()) +
               " groups, got " + std::to_string(launch.modules.size()));
    for (const auto& module : launch.modules)
        if (!module->is_on(launch.plan->driver(), launch.plan->device()))
            refuse("a module is on another device than the plan");
    if (launch.plan->plan().workspace_size(p.head_dim_v) > 0 &&
        (launch.workspace == nullptr || reinterpret_cast<uintptr_t>(launch.workspace) % 16 != 0))
        refuse("the workspace must be there, aligned to 16 bytes");
}

// The arguments of a call as each group of its plan takes them, and the launches of its kernels.
class Launches {
public:
    Launches(const ck_fmha_fwd_args& args, const FwdLaunch& launch)
        : args_(args),
          launch_(launch),
          plan_(launch.plan->plan()),
          driver_(launch.plan->driver()),
          lanes_(driver_.device(launch.plan->device()).lanes),
          common_(common_args(args, plan_))
    {
        common_.images = launch.plan->images();
        common_.partial_o = launch.workspace;
    }

    // The lists that are kept.
    void find_tiles(Stream stream) const
    {
        for_each_group([&](const gpu::FwdGroup& group, const FwdModule& module, FwdArgs a, const FwdExtents& extents) {
            if (group.keeps_lists) find_tiles(module, a, group.work.size(), stream, extents);
        });
    }

    void compute() const
    {
        for_each_group([&](const gpu::FwdGroup& group, const FwdModule& module, FwdArgs a, const FwdExtents& extents) {
            const GroupSize size{threads(),
                                 gpu::fwd_launch_shared_bytes(lanes_, plan_.num_waves, plan_.shape.head_dim)};
            for_each_part(group, a, [&](const FwdArgs& part, size_t num_items) {
                if (!group.keeps_lists) find_tiles(module, part, num_items, launch_.stream, extents);
                launch_work(driver_, module.fwd(), size, part, num_items, launch_.stream, extents.of_fwd());
            });
            if (!group.merges.empty())
                launch_items(driver_, module.combine(), kCombineSize, a, group.merges.size(),
                             a.num_shared * kMergeParts, launch_.stream, extents.of_combine(),
                             [&](size_t items) { a.merges += items; });
        });
    }

private:
    template <class Use>
    void for_each_group(const Use& use) const
    {
        for (size_t g = 0; g < plan_.groups.size(); ++g) {
            const gpu::FwdGroup& group = plan_.groups[g];
            FwdArgs a = common_;
            a.work = launch_.plan->work(g);
            a.tiles = launch_.plan->tiles(g, launch_.workspace + plan_.partial_size(a.head_dim_v));
            a.num_stored = group.num_stored;
            a.merges = launch_.plan->merges(g);
            a.heads_in_turn = static_cast<index_t>(plan_.has_cut_lines);
            a.partial_lse = a.partial_o + plan_.num_partial_rows(group) * a.head_dim_v;
            use(group, *launch_.modules[g], a,
                FwdExtents(args_.problem, *launch_.plan, group, a, driver_.wants_extents()));
        }
    }

    index_t threads() const { return gpu::fwd_threads(lanes_, plan_.num_waves, plan_.shape.head_dim); }
    void find_tiles(const FwdModule& module, const FwdArgs& a, size_t num_items, Stream stream,
                    const FwdExtents& extents) const
    {
        const GroupSize size{threads(), gpu::fwd_plan_launch_shared_bytes(lanes_)};
        gpu::find_tiles(driver_, module.plan(), size, a, num_items, stream, extents.of_plan());
    }

    const ck_fmha_fwd_args& args_;
    const FwdLaunch& launch_;
    const gpu::FwdPlan& plan_;
    const Driver& driver_;
    const index_t lanes_; // of the device
    FwdArgs common_;
};

} // namespace

void attention_forward(const ck_fmha_fwd_args& args, const FwdLaunch& launch)
{
    check(args, launch);
    const Driver& driver = launch.plan->driver();
    const OnDevice on(driver, launch.plan->device());
    const bool capturing = driver.is_capturing(launch.stream);
    if (capturing) keep_for_good(std::pair(launch.plan, launch.modules));
    const Launches launches(args, launch);
    launch.plan->prepare(launch.stream, capturing, [&](Stream stream) { launches.find_tiles(stream); });
    launches.compute();
}

} // namespace ck_fmha::gpu
