#include "gpu/runtime/ck_tile_launch.hpp"

#include <tuple>

#include "fmha/validate.hpp"
#include "gpu/runtime/extents.hpp"
#include "gpu/runtime/launch_call.hpp"
#include "gpu/runtime/recently_used.hpp"

namespace ck_fmha::gpu {
namespace {

constexpr int64_t kMaxGrid = 65535; // heads, samples

// CK Tile has 32 bits for strides.
Tensor narrow_tensor(const char* name, const ck_fmha_tensor& t, int64_t batch, int64_t heads, int64_t seqlen)
{
    const Tensor tensor = to_tensor(name, t, batch, heads, seqlen);
    for (const int64_t stride : {int64_t{tensor.stride_batch}, int64_t{tensor.stride_head}})
        if (stride < ck_tile_masks::kIndexMin || stride > ck_tile_masks::kIndexMax)
            refuse(std::string(name) + " must have strides of less than 2^31 elements for CK Tile, got " +
                   std::to_string(stride));
    return tensor;
}

void check_size(const char* name, int64_t size)
{
    if (size > ck_tile_masks::kIndexMax)
        refuse(std::string("CK Tile takes ") + name + " of less than 2^31 elements for a sample, got " +
               std::to_string(size) + ": split the call by heads");
}

CkTileArgs common_args(const ck_fmha_problem& p, const CkTileMasks& masks)
{
    const FwdPlan& plan = masks.plan().plan();
    CkTileArgs a{};
    a.images = masks.plan().images();
    a.image_stride_head = plan.varies_by_head ? 1 : 0;
    a.image_stride_batch = plan.varies_by_batch ? (plan.varies_by_head ? static_cast<index_t>(p.num_heads) : 1) : 0;
    set_sizes(a, p);
    a.scale = static_cast<float>(p.softmax_scale);
    return a;
}

template <class Launch>
void check(const ck_fmha_problem& p, const Launch& launch)
{
    const DevicePlan& plan = launch.masks->plan();
    check_problem(p, plan.plan().shape);
    if (!(p.softmax_scale > 0))
        refuse("the scale must be positive for CK Tile, got " + std::to_string(p.softmax_scale));
    if (p.num_heads > kMaxGrid || p.batch > kMaxGrid)
        refuse("batch and num_heads must be at most 65535 for CK Tile, got " + std::to_string(p.batch) + " and " +
               std::to_string(p.num_heads));
    check_size("LSE", p.num_heads * p.seqlen_q);
    if (launch.modules.size() != plan.plan().groups.size())
        refuse("a module must be given for each of the plan's " + std::to_string(plan.plan().groups.size()) +
               " groups, got " + std::to_string(launch.modules.size()));
    for (const auto& module : launch.modules)
        if (!module->is_on(plan.driver(), plan.device())) refuse("a module is on another device than the plan");
}

// What a kernel may access, for drivers that check it.
class Extents {
public:
    explicit Extents(const ck_fmha_problem& p) : p_(p) {}

    Extents& queries(const char* name, const Tensor& t, int64_t head_dim, Extent (*access)(Extent))
    {
        return add(tensor(name, t, p_.batch, p_.num_heads, p_.seqlen_q, head_dim), access);
    }
    Extents& keys(const char* name, const Tensor& t, int64_t heads, int64_t head_dim, Extent (*access)(Extent))
    {
        return add(tensor(name, t, p_.batch, heads, p_.seqlen_k, head_dim), access);
    }
    // float32, (batch, num_heads, seqlen_q, per_row)
    Extents& rows(const char* name, const float* data, int64_t per_row, Extent (*access)(Extent))
    {
        return add(array(name, data, 4, p_.batch * p_.num_heads * p_.seqlen_q * per_row), access);
    }
    Extents& masks(const CkTileMasks& masks, size_t group)
    {
        for (const DevicePlan::Section& section : masks.plan().mask_sections())
            add(array("mask", masks.plan().images() + section.offset, 1, static_cast<int64_t>(section.size)), to_read);
        return add(array("image_of", masks.image_of(group), 4, static_cast<int64_t>(masks.num_masks())), to_read);
    }
    operator const std::vector<Extent>&() const { return all_; }

private:
    Extents& add(const Extent& extent, Extent (*access)(Extent))
    {
        all_.push_back(access(extent));
        return *this;
    }
    const ck_fmha_problem& p_;
    std::vector<Extent> all_;
};

void run(const CkTileMasks& masks, Function function, CkTileArgs& a, CkTileGroup group, index_t seqlen, Stream stream,
         const std::vector<Extent>& extents)
{
    const FwdShape& shape = masks.plan().plan().shape;
    masks.plan().driver().launch(function,
                                 {static_cast<unsigned>(ck_tile_masks::div_up(seqlen, group.tile)),
                                  static_cast<unsigned>(group.threads), 0, static_cast<unsigned>(shape.num_heads),
                                  static_cast<unsigned>(shape.batch)},
                                 stream, &a, extents);
}

template <class Launch>
void prepare(const Launch& launch)
{
    const bool captured = launch.masks->plan().driver().is_capturing(launch.stream);
    if (captured) keep_for_good(std::pair(launch.masks, launch.modules));
    launch.masks->prepare(launch.stream, captured);
}

CkTileArgs bwd_args(const ck_fmha_bwd_args& args, const CkTileBwdLaunch& launch)
{
    validate(args);
    const ck_fmha_problem& p = args.problem;
    check(p, launch);
    check_size("dQ in float32", p.num_heads * p.seqlen_q * p.head_dim);
    if (args.dq.data == nullptr || args.dk.data == nullptr || args.dv.data == nullptr || launch.d == nullptr ||
        launch.dq_acc == nullptr)
        refuse("dq, dk, dv and the memory for D and dQ must all be there for CK Tile");
    CkTileArgs a = common_args(p, *launch.masks);
    const auto queries = [&](const char* name, const ck_fmha_tensor& t) {
        return narrow_tensor(name, t, p.batch, p.num_heads, p.seqlen_q);
    };
    const auto keys = [&](const char* name, const ck_fmha_tensor& t, int64_t heads) {
        return narrow_tensor(name, t, p.batch, heads, p.seqlen_k);
    };
    a.q = queries("q", args.q);
    a.k = keys("k", args.k, p.num_heads_kv);
    a.v = keys("v", args.v, p.num_heads_kv);
    a.o = queries("o", args.o);
    a.d_o = queries("d_o", args.d_o);
    a.dq = queries("dq", args.dq);
    a.dk = keys("dk", args.dk, p.num_heads);
    a.dv = keys("dv", args.dv, p.num_heads);
    a.lse = const_cast<float*>(static_cast<const float*>(args.lse));
    a.d = launch.d;
    a.dq_acc = launch.dq_acc;
    return a;
}

} // namespace

CkTileMasks::CkTileMasks(const Driver& driver, int device, const std::shared_ptr<const MaskExpr>& mask, FwdShape shape)
    : plan_(driver, device, mask, make_fwd_plan(*mask, shape)),
      memory_(driver, device, plan_.plan().groups.size() * num_masks() * sizeof(index_t))
{
    const FwdPlan& p = plan_.plan();
    std::vector<index_t> table(p.groups.size() * num_masks(), -1);
    const int64_t heads = p.varies_by_head ? shape.num_heads : 1;
    for (size_t g = 0; g < p.groups.size(); ++g)
        for (const FwdWork& work : p.groups[g].work) { // every mask has some: rows without live tiles are written
            const int64_t of = (p.varies_by_batch ? work.batch : 0) * heads + (p.varies_by_head ? work.head : 0);
            table[g * num_masks() + static_cast<size_t>(of)] = work.image;
        }
    const OnDevice on(driver, device);
    driver.copy_to_device(memory_.data(), table.data(), memory_.size(), driver.preparation_stream(device));
}

std::shared_ptr<CkTileMasks> CkTileMasks::find(const Driver& driver, int device,
                                               const std::shared_ptr<const MaskExpr>& mask, const FwdShape& shape)
{
    // Masks are kept alive by what is made of them.
    using Key = std::tuple<const MaskExpr*, const Driver*, int, int64_t, int64_t, int64_t, int64_t, index_t>;
    // Never destroyed: at the end of the process the driver may be gone.
    static auto& made = *new RecentlyUsed<Key, CkTileMasks>(64, size_t{256} << 20);

    const Key key{mask.get(),      &driver,        device,         shape.batch,
                  shape.num_heads, shape.seqlen_q, shape.seqlen_k, shape.head_dim};
    return made.find(key, [&] {
        FwdShape of_device = shape;
        of_device.num_compute_units = driver.device(device).num_compute_units;
        of_device.most_list_bytes = 0; // its kernels walk no lists
        return std::make_shared<CkTileMasks>(driver, device, mask, of_device);
    });
}

void ck_tile_forward(const ck_fmha_fwd_args& args, const CkTileFwdLaunch& launch)
{
    validate(args);
    const ck_fmha_problem& p = args.problem;
    check(p, launch);
    CkTileArgs a = common_args(p, *launch.masks);
    a.q = narrow_tensor("q", args.q, p.batch, p.num_heads, p.seqlen_q);
    a.k = narrow_tensor("k", args.k, p.batch, p.num_heads_kv, p.seqlen_k);
    a.v = narrow_tensor("v", args.v, p.batch, p.num_heads_kv, p.seqlen_k);
    a.o = narrow_tensor("o", args.o, p.batch, p.num_heads, p.seqlen_q);
    a.lse = static_cast<float*>(args.lse);
    const DevicePlan& plan = launch.masks->plan();
    const OnDevice on(plan.driver(), plan.device());
    prepare(launch);
    for (size_t g = 0; g < launch.modules.size(); ++g) {
        a.image_of = launch.masks->image_of(g);
        run(*launch.masks, launch.modules[g]->fwd(), a, ck_tile_fwd_group(plan.plan().shape.head_dim), a.seqlen_q,
            launch.stream,
            Extents(p)
                .queries("q", a.q, p.head_dim, to_read)
                .keys("k", a.k, p.num_heads_kv, p.head_dim, to_read)
                .keys("v", a.v, p.num_heads_kv, p.head_dim_v, to_read)
                .queries("o", a.o, p.head_dim_v, to_write)
                .rows("lse", a.lse, 1, to_write)
                .masks(*launch.masks, g));
    }
}

void ck_tile_dot_do_o(const ck_fmha_bwd_args& args, const CkTileBwdLaunch& launch)
{
    CkTileArgs a = bwd_args(args, launch);
    const ck_fmha_problem& p = args.problem;
    const DevicePlan& plan = launch.masks->plan();
    const OnDevice on(plan.driver(), plan.device());
    prepare(launch);
    // The same in the modules of all groups.
    run(*launch.masks, launch.modules.front()->dot_do_o(), a, ck_tile_dot_do_o_group(), a.seqlen_q, launch.stream,
        Extents(p)
            .queries("o", a.o, p.head_dim_v, to_read)
            .queries("d_o", a.d_o, p.head_dim_v, to_read)
            .rows("d", a.d, 1, to_write));
}

void ck_tile_dq_dk_dv(const ck_fmha_bwd_args& args, const CkTileBwdLaunch& launch)
{
    CkTileArgs a = bwd_args(args, launch);
    const ck_fmha_problem& p = args.problem;
    const DevicePlan& plan = launch.masks->plan();
    const index_t head_dim = plan.plan().shape.head_dim;
    const OnDevice on(plan.driver(), plan.device());
    prepare(launch);
    for (size_t g = 0; g < launch.modules.size(); ++g) {
        a.image_of = launch.masks->image_of(g);
        run(*launch.masks, launch.modules[g]->dq_dk_dv(), a, ck_tile_dq_dk_dv_group(head_dim), a.seqlen_k,
            launch.stream,
            Extents(p)
                .queries("q", a.q, p.head_dim, to_read)
                .keys("k", a.k, p.num_heads_kv, p.head_dim, to_read)
                .keys("v", a.v, p.num_heads_kv, p.head_dim_v, to_read)
                .queries("d_o", a.d_o, p.head_dim_v, to_read)
                .rows("lse", a.lse, 1, to_read)
                .rows("d", a.d, 1, to_read)
                .rows("dq_acc", a.dq_acc, p.head_dim, to_add)
                .keys("dk", a.dk, p.num_heads, p.head_dim, to_write)
                .keys("dv", a.dv, p.num_heads, p.head_dim_v, to_write)
                .masks(*launch.masks, g));
    }
    run(*launch.masks, launch.modules.front()->convert_dq(), a, ck_tile_convert_dq_group(head_dim), a.seqlen_q,
        launch.stream,
        Extents(p).rows("dq_acc", a.dq_acc, p.head_dim, to_read).queries("dq", a.dq, p.head_dim, to_write));
}

} // namespace ck_fmha::gpu
