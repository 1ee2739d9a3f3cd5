"""Attention by ROCm's own CK Tile with the masks of this package: which calls it covers, and how they reach it."""

from __future__ import annotations

import math
from typing import Any

import torch

from ck_fmha import _native
from ck_fmha._call import Sizes
from ck_fmha._ck_tile_headers import find_headers
from ck_fmha._extras import Extras
from ck_fmha._gpu import address, readable
from ck_fmha._gpu_driver import device_index, load_driver, stream_of
from ck_fmha._instances import modules

_DTYPES = {torch.float16: ("fp16", _native.FLOAT16), torch.bfloat16: ("bf16", _native.BFLOAT16)}


def not_supported_reasons(
    dtype: torch.dtype, head_dims: tuple[int, int], scale: float, bias: torch.Tensor | None, extras: Extras
) -> list[str]:
    """Return everything that keeps a call from this back end, each with the way out."""
    reasons = []
    if dtype not in _DTYPES:
        reasons.append(f"q, k and v have dtype {dtype}: cast them to torch.float16 or torch.bfloat16")
    for name, dim in zip(("head_dim", "head_dim_v"), head_dims, strict=True):
        if dim % 8:
            reasons.append(f"{name} is {dim}, no multiple of 8: pad with zeros to {-(-dim // 8) * 8}")
    if not scale > 0:
        reasons.append(f"scale is {scale}: CK Tile takes the largest product for the largest score, so it must be > 0")
    for name, given in (
        ("bias", bias is not None),
        ("attn_mask as a bool tensor", extras.attended is not None),
        ("alibi_slopes", extras.alibi_slopes is not None),
        ("softcap", bool(extras.softcap)),
        ("dropout_p", bool(extras.dropout_p)),
    ):
        if given:
            reasons.append(f"{name} is not covered")
    return reasons


def check(
    q: torch.Tensor, sizes: Sizes, scale: float, bias: torch.Tensor | None, extras: Extras, backward: bool = False
) -> None:
    """Raise NotImplementedError with every reason that keeps a call from this back end, or if headers are missing."""
    reasons = not_supported_reasons(q.dtype, sizes[5:], scale, bias, extras)
    if reasons:
        raise NotImplementedError(
            'backend="ck_tile" does not cover this call:\n  '
            + "\n  ".join(reasons)
            + '\nbackend="cpu" covers all of it, '
            'and "hip" what is common on AMD GPUs.'
        )
    find_headers(backward)


def _kernels(name: str, sizes: Sizes) -> str:
    *_, head_dim, head_dim_v = sizes
    whole = head_dim == head_dim_v == _native.instance_head_dim(head_dim, head_dim_v)
    return f"ck_tile_{name}" if whole else f"ck_tile_{name}_padded"


def _masks_and_modules(
    mask: _native.Mask, q: torch.Tensor, sizes: Sizes, name: str
) -> tuple[_native.CkTileMasks, list[Any]]:
    driver, device = load_driver("hip"), device_index("hip", q)
    masks = _native.CkTileMasks.find(driver, device, mask, sizes)
    groups = [(structure, 0) for structure in masks.structures]
    head_dim = _native.instance_head_dim(*sizes[5:])
    return masks, modules(driver, device, groups, _DTYPES[q.dtype][0], head_dim, _kernels(name, sizes))


def forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: _native.Mask, scale: float, layout: str, sizes: Sizes
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute (out, lse) on the device of the tensors; `check` has passed, and the driver is loaded."""
    batch, num_heads, _, seqlen_q, seqlen_k, _, head_dim_v = sizes
    mask.check_counts(batch, num_heads)
    out = torch.empty((*q.shape[:3], head_dim_v), dtype=q.dtype, device=q.device)
    lse = torch.empty((batch, num_heads, seqlen_q), dtype=torch.float32, device=q.device)
    if out.numel() == 0 or seqlen_k == 0:
        return out.zero_(), lse.fill_(-math.inf)
    q, k, v = (readable(t, layout) for t in (q, k, v))
    _native.ck_tile_forward(
        *_masks_and_modules(mask, q, sizes, "fwd"),
        stream_of(q),
        _DTYPES[q.dtype][1],
        sizes,
        scale,
        [address(t, layout) for t in (q, k, v, out)],
        lse.data_ptr(),
    )
    return out, lse


def backward(
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
    """Compute (dq, dk, dv) on the device of the tensors; dQ is summed by atomic additions.

    Query heads that share a head of K and V have gradients of their own, which are summed in float32 afterwards.
    """
    if deterministic:
        raise NotImplementedError(
            'backend="ck_tile" has no deterministic backward: CK Tile\'s keeps a copy of dQ for every 128 keys. Use '
            'backend="hip", whose deterministic backward needs none, or deterministic=False.'
        )
    batch, num_heads, num_heads_kv, seqlen_q, seqlen_k, head_dim, _ = sizes
    mask.check_counts(batch, num_heads)
    dq = torch.empty_like(q, memory_format=torch.contiguous_format)
    if min(batch, num_heads, seqlen_q, seqlen_k) == 0:
        return dq.zero_(), torch.zeros_like(k), torch.zeros_like(v)
    q, k, v, out, d_out = (readable(t, layout) for t in (q, k, v, out, d_out))
    heads = 1 if layout == "bhsd" else 2

    def of_query_heads(t: torch.Tensor) -> torch.Tensor:
        shape = list(t.shape)
        shape[heads] = num_heads
        return torch.empty(shape, dtype=t.dtype, device=t.device)

    dk, dv = of_query_heads(k), of_query_heads(v)
    d = torch.empty((batch, num_heads, seqlen_q), dtype=torch.float32, device=q.device)
    dq_acc = torch.zeros((batch, num_heads, seqlen_q, head_dim), dtype=torch.float32, device=q.device)
    lse = lse.contiguous()
    call = (
        *_masks_and_modules(mask, q, sizes, "bwd"),
        stream_of(q),
        _DTYPES[q.dtype][1],
        sizes,
        scale,
        [address(t, layout) for t in (q, k, v, out, d_out, dq, dk, dv)],
        lse.data_ptr(),
        d.data_ptr(),
        dq_acc.data_ptr(),
    )
    _native.ck_tile_dot_do_o(*call)
    if d_lse is not None:
        d -= d_lse  # dS = P (dP - D + dLSE)
    _native.ck_tile_dq_dk_dv(*call)
    if num_heads != num_heads_kv:
        groups = (num_heads_kv, num_heads // num_heads_kv)
        dk, dv = (t.unflatten(heads, groups).sum(heads + 1, dtype=torch.float32).to(t.dtype) for t in (dk, dv))
    return dq, dk, dv
