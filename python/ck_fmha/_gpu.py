"""Attention on GPUs: which calls it covers, and how they reach the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from ck_fmha import _native
from ck_fmha._call import NO_SCORES, Gradients, NativeExtras, Sizes, scores_arg, scores_shape
from ck_fmha._compiler_base import lanes_of
from ck_fmha._extras import NO_EXTRAS, Extras
from ck_fmha._gpu_driver import device_index, load_driver, stream_of
from ck_fmha._instance import Instance
from ck_fmha._instances import modules, where_found

_DTYPES = {torch.float16: ("fp16", _native.FLOAT16), torch.bfloat16: ("bf16", _native.BFLOAT16)}
_WAYS_OUT = {
    "hip": 'backend="cpu" covers all of it.',
    "cuda": 'backend="cpu" covers all of it, for tensors on the CPU.',
}
_ROW_ALIGNMENT = 16  # bytes
_MAX_SCORE_STRIDE = 2**24  # bytes, between rows and columns of a bias
_MAX_ROW_STRIDE = 2**25  # bytes: offsets inside a tile fit a buffer descriptor


def not_supported_reasons(dtype: torch.dtype, head_dims: tuple[int, int]) -> list[str]:
    """Return everything that keeps a call from this back end, each with the way out."""
    reasons = []
    if dtype not in _DTYPES:
        reasons.append(f"q, k and v have dtype {dtype}: cast them to torch.float16 or torch.bfloat16")
    for name, dim in zip(("head_dim", "head_dim_v"), head_dims, strict=True):
        if dim % 8:
            padded = f"torch.nn.functional.pad to {-(-dim // 8) * 8} (and pass scale, if it is the head_dim of q and k)"
            reasons.append(f"{name} is {dim}, no multiple of 8: pad with zeros, e.g. {padded}")
    return reasons


def names_of(bias: torch.Tensor | None, extras: Extras) -> str:
    """Return what instances are named after that compute the bias and the extras."""
    if bias is None and extras is NO_EXTRAS:
        return ""
    asked = {
        "softcap": extras.softcap,
        "bias": bias is not None and bias.dtype != torch.float32,
        "bias_fp32": bias is not None and bias.dtype == torch.float32,
        "alibi": extras.alibi_slopes is not None,
        "attended": extras.attended is not None,
        "dropout": extras.dropout_p,
    }
    return " ".join(name for name, is_asked in asked.items() if is_asked)


def _broadcast(shape: torch.Size, sizes: Sizes) -> tuple[bool, ...]:
    """Say of each dimension of the scores whether elements share one of a tensor of this shape."""
    full = (1,) * (4 - len(shape)) + tuple(shape)
    return tuple(n == 1 < m for n, m in zip(full, scores_shape(sizes), strict=True))


def _check_order(backend: str, bias: torch.Tensor, sizes: Sizes) -> None:
    """Raise if the gradient of a bias cannot be summed in one order."""
    *_, queries, keys = _broadcast(bias.shape, sizes)
    if queries or keys:
        wide = (*((1,) * (2 - bias.dim()) + tuple(bias.shape[:-2])), *sizes[3:5])
        raise NotImplementedError(
            f'backend="{backend}" does not cover the gradient of a bias of shape {tuple(bias.shape)}, which queries or '
            f"keys share, with deterministic=True: write it out, bias.expand({wide}).contiguous(), or pass "
            "deterministic=False"
        )


def check(
    backend: str,
    q: torch.Tensor,
    sizes: Sizes,
    bias: torch.Tensor | None,
    deterministic: bool = False,
) -> None:
    """Raise NotImplementedError with every reason that keeps a call from this back end."""
    reasons = not_supported_reasons(q.dtype, sizes[5:])
    if reasons:
        raise NotImplementedError(
            f'backend="{backend}" does not cover this call:\n  ' + "\n  ".join(reasons) + "\n" + _WAYS_OUT[backend]
        )
    if deterministic and bias is not None and bias.requires_grad:
        _check_order(backend, bias, sizes)


def _strides(t: torch.Tensor, layout: str) -> tuple[int, int, int]:
    """Return the strides of batch, heads and positions, 0 for those that no element is reached by."""
    (batch, second, third, _), strides = t.shape, t.stride()
    of_batch = strides[0] if batch > 1 else 0
    of_second = strides[1] if second > 1 else 0
    of_third = strides[2] if third > 1 else 0
    return (of_batch, of_second, of_third) if layout == "bhsd" else (of_batch, of_third, of_second)


def needs_copy(t: torch.Tensor, layout: str) -> str:
    """Why the kernels cannot read a tensor where it lies, or ""."""
    size = t.element_size()
    first, second, third = strides = _strides(t, layout)
    if t.is_neg():
        return "it is a negative view"
    if t.stride(3) != 1:
        return f"its rows are not dense: stride {t.stride(3)}"
    # Of all at once: a multiple of a power of two has no lower bit.
    if (t.data_ptr() | first * size | second * size | third * size) % _ROW_ALIGNMENT:
        return f"its rows are not aligned to {_ROW_ALIGNMENT} bytes"
    if strides[2] * size >= _MAX_ROW_STRIDE:
        return f"its rows are {strides[2] * size} bytes apart, {_MAX_ROW_STRIDE} or more"
    return ""


def readable(t: torch.Tensor, layout: str) -> torch.Tensor:
    """Return the tensor, or a copy of it if kernels cannot read it where it lies."""
    if t.numel() == 0 or not needs_copy(t, layout):
        return t
    return t.resolve_neg().clone(memory_format=torch.contiguous_format)


def _readable_scores(t: torch.Tensor | None) -> torch.Tensor | None:
    """As `readable`, for a tensor that broadcasts to the scores."""
    if t is None or all(stride * t.element_size() < _MAX_SCORE_STRIDE for stride in t.stride()[-2:]):
        return t
    return t.contiguous()


def address(t: torch.Tensor, layout: str) -> tuple[int, int, int, int]:
    """Return where a tensor lies, as the native module takes it."""
    return (t.data_ptr(), *_strides(t, layout))


def _native_extras(bias: torch.Tensor | None, extras: Extras, sizes: Sizes) -> NativeExtras:
    if extras is NO_EXTRAS:
        return NativeExtras(_readable_scores(bias), extras, sizes)
    return NativeExtras(_readable_scores(bias), extras._replace(attended=_readable_scores(extras.attended)), sizes)


def forward(
    backend: str,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    mask: _native.Mask,
    scale: float,
    layout: str,
    sizes: Sizes,
    extras: Extras,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute (out, lse) on the device of the tensors; `check` has passed, and the driver is loaded."""
    batch, num_heads, _, seqlen_q, seqlen_k, _, head_dim_v = sizes
    mask.check_counts(batch, num_heads)
    out = torch.empty((*q.shape[:3], head_dim_v), dtype=q.dtype, device=q.device)
    lse = torch.empty((batch, num_heads, seqlen_q), dtype=torch.float32, device=q.device)
    if out.numel() == 0 or seqlen_k == 0:
        return out.zero_(), lse.fill_(-math.inf)
    q, k, v = (readable(t, layout) for t in (q, k, v))
    driver, device = load_driver(backend), device_index(backend, q)
    dtype_name, dtype = _DTYPES[q.dtype]
    plan = _native.GpuPlan.find(driver, device, mask, sizes)
    head_dim = _native.instance_head_dim(*sizes[5:])
    loaded = modules(driver, device, plan.groups, dtype_name, head_dim, extras=names_of(bias, extras))
    native_extras = _native_extras(bias, extras, sizes)
    size = plan.workspace_size(head_dim_v)  # 0 where no row is cut
    workspace = torch.empty(size, dtype=torch.float32, device=q.device) if size > 0 else None
    _native.gpu_forward(
        plan,
        loaded,
        stream_of(q),
        dtype,
        sizes,
        scale,
        address(q, layout),
        address(k, layout),
        address(v, layout),
        address(out, layout),
        lse.data_ptr(),
        0 if workspace is None else workspace.data_ptr(),
        native_extras.args,
    )
    return out, lse


def backward(
    backend: str,
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    out: torch.Tensor,
    lse: torch.Tensor,
    mask: _native.Mask,
    scale: float,
    layout: str,
    sizes: Sizes,
    extras: Extras,
    deterministic: bool,
    needs_dbias: bool,
) -> Gradients:
    """Compute (dq, dk, dv, dbias) on the device of the tensors, dbias if it is needed.

    With `deterministic`, dQ is computed by kernels of its own, which compute the scores once more; else it is summed by
    atomic additions, in an order that may differ from run to run. So is the gradient of a bias that scores share; with
    `deterministic`, if heads or samples share it, these are launched one after the other.

    Raises:
        NotImplementedError: The gradient of the bias cannot be computed in one order.
    """
    batch, num_heads, _, seqlen_q, seqlen_k, *head_dims = sizes
    mask.check_counts(batch, num_heads)
    dq, dk, dv = (torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (q, k, v))
    if min(batch, num_heads, seqlen_q, seqlen_k) == 0:
        return dq.zero_(), dk.zero_(), dv.zero_(), None if bias is None else torch.zeros_like(bias)
    q, k, v, out, d_out = (readable(t, layout) for t in (q, k, v, out, d_out))
    lse = lse.contiguous()
    if d_lse is not None:
        d_lse = d_lse.resolve_neg().contiguous()
    driver, device = load_driver(backend), device_index(backend, q)
    dtype_name, dtype = _DTYPES[q.dtype]
    head_dim = _native.instance_head_dim(*head_dims)
    columns = _native.GpuPlan.find_columns(driver, device, mask, sizes)
    rows = _native.GpuPlan.find(driver, device, mask, sizes) if deterministic else None
    kernels, names = "bwd_deterministic" if deterministic else "bwd", names_of(bias, extras)
    native_extras = _native_extras(bias, extras, sizes)
    dbias, names_of_dbias, sums = None, "", False
    if bias is not None and needs_dbias:
        shared = _broadcast(bias.shape, sizes)
        sums = any(shared)
        if sums and deterministic:
            _check_order(backend, bias, sizes)
        names_of_dbias = " dbias_keys" if shared[2] else " dbias_sum" if sums else " dbias"
        # Zeros: tiles that nobody attends are not written.
        dbias = torch.zeros(bias.shape, dtype=torch.float32 if sums else bias.dtype, device=q.device)
    workspace = torch.empty(_native.bwd_workspace_size(columns, rows, sizes), dtype=torch.float32, device=q.device)
    _native.gpu_backward(
        columns,
        modules(driver, device, columns.groups, dtype_name, head_dim, kernels, names + names_of_dbias),
        rows,
        [] if rows is None else modules(driver, device, rows.groups, dtype_name, head_dim, "bwd_dq", names),
        stream_of(q),
        dtype,
        sizes,
        scale,
        [address(t, layout) for t in (q, k, v, out, d_out, dq, dk, dv)],
        lse.data_ptr(),
        0 if d_lse is None else d_lse.data_ptr(),
        workspace.data_ptr(),
        native_extras.args,
        NO_SCORES if dbias is None else scores_arg(dbias, scores_shape(sizes)),
        sums,
    )
    return dq, dk, dv, dbias if dbias is None or bias is None else dbias.to(bias.dtype)


class Launch(NamedTuple):
    """One kernel of a call: its instance, and where its code comes from."""

    instance: str
    code: str


@dataclass(frozen=True)
class GpuCall:
    """How a call would run on a device.

    `launches` has one entry for each structure of mask among the heads and samples; `copies` says which tensors are
    copied first, and why.
    """

    arch: str
    launches: tuple[Launch, ...]
    num_work_groups: int
    num_merges: int
    workspace_bytes: int
    copies: tuple[str, ...]
    native: _native.FwdPlan = field(repr=False, compare=False)


def explain(
    backend: str,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: _native.Mask,
    layout: str,
    sizes: Sizes,
    extras: str,
) -> GpuCall:
    """Return what `forward` would launch; nothing is compiled or launched."""
    device = device_index(backend, q)
    arch, num_compute_units = load_driver(backend).device(device)
    plan = _native.FwdPlan(mask, sizes, num_compute_units, lanes_of(arch))
    dtype, head_dim = _DTYPES[q.dtype][0], _native.instance_head_dim(*sizes[5:])
    instances = [
        Instance(structure, dtype, head_dim, num_waves, arch, extras=extras) for structure, num_waves in plan.groups
    ]
    reasons = [(name, needs_copy(t, layout)) for name, t in zip("qkv", (q, k, v), strict=True) if t.numel()]
    return GpuCall(
        arch=arch,
        launches=tuple(Launch(str(instance), where_found(instance, device)) for instance in instances),
        num_work_groups=plan.num_work_groups,
        num_merges=plan.num_merges,
        workspace_bytes=4 * plan.workspace_size(sizes[6]),
        copies=tuple(f"{name} is copied: {reason}" for name, reason in reasons if reason),
        native=plan,
    )
