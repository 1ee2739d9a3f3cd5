"""Attention on GPUs: which calls it covers, and how they reach the kernels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from ck_fmha import _native
from ck_fmha._extras import Extras
from ck_fmha._gpu_driver import device_index, load_driver, stream_of
from ck_fmha._instance import Instance
from ck_fmha._instances import modules, where_found

_DTYPES = {torch.float16: ("fp16", _native.FLOAT16), torch.bfloat16: ("bf16", _native.BFLOAT16)}
_WAYS_OUT = {
    "hip": 'backend="cpu" covers all of it.',
    "cuda": 'backend="cpu" covers all of it, for tensors on the CPU.',
}
_ROW_ALIGNMENT = 16  # bytes
_MAX_ROW_STRIDE = 2**25  # bytes: offsets inside a tile fit a buffer descriptor

Sizes = tuple[int, int, int, int, int, int, int]


def not_supported_reasons(
    dtype: torch.dtype,
    head_dims: tuple[int, int],
    bias: torch.Tensor | None,
    extras: Extras,
) -> list[str]:
    """Return everything that keeps a call from this back end, each with the way out."""
    reasons = []
    if dtype not in _DTYPES:
        reasons.append(f"q, k and v have dtype {dtype}: cast them to torch.float16 or torch.bfloat16")
    for name, dim in zip(("head_dim", "head_dim_v"), head_dims, strict=True):
        if dim % 8:
            padded = f"torch.nn.functional.pad to {-(-dim // 8) * 8} (and pass scale, if it is the head_dim of q and k)"
            reasons.append(f"{name} is {dim}, no multiple of 8: pad with zeros, e.g. {padded}")
    if bias is not None:
        reasons.append("bias is not covered yet")
    if extras.attended is not None:
        reasons.append("attn_mask as a bool tensor is not covered: make it a mask by masks.BlockList.from_tensor")
    if extras.alibi_slopes is not None:
        reasons.append("alibi_slopes are not covered yet")
    if extras.softcap:
        reasons.append(f"softcap is not covered yet, got {extras.softcap}")
    if extras.dropout_p:
        reasons.append(f"dropout_p is not covered yet, got {extras.dropout_p}")
    return reasons


def check(backend: str, q: torch.Tensor, sizes: Sizes, bias: torch.Tensor | None, extras: Extras) -> None:
    """Raise NotImplementedError with every reason that keeps a call from this back end."""
    reasons = not_supported_reasons(q.dtype, sizes[5:], bias, extras)
    if reasons:
        raise NotImplementedError(
            f'backend="{backend}" does not cover this call:\n  ' + "\n  ".join(reasons) + "\n" + _WAYS_OUT[backend]
        )


def check_backward(backend: str) -> None:
    """Raise NotImplementedError if a back end computes no gradients."""
    if backend == "cuda":
        raise NotImplementedError(
            'backend="cuda" computes no gradients yet: call it under torch.no_grad() or with tensors that require no '
            'gradient, or compute on the CPU (backend="cpu", q.cpu(), k.cpu(), v.cpu())'
        )


def _strides(t: torch.Tensor, layout: str) -> tuple[int, int, int]:
    """Return the strides of batch, heads and positions, 0 for those that no element is reached by."""
    first, second, third = (stride if size > 1 else 0 for stride, size in zip(t.stride()[:3], t.shape, strict=False))
    return (first, second, third) if layout == "bhsd" else (first, third, second)


def needs_copy(t: torch.Tensor, layout: str) -> str:
    """Why the kernels cannot read a tensor where it lies, or ""."""
    size = t.element_size()
    strides = _strides(t, layout)
    if t.is_neg():
        return "it is a negative view"
    if t.stride(3) != 1:
        return f"its rows are not dense: stride {t.stride(3)}"
    if t.data_ptr() % _ROW_ALIGNMENT or any(stride * size % _ROW_ALIGNMENT for stride in strides):
        return f"its rows are not aligned to {_ROW_ALIGNMENT} bytes"
    if strides[2] * size >= _MAX_ROW_STRIDE:
        return f"its rows are {strides[2] * size} bytes apart, {_MAX_ROW_STRIDE} or more"
    return ""


def readable(t: torch.Tensor, layout: str) -> torch.Tensor:
    """Return the tensor, or a copy of it if kernels cannot read it where it lies."""
    if t.numel() == 0 or not needs_copy(t, layout):
        return t
    return t.resolve_neg().clone(memory_format=torch.contiguous_format)


def address(t: torch.Tensor, layout: str) -> tuple[int, int, int, int]:
    """Return where a tensor lies, as the native module takes it."""
    return (t.data_ptr(), *_strides(t, layout))


def forward(
    backend: str,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: _native.Mask,
    scale: float,
    layout: str,
    sizes: Sizes,
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
    loaded = modules(driver, device, plan.groups, dtype_name, _native.instance_head_dim(*sizes[5:]))
    workspace = torch.empty(plan.workspace_size(head_dim_v), dtype=torch.float32, device=q.device)
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
        workspace.data_ptr(),
    )
    return out, lse


def backward(
    backend: str,
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    mask: _native.Mask,
    scale: float,
    layout: str,
    sizes: Sizes,
    deterministic: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute (dq, dk, dv) on the device of the tensors.

    With `deterministic`, dQ is computed by kernels of its own, which compute the scores once more; else it is summed by
    atomic additions, in an order that may differ from run to run.

    Raises:
        NotImplementedError: The back end has no backward.
    """
    check_backward(backend)
    batch, num_heads, _, seqlen_q, seqlen_k, *head_dims = sizes
    mask.check_counts(batch, num_heads)
    dq, dk, dv = (torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (q, k, v))
    if min(batch, num_heads, seqlen_q, seqlen_k) == 0:
        return dq.zero_(), dk.zero_(), dv.zero_()
    q, k, v, out, d_out = (readable(t, layout) for t in (q, k, v, out, d_out))
    lse = lse.contiguous()
    if d_lse is not None:
        d_lse = d_lse.resolve_neg().contiguous()
    driver, device = load_driver(backend), device_index(backend, q)
    dtype_name, dtype = _DTYPES[q.dtype]
    head_dim = _native.instance_head_dim(*head_dims)
    columns = _native.GpuPlan.find_columns(driver, device, mask, sizes)
    rows = _native.GpuPlan.find(driver, device, mask, sizes) if deterministic else None
    kernels = "bwd_deterministic" if deterministic else "bwd"
    workspace = torch.empty(_native.bwd_workspace_size(columns, rows, sizes), dtype=torch.float32, device=q.device)
    _native.gpu_backward(
        columns,
        modules(driver, device, columns.groups, dtype_name, head_dim, kernels),
        rows,
        [] if rows is None else modules(driver, device, rows.groups, dtype_name, head_dim, "bwd_dq"),
        stream_of(q),
        dtype,
        sizes,
        scale,
        [address(t, layout) for t in (q, k, v, out, d_out, dq, dk, dv)],
        lse.data_ptr(),
        0 if d_lse is None else d_lse.data_ptr(),
        workspace.data_ptr(),
    )
    return dq, dk, dv


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
    backend: str, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: _native.Mask, layout: str, sizes: Sizes
) -> GpuCall:
    """Return what `forward` would launch; nothing is compiled or launched."""
    device = device_index(backend, q)
    arch, num_compute_units = load_driver(backend).device(device)
    plan = _native.FwdPlan(mask, sizes, num_compute_units)
    dtype, head_dim = _DTYPES[q.dtype][0], _native.instance_head_dim(*sizes[5:])
    instances = [
        Instance(structure, dtype, head_dim, num_waves, asks, arch) for structure, num_waves, asks in plan.groups
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
