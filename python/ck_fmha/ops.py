"""The torch operators ``ck_fmha::attention_forward`` and ``ck_fmha::attention_backward``.

torch.compile, torch.export and other tracers see these; plain eager calls go around the dispatcher (see functional.py).
A mask travels as its structure (a string), its integer parameters and its data tensors. The operators register fake
implementations and the first derivative; a second derivative raises.
"""

from __future__ import annotations

from typing import Any

import torch

from ck_fmha import _call, _native
from ck_fmha.masks._native_masks import native_mask

_MASK_ARGS = "str mask_structure, int[] mask_params, Tensor[] mask_data, float scale, str layout, str backend"

torch.library.define(
    "ck_fmha::attention_forward",
    f"(Tensor q, Tensor k, Tensor v, {_MASK_ARGS}) -> (Tensor out, Tensor lse)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
torch.library.define(
    "ck_fmha::attention_backward",
    "(Tensor d_out, Tensor? d_lse, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, bool[] needs, "
    f"{_MASK_ARGS}) -> (Tensor dq, Tensor dk, Tensor dv)",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def _check_data(data: list[torch.Tensor], device: torch.device) -> None:
    for number, t in enumerate(data):
        if t.dtype != torch.int32:
            raise TypeError(f"mask_data[{number}] must have dtype torch.int32, got {t.dtype}")
        if t.device.type not in ("cpu", device.type):
            raise ValueError(f'mask_data[{number}] must be on device "cpu", got "{t.device}": move it with .cpu()')


def _native_mask(structure: str, params: list[int], data: list[torch.Tensor]) -> _native.Mask:
    return native_mask(structure, tuple(params), [t.contiguous() for t in data])


@torch.library.impl("ck_fmha::attention_forward", "cpu")
def _forward_cpu(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask_structure: str,
    mask_params: list[int],
    mask_data: list[torch.Tensor],
    scale: float,
    layout: str,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    _call.check_tensors(q, k, v, layout, True)
    _call.check_backend(backend, q.device)
    _check_data(mask_data, q.device)
    mask = _native_mask(mask_structure, mask_params, mask_data)
    return _call.forward(q, k, v, mask, scale, layout)


@torch.library.register_fake("ck_fmha::attention_forward")
def _forward_fake(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask_structure: str,
    mask_params: list[int],
    mask_data: list[torch.Tensor],
    scale: float,
    layout: str,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    _check_data(mask_data, q.device)
    s = _call.sizes_of(q, k, v, layout)
    out = q.new_empty((*q.shape[:3], s.head_dim_v))
    return out, q.new_empty((s.batch, s.num_heads, s.seqlen_q), dtype=torch.float32)


@torch.library.impl("ck_fmha::attention_backward", "cpu")
def _backward_cpu(
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    needs: list[bool],
    mask_structure: str,
    mask_params: list[int],
    mask_data: list[torch.Tensor],
    scale: float,
    layout: str,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if len(needs) != 3:
        raise ValueError(f"needs must say for each of q, k and v whether its gradient is wanted, got {needs}")
    s = _call.check_tensors(q, k, v, layout, True)
    _call.check_backend(backend, q.device)
    _check_data(mask_data, q.device)
    _call.check_gradients(q, out, lse, d_out, d_lse, s)
    dq, dk, dv = _call.backward(
        d_out,
        d_lse,
        q,
        k,
        v,
        out,
        lse.contiguous(),
        (needs[0], needs[1], needs[2]),
        _native_mask(mask_structure, mask_params, mask_data),
        scale,
        layout,
    )
    # An operator returns tensors, not None: one without elements stands for a gradient that nobody asked for.
    return (
        q.new_empty(0) if dq is None else dq,
        k.new_empty(0) if dk is None else dk,
        v.new_empty(0) if dv is None else dv,
    )


@torch.library.register_fake("ck_fmha::attention_backward")
def _backward_fake(
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    needs: list[bool],
    mask_structure: str,
    mask_params: list[int],
    mask_data: list[torch.Tensor],
    scale: float,
    layout: str,
    backend: str,
) -> tuple[torch.Tensor, ...]:
    _check_data(mask_data, q.device)
    return tuple(t.new_empty(t.shape if need else 0) for t, need in zip((q, k, v), needs, strict=True))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    q, k, v, ctx.mask_structure, ctx.mask_params, mask_data, *ctx.rest = inputs
    ctx.save_for_backward(q, k, v, *output, *mask_data)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None) -> tuple[Any, ...]:
    q, k, v, out, lse, *mask_data = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:3])
    if d_out is None:
        d_out = torch.zeros_like(out)
    mask_args = (ctx.mask_structure, ctx.mask_params, mask_data, *ctx.rest)
    grads = torch.ops.ck_fmha.attention_backward(d_out, d_lse, q, k, v, out, lse, needs, *mask_args)
    # None for every other argument, and a list of them for a list of tensors, as which an empty list counts too: the
    # registration compares the structures.
    rest = [
        [None] * len(arg) if isinstance(arg, (list, tuple)) and all(isinstance(x, torch.Tensor) for x in arg) else None
        for arg in mask_args
    ]
    return (*(g if need else None for g, need in zip(grads, needs, strict=True)), *rest)


def _no_second_derivative(ctx: Any, *grads: torch.Tensor | None) -> tuple[Any, ...]:
    raise RuntimeError(
        "ck_fmha: the backward of attention cannot be differentiated again (double backward is not supported): "
        "call backward without create_graph=True, or use torch's own scaled_dot_product_attention"
    )


torch.library.register_autograd("ck_fmha::attention_forward", _backward, setup_context=_setup_context)
torch.library.register_autograd("ck_fmha::attention_backward", _no_second_derivative)
