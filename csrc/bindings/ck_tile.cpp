#include <memory>
#include <string>
#include <vector>

#include "bindings/arguments.hpp"
#include "gpu/runtime/ck_tile_launch.hpp"

namespace py = pybind11;

namespace ck_fmha::bindings {
namespace {

using gpu::CkTileBwdModule;
using gpu::CkTileFwdModule;
using gpu::CkTileMasks;

template <class Module>
void bind_module(py::module_& m, const char* name)
{
    py::class_<Module, std::shared_ptr<Module>>(m, name).def(
        py::init([](const gpu::Driver& driver, int device, const py::bytes& image, const std::string& instance) {
            const std::string code = image;
            const py::gil_scoped_release release;
            return std::make_shared<Module>(driver, device, code, instance);
        }));
}

void forward(std::shared_ptr<CkTileMasks> masks, std::vector<std::shared_ptr<CkTileFwdModule>> modules,
             uintptr_t stream, int32_t dtype, const Sizes& sizes, double softmax_scale,
             const std::array<Tensor, 4>& tensors, uintptr_t lse)
{
    ck_fmha_fwd_args args{};
    set_problem(args, dtype, sizes, softmax_scale, 1, std::nullopt);
    ck_fmha_tensor* const where[] = {&args.q, &args.k, &args.v, &args.o};
    for (size_t n = 0; n < tensors.size(); ++n)
        *where[n] = to_tensor(tensors[n]);
    args.lse = reinterpret_cast<void*>(lse);
    const py::gil_scoped_release release;
    gpu::ck_tile_forward(args, {std::move(masks), std::move(modules), reinterpret_cast<gpu::Stream>(stream)});
}

template <void (*kLaunch)(const ck_fmha_bwd_args&, const gpu::CkTileBwdLaunch&)>
void backward(std::shared_ptr<CkTileMasks> masks, std::vector<std::shared_ptr<CkTileBwdModule>> modules,
              uintptr_t stream, int32_t dtype, const Sizes& sizes, double softmax_scale,
              const std::array<Tensor, 8>& tensors, uintptr_t lse, uintptr_t d, uintptr_t dq_acc)
{
    ck_fmha_bwd_args args{};
    set_problem(args, dtype, sizes, softmax_scale, 1, std::nullopt);
    ck_fmha_tensor* const where[] = {&args.q, &args.k, &args.v, &args.o, &args.d_o, &args.dq, &args.dk, &args.dv};
    for (size_t n = 0; n < tensors.size(); ++n)
        *where[n] = to_tensor(tensors[n]);
    args.lse = reinterpret_cast<const void*>(lse);
    const py::gil_scoped_release release;
    kLaunch(args, {std::move(masks), std::move(modules), reinterpret_cast<gpu::Stream>(stream),
                   reinterpret_cast<float*>(d), reinterpret_cast<float*>(dq_acc)});
}

} // namespace

void bind_ck_tile(py::module_& m)
{
    bind_module<CkTileFwdModule>(m, "CkTileFwdModule");
    bind_module<CkTileBwdModule>(m, "CkTileBwdModule");
    py::class_<CkTileMasks, std::shared_ptr<CkTileMasks>>(m, "CkTileMasks")
        .def_static("find",
                    [](const gpu::Driver& driver, int device, const std::shared_ptr<MaskExpr>& mask, const Sizes& s) {
                        const py::gil_scoped_release release;
                        return CkTileMasks::find(driver, device, mask,
                                                 {s[0], s[1], s[3], s[4], gpu::instance_head_dim(s[5], s[6]), 0});
                    })
        .def_property_readonly("structures", [](const CkTileMasks& masks) {
            std::vector<std::string> structures;
            for (const gpu::FwdGroup& group : masks.plan().plan().groups)
                structures.push_back(group.structure);
            return structures;
        });
    m.def("ck_tile_forward", &forward);
    m.def("ck_tile_dot_do_o", &backward<gpu::ck_tile_dot_do_o>);
    m.def("ck_tile_dq_dk_dv", &backward<gpu::ck_tile_dq_dk_dv>);
    m.attr("CK_TILE_INCLUDE") = CK_FMHA_CK_TILE_INCLUDE; // where the build found the headers, or ""
}

} // namespace ck_fmha::bindings
