#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/arguments.hpp"
#include "gpu/runtime/bwd_launch.hpp"
#include "gpu/runtime/fwd_launch.hpp"

namespace py = pybind11;

namespace ck_fmha::bindings {
namespace {

using gpu::DevicePlan;
using gpu::Driver;
using gpu::FwdGroup;
using gpu::FwdPlan;

gpu::FwdShape shape_of(const Sizes& s, index_t num_compute_units = 0, index_t lanes = 0)
{
    gpu::FwdShape shape{s[0], s[1], s[3], s[4], gpu::instance_head_dim(s[5], s[6]), num_compute_units};
    shape.lanes = lanes;
    const char* const most_list_bytes = std::getenv("CK_FMHA_GPU_LIST_BYTES");
    if (most_list_bytes != nullptr) shape.most_list_bytes = std::max(0LL, std::atoll(most_list_bytes));
    return shape;
}
gpu::FwdShape column_shape_of(const Sizes& s, index_t num_compute_units = 0, index_t lanes = 0)
{
    gpu::FwdShape shape = shape_of(s, num_compute_units, lanes);
    shape.axis = ck_tile_masks::Axis::cols;
    shape.heads_per_kv = static_cast<index_t>(s[1] / s[2]);
    return shape;
}

// (structure, num_waves) of each group: with dtype, head_dim and architecture they name an instance.
std::vector<std::pair<std::string, index_t>> groups(const FwdPlan& plan)
{
    std::vector<std::pair<std::string, index_t>> groups;
    for (const FwdGroup& group : plan.groups)
        groups.emplace_back(group.structure, plan.num_waves);
    return groups;
}

void gpu_forward(std::shared_ptr<DevicePlan> plan, std::vector<std::shared_ptr<gpu::FwdModule>> modules,
                 uintptr_t stream, int32_t dtype, const Sizes& sizes, double softmax_scale, const Tensor& q,
                 const Tensor& k, const Tensor& v, const Tensor& o, uintptr_t lse, uintptr_t workspace,
                 const std::optional<Extras>& extras)
{
    ck_fmha_fwd_args args{};
    set_problem(args, dtype, sizes, softmax_scale, 1, extras);
    args.q = to_tensor(q);
    args.k = to_tensor(k);
    args.v = to_tensor(v);
    args.o = to_tensor(o);
    args.lse = reinterpret_cast<void*>(lse);
    const py::gil_scoped_release release;
    gpu::attention_forward(args, {std::move(plan), std::move(modules), reinterpret_cast<float*>(workspace),
                                  reinterpret_cast<gpu::Stream>(stream)});
}

int64_t bwd_workspace_size(const DevicePlan& columns, const std::shared_ptr<DevicePlan>& rows, const Sizes& s)
{
    return gpu::BwdWorkspace(columns.plan(), rows ? &rows->plan() : nullptr, s[5], s[6]).size;
}

void gpu_backward(std::shared_ptr<DevicePlan> columns, std::vector<std::shared_ptr<gpu::BwdModule>> modules,
                  std::shared_ptr<DevicePlan> rows, std::vector<std::shared_ptr<gpu::BwdDqModule>> dq_modules,
                  uintptr_t stream, int32_t dtype, const Sizes& sizes, double softmax_scale,
                  const std::array<Tensor, 8>& tensors, uintptr_t lse, uintptr_t dlse, uintptr_t workspace,
                  const std::optional<Extras>& extras, const Scores& dbias, bool sums_bias)
{
    ck_fmha_bwd_args args{};
    set_problem(args, dtype, sizes, softmax_scale, 1, extras);
    ck_fmha_tensor* const where[] = {&args.q, &args.k, &args.v, &args.o, &args.d_o, &args.dq, &args.dk, &args.dv};
    for (size_t n = 0; n < tensors.size(); ++n)
        *where[n] = to_tensor(tensors[n]);
    args.lse = reinterpret_cast<const void*>(lse);
    args.dlse = reinterpret_cast<const void*>(dlse);
    args.dbias = to_scores(dbias);
    const py::gil_scoped_release release;
    gpu::attention_backward(args,
                            {std::move(columns), std::move(modules), std::move(rows), std::move(dq_modules), sums_bias,
                             reinterpret_cast<float*>(workspace), reinterpret_cast<gpu::Stream>(stream)});
}

template <class Module>
void bind_module(py::module_& m, const char* name)
{
    py::class_<Module, std::shared_ptr<Module>>(m, name)
        .def(py::init([](const Driver& driver, int device, const py::bytes& image, const std::string& instance) {
            const std::string code = image;
            const py::gil_scoped_release release;
            return std::make_shared<Module>(driver, device, code, instance);
        }))
        .def("read_variable",
             [](const Module& module, const std::string& name) { return py::bytes(module.read_variable(name)); });
}

} // namespace

void bind_gpu(py::module_& m)
{
    m.def("instance_head_dim", &gpu::instance_head_dim);

    py::class_<FwdPlan>(m, "FwdPlan")
        .def(py::init([](const MaskExpr& mask, const Sizes& sizes, index_t num_compute_units, index_t lanes) {
                 const py::gil_scoped_release release;
                 return gpu::make_fwd_plan(mask, shape_of(sizes, num_compute_units, lanes));
             }),
             py::arg("mask"), py::arg("sizes"), py::arg("num_compute_units"), py::arg("lanes") = 64)
        .def_static(
            "columns",
            [](const MaskExpr& mask, const Sizes& sizes, index_t num_compute_units, index_t lanes) {
                const py::gil_scoped_release release;
                return gpu::make_fwd_plan(mask, column_shape_of(sizes, num_compute_units, lanes));
            },
            py::arg("mask"), py::arg("sizes"), py::arg("num_compute_units"), py::arg("lanes") = 64)
        .def_property_readonly("groups", &groups)
        .def_property_readonly("tile",
                               [](const FwdPlan& plan) { return py::make_tuple(plan.tile().y(), plan.tile().x()); })
        .def_property_readonly("num_work_groups",
                               [](const FwdPlan& plan) {
                                   int64_t count = 0;
                                   for (const FwdGroup& group : plan.groups)
                                       count += static_cast<int64_t>(group.work.size()) * plan.num_shared();
                                   return count;
                               })
        .def_property_readonly("num_merges",
                               [](const FwdPlan& plan) {
                                   int64_t count = 0;
                                   for (const FwdGroup& group : plan.groups)
                                       count += static_cast<int64_t>(group.merges.size()) * plan.num_shared();
                                   return count;
                               })
        .def("workspace_size", &FwdPlan::workspace_size);

    // One for each vendor, which lives as long as the process.
    py::class_<Driver, std::unique_ptr<Driver, py::nodelete>>(m, "GpuDriver")
        .def_static(
            "load",
            [](const std::string& backend, const std::string& path, const std::vector<std::string>& folders) {
                const py::gil_scoped_release release;
                return &Driver::load(backend == "hip" ? gpu::Vendor::amd : gpu::Vendor::nvidia, path, folders);
            },
            py::return_value_policy::reference)
        .def_property_readonly("path", &Driver::path)
        .def_property_readonly("num_devices", &Driver::num_devices)
        .def("device",
             [](const Driver& driver, int device) {
                 const gpu::Device& found = driver.device(device);
                 return py::make_tuple(found.architecture, found.num_compute_units);
             })
        .def("accesses_host_memory", &Driver::accesses_host_memory);

    bind_module<gpu::FwdModule>(m, "FwdModule");
    bind_module<gpu::BwdModule>(m, "BwdModule");
    bind_module<gpu::BwdDqModule>(m, "BwdDqModule");
    py::class_<DevicePlan, std::shared_ptr<DevicePlan>>(m, "GpuPlan")
        .def_static("find",
                    [](const Driver& driver, int device, const std::shared_ptr<MaskExpr>& mask, const Sizes& sizes) {
                        const py::gil_scoped_release release;
                        return DevicePlan::find(driver, device, mask, shape_of(sizes));
                    })
        .def_static("find_columns",
                    [](const Driver& driver, int device, const std::shared_ptr<MaskExpr>& mask, const Sizes& sizes) {
                        const py::gil_scoped_release release;
                        return DevicePlan::find(driver, device, mask, column_shape_of(sizes));
                    })
        .def_property_readonly("groups", [](const DevicePlan& plan) { return groups(plan.plan()); })
        .def("workspace_size",
             [](const DevicePlan& plan, int64_t head_dim_v) { return plan.plan().workspace_size(head_dim_v); });
    m.def("gpu_forward", &gpu_forward);
    m.def("bwd_workspace_size", &bwd_workspace_size);
    m.def("gpu_backward", &gpu_backward);
}

} // namespace ck_fmha::bindings
