#include "gpu/runtime/fwd_launch.hpp"

#include <algorithm>
#include <limits>

#include "fmha/validate.hpp"
#include "gpu/runtime/fwd_extents.hpp"

namespace ck_fmha::hip {
namespace {

using gpu::FwdArgs;

constexpr index_t kCombineSize = 256;        // work-items of a work-group that merges
constexpr index_t kWaveSize = 64;            // of the processors that there are instances for
constexpr int64_t kMaxStrideBytes = 1 << 25; // between rows: a tile's offsets fit a buffer descriptor

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument("ck_fmha: " + what); }

gpu::Tensor to_tensor(const char* name, const ck_fmha_tensor& t, int64_t batch, int64_t heads, int64_t seqlen)
{
    // A stride that no element is reached by may be anything.
    const gpu::Tensor tensor{t.data, batch > 1 ? t.stride_batch : 0, heads > 1 ? t.stride_head : 0,
                             seqlen > 1 ? t.stride_seq : 0};
    const auto aligned = [](int64_t stride) { return stride % 8 == 0; };
    if (reinterpret_cast<uintptr_t>(t.data) % 16 != 0 || !aligned(tensor.stride_batch) ||
        !aligned(tensor.stride_head) || !aligned(tensor.stride_seq))
        refuse(std::string(name) + " must have rows aligned to 16 bytes");
    if (tensor.stride_seq < 0 || tensor.stride_seq * 2 >= kMaxStrideBytes)
        refuse(std::string(name) + " must have rows less than 2^25 bytes apart, got " +
               std::to_string(tensor.stride_seq * 2));
    return tensor;
}

// softmax_scale * log2(e), which may be past the largest float where the scale is not.
float scale_log2(double softmax_scale)
{
    constexpr double log2_e = 1.4426950408889634, most = std::numeric_limits<float>::max();
    return static_cast<float>(std::min(std::max(softmax_scale * log2_e, -most), most));
}

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
    a.num_heads = static_cast<index_t>(p.num_heads);
    a.heads_per_kv = static_cast<index_t>(p.num_heads / p.num_heads_kv);
    a.seqlen_q = static_cast<index_t>(p.seqlen_q);
    a.seqlen_k = static_cast<index_t>(p.seqlen_k);
    a.head_dim = static_cast<index_t>(p.head_dim);
    a.head_dim_v = static_cast<index_t>(p.head_dim_v);
    a.scale_log2 = scale_log2(p.softmax_scale);
    return a;
}

void check(const ck_fmha_fwd_args& args, const FwdLaunch& launch)
{
    validate(args);
    const ck_fmha_problem& p = args.problem;
    const gpu::FwdShape& shape = launch.plan->plan().shape;
    if (p.dtype != CK_FMHA_BFLOAT16 && p.dtype != CK_FMHA_FLOAT16)
        refuse("dtype must be CK_FMHA_BFLOAT16 or CK_FMHA_FLOAT16 on AMD GPUs, got " + std::to_string(p.dtype));
    if (p.head_dim % 8 != 0 || p.head_dim_v % 8 != 0)
        refuse("head_dim and head_dim_v must be multiples of 8 on AMD GPUs, got " + std::to_string(p.head_dim) +
               " and " + std::to_string(p.head_dim_v));
    if (p.batch != shape.batch || p.num_heads != shape.num_heads || p.seqlen_q != shape.seqlen_q ||
        p.seqlen_k != shape.seqlen_k || gpu::instance_head_dim(p.head_dim, p.head_dim_v) != shape.head_dim)
        refuse("the plan was made for another call");
    if (launch.modules.size() != launch.plan->plan().groups.size())
        refuse("a module must be given for each of the plan's " + std::to_string(launch.plan->plan().groups.size()) +
               " groups, got " + std::to_string(launch.modules.size()));
    for (const auto& module : launch.modules)
        if (module->device() != launch.plan->device()) refuse("a module is on another device than the plan");
    if (launch.plan->plan().workspace_size(p.head_dim_v) > 0 &&
        (launch.workspace == nullptr || reinterpret_cast<uintptr_t>(launch.workspace) % 16 != 0))
        refuse("the workspace must be there, aligned to 16 bytes");
    const ck_fmha_extras& e = p.extras;
    if (e.bias.tensor.data || e.attended.tensor.data || e.alibi_slopes || e.softcap != 0 || e.dropout_p != 0)
        refuse("bias, attended, ALiBi, softcap and dropout are not covered on AMD GPUs");
}

// Keeps what a captured graph refers to.
void keep_for_good(const FwdLaunch& launch)
{
    static std::mutex& mutex = *new std::mutex;
    static auto& kept = *new std::vector<FwdLaunch>;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto same = [&](const FwdLaunch& other) {
        return other.plan == launch.plan && other.modules == launch.modules;
    };
    if (std::none_of(kept.begin(), kept.end(), same)) kept.push_back(launch);
}

// The arguments of a call as each group of its plan takes them, and the launches of its kernels.
class Launches {
public:
    Launches(const ck_fmha_fwd_args& args, const FwdLaunch& launch)
        : args_(args),
          launch_(launch),
          plan_(launch.plan->plan()),
          driver_(Driver::get()),
          common_(common_args(args, plan_))
    {
        common_.images = launch.plan->images();
        common_.partial_o = launch.workspace;
    }

    void fill_windows() const
    {
        for_each_group([&](const gpu::FwdGroup& group, const FwdModule& module, FwdArgs a, const FwdExtents& extents) {
            if (group.num_windows == 0) return;
            a.num_shared = 1; // one work-group an item
            run(module.plan(), a, group.work.size(), group.num_waves * kWaveSize, extents.of_plan(), [&](size_t items) {
                a.work += items;
                a.windows += items * a.num_windows;
            });
        });
    }

    void compute() const
    {
        for_each_group([&](const gpu::FwdGroup& group, const FwdModule& module, FwdArgs a, const FwdExtents& extents) {
            run(module.fwd(), a, group.work.size(), group.num_waves * kWaveSize, extents.of_fwd(), [&](size_t items) {
                a.work += items;
                a.windows += items * a.num_windows;
            });
            if (!group.merges.empty())
                run(module.combine(), a, group.merges.size(), kCombineSize, extents.of_combine(),
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
            a.windows = launch_.plan->windows(g);
            a.num_windows = group.num_windows;
            a.merges = launch_.plan->merges(g);
            a.partial_lse = a.partial_o + plan_.num_partial_rows(group) * a.head_dim_v;
            use(group, *launch_.modules[g], a,
                FwdExtents(args_.problem, *launch_.plan, group, a, driver_.wants_extents()));
        }
    }

    // `a.num_shared` work-groups for each item, in pieces where all of them are more than the driver takes at once;
    // advance(n) makes the arguments begin n items later.
    template <class Advance>
    void run(Function function, FwdArgs& a, size_t num_items, index_t size, const std::vector<Extent>& extents,
             const Advance& advance) const
    {
        const uint64_t most = (uint64_t{1} << 32) / size / a.num_shared;
        if (most <= 1) refuse("batch * num_heads is more than a launch takes: split the call");
        for (size_t begin = 0; begin < num_items; begin += most - 1) {
            const size_t items = std::min<size_t>(most - 1, num_items - begin);
            driver_.launch(function, static_cast<unsigned>(items * a.num_shared), size, launch_.stream, &a, extents);
            advance(items);
        }
    }

    const ck_fmha_fwd_args& args_;
    const FwdLaunch& launch_;
    const gpu::FwdPlan& plan_;
    const Driver& driver_;
    FwdArgs common_;
};

} // namespace

void attention_forward(const ck_fmha_fwd_args& args, const FwdLaunch& launch)
{
    check(args, launch);
    const Driver& driver = Driver::get();
    const OnDevice on(launch.plan->device());
    const bool capturing = driver.is_capturing(launch.stream);
    if (capturing) keep_for_good(launch);
    const Launches launches(args, launch);
    launch.plan->fill_windows_once([&] {
        launches.fill_windows();
        if (!capturing) driver.synchronize(launch.stream); // calls on other streams do not wait for this one
        return !capturing;
    });
    launches.compute();
}

} // namespace ck_fmha::hip
