#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/arguments.hpp"
#include "cpu/attention.hpp"
#include "cpu/dropout.hpp"
#include "cpu/tile_kernels.hpp"
#include "fmha/mask_expr.hpp"
#include "fmha/mask_view.hpp"

namespace py = pybind11;

namespace {

using ck_fmha::MaskExpr;
using ck_tile_masks::MaskCall;

using namespace ck_fmha::bindings;
using Array = std::array<int64_t, 2>; // address, number of int32

ck_fmha::IndexArray copy_of(const Array& array)
{
    const auto* first = reinterpret_cast<const int32_t*>(static_cast<uintptr_t>(array[0]));
    return std::make_shared<const std::vector<int32_t>>(first, first + array[1]);
}

void attention_forward(const MaskExpr& mask, int32_t dtype, const Sizes& sizes, double softmax_scale,
                       int32_t num_threads, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& o,
                       uintptr_t lse, const std::optional<Extras>& extras)
{
    ck_fmha_fwd_args args{};
    set_problem(args, dtype, sizes, softmax_scale, num_threads, extras);
    args.q = to_tensor(q);
    args.k = to_tensor(k);
    args.v = to_tensor(v);
    args.o = to_tensor(o);
    args.lse = reinterpret_cast<void*>(lse);
    const py::gil_scoped_release release;
    ck_fmha::cpu::attention_forward(args, mask);
}

void attention_backward(const MaskExpr& mask, int32_t dtype, const Sizes& sizes, double softmax_scale,
                        int32_t num_threads, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& o,
                        uintptr_t lse, const Tensor& d_o, uintptr_t dlse, const Tensor& dq, const Tensor& dk,
                        const Tensor& dv, const Scores& dbias, const std::optional<Extras>& extras)
{
    ck_fmha_bwd_args args{};
    set_problem(args, dtype, sizes, softmax_scale, num_threads, extras);
    args.q = to_tensor(q);
    args.k = to_tensor(k);
    args.v = to_tensor(v);
    args.o = to_tensor(o);
    args.lse = reinterpret_cast<const void*>(lse);
    args.d_o = to_tensor(d_o);
    args.dlse = reinterpret_cast<const void*>(dlse);
    args.dq = to_tensor(dq);
    args.dk = to_tensor(dk);
    args.dv = to_tensor(dv);
    args.dbias = to_scores(dbias);
    const py::gil_scoped_release release;
    ck_fmha::cpu::attention_backward(args, mask);
}

// out (batch, num_heads, seqlen_q, seqlen_k): 1 where dropout keeps the element.
void dropout_mask(uintptr_t out, std::array<int64_t, 4> sizes, double dropout_p, uint64_t seed, int32_t num_threads)
{
    const py::gil_scoped_release release;
    ck_fmha::cpu::dropout_mask(reinterpret_cast<uint8_t*>(out), sizes, dropout_p, seed, num_threads);
}

ck_fmha::MaskView view(const MaskExpr& mask, std::array<int32_t, 4> where, std::array<int32_t, 2> tile)
{
    return ck_fmha::MaskView(mask, MaskCall{where[2], where[3], where[0], where[1]}, {tile[0], tile[1]});
}

// A bytearray of `size` bytes that `fill` writes without the GIL.
template <class Fill>
py::bytearray filled(int64_t size, const Fill& fill)
{
    auto bytes = py::reinterpret_steal<py::bytearray>(PyByteArray_FromStringAndSize(nullptr, size));
    if (!bytes) throw py::error_already_set();
    char* out = PyByteArray_AsString(bytes.ptr());
    const py::gil_scoped_release release;
    fill(out);
    return bytes;
}

std::vector<std::string> available_isas()
{
    int count = 0;
    const char* const* names = ck_fmha::cpu::available_isas(&count);
    return std::vector<std::string>(names, names + count);
}

py::dict build_info()
{
    py::dict info;
    info["version"] = CK_FMHA_VERSION;
#if defined(__clang__)
    info["compiler"] = __VERSION__;
#else
    info["compiler"] = "g++ " __VERSION__;
#endif
    info["build_type"] = CK_FMHA_BUILD_TYPE;
    info["flags"] = CK_FMHA_CXX_FLAGS;
#if defined(_OPENMP)
    info["openmp"] = std::to_string(_OPENMP);
#else
    info["openmp"] = "none: one thread";
#endif
    return info;
}

} // namespace

// `where` is (seqlen_q, seqlen_k, batch, head), `tile` is (rows, columns).
PYBIND11_MODULE(_native, m)
{
    m.doc() =
        "Native core of ck_fmha: masks, the CPU back end and the GPU runtime. Called by the ck_fmha package only.";

    py::class_<MaskExpr, std::shared_ptr<MaskExpr>>(m, "Mask")
        .def(py::init(
                 [](const std::string& structure, const std::vector<int64_t>& params, const std::vector<Array>& data) {
                     std::vector<ck_fmha::IndexArray> arrays;
                     for (const Array& array : data)
                         arrays.push_back(copy_of(array));
                     return std::const_pointer_cast<MaskExpr>(ck_fmha::build_mask(structure, params, arrays));
                 }),
             py::arg("structure"), py::arg("params"), py::arg("data"))
        .def("materialize",
             [](const MaskExpr& mask, std::array<int32_t, 4> where) {
                 return filled(static_cast<int64_t>(where[0]) * where[1], [&](char* out) {
                     view(mask, where, {64, 64}).materialize(reinterpret_cast<uint8_t*>(out));
                 });
             })
        .def("tile_status",
             [](const MaskExpr& mask, std::array<int32_t, 4> where, std::array<int32_t, 2> tile) {
                 using ck_tile_masks::div_up;
                 return filled(static_cast<int64_t>(div_up(where[0], tile[0])) * div_up(where[1], tile[1]),
                               [&](char* out) { view(mask, where, tile).tile_status(reinterpret_cast<int8_t*>(out)); });
             })
        .def("count_tiles",
             [](const MaskExpr& mask, std::array<int32_t, 4> where, std::array<int32_t, 2> tile) {
                 ck_fmha::TileCounts c;
                 {
                     const py::gil_scoped_release release;
                     c = view(mask, where, tile).count_tiles();
                 }
                 return std::array<int64_t, 4>{c.total, c.live, c.full, c.edge};
             })
        .def("count_attended",
             [](const MaskExpr& mask, std::array<int32_t, 4> where) {
                 const py::gil_scoped_release release;
                 return view(mask, where, {64, 64}).count_attended();
             })
        .def("check_counts", &MaskExpr::check_counts)
        .def_property_readonly("varies_by_head", &MaskExpr::varies_by_head)
        .def_property_readonly("varies_by_batch", &MaskExpr::varies_by_batch);

    m.def("attention_forward", &attention_forward);
    m.def("attention_backward", &attention_backward);
    m.def("dropout_mask", &dropout_mask);
    bind_gpu(m);
    bind_ck_tile(m);
    m.def("isa_name", [] { return std::string(ck_fmha::cpu::isa_kernels().name); });
    m.def("available_isas", &available_isas);
    m.def("build_info", &build_info);
    m.attr("TILE") = py::make_tuple(ck_fmha::cpu::kTileQ, ck_fmha::cpu::kTileK);
    m.attr("FLOAT32") = static_cast<int>(CK_FMHA_FLOAT32);
    m.attr("BFLOAT16") = static_cast<int>(CK_FMHA_BFLOAT16);
    m.attr("FLOAT16") = static_cast<int>(CK_FMHA_FLOAT16);
    m.attr("FLOAT64") = static_cast<int>(CK_FMHA_FLOAT64);
}
