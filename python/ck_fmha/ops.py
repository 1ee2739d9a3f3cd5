"""The torch operators ``ck_fmha::attention_forward`` and ``ck_fmha::attention_backward``.

torch.compile, torch.export and other tracers see these; plain eager calls go around the dispatcher (see functional.py).
A mask travels as its structure (a string), its integer parameters and its data tensors. The operators register fake
implementations and the first derivative; a second derivative raises.
"""

from __future__ import annotations

from typing import Any

import torch

from ck_fmha import _call

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


def _check_mask_data(mask_data: list[torch.Tensor]) -> None:
    if mask_data:
        raise NotImplementedError(
            f"mask_data is not covered yet: no mask carries tensors, got {len(mask_data)} of them"
        )


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
    _check_mask_data(mask_data)
    _call.check_tensors(q, k, v, layout, True)
    _call.check_backend(backend, q.device)
    return _call.forward(q, k, v, mask_structure, tuple(mask_params), scale, layout)


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
    _check_mask_data(mask_data)
    if len(needs) != 3:
        raise ValueError(f"needs must say for each of q, k and v whether its gradient is wanted, got {needs}")
    s = _call.check_tensors(q, k, v, layout, True)
    _call.check_backend(backend, q.device)
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
        mask_structure,
        tuple(mask_params),
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
    return tuple(t.new_empty(t.shape if need else 0) for t, need in zip((q, k, v), needs, strict=True))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    q, k, v, *ctx.mask_args = inputs
    ctx.save_for_backward(q, k, v, *output)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None) -> tuple[Any, ...]:
    q, k, v, out, lse = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:3])
    if d_out is None:
        d_out = torch.zeros_like(out)
    grads = torch.ops.ck_fmha.attention_backward(d_out, d_lse, q, k, v, out, lse, needs, *ctx.mask_args)
    # None for every other argument, an empty list for an empty one: the registration compares the structures.
    rest: list[list[Any] | None] = [[] if isinstance(arg, (list, tuple)) and not arg else None for arg in ctx.mask_args]
    return (*(g if need else None for g, need in zip(grads, needs, strict=True)), *rest)


def _no_second_derivative(ctx: Any, *grads: torch.Tensor | None) -> tuple[Any, ...]:
    raise RuntimeError(
        "ck_fmha: the backward of attention cannot be differentiated again (double backward is not supported): "
        "call backward without create_graph=True, or use torch's own scaled_dot_product_attention"
    )


torch.library.register_autograd("ck_fmha::attention_forward", _backward, setup_context=_setup_context)
torch.library.register_autograd("ck_fmha::attention_backward", _no_second_derivative)
