"""The torch operators ``ck_fmha::attention_forward`` and ``ck_fmha::attention_backward``.

torch.compile, torch.export and other tracers see these; plain eager calls go around the dispatcher (see functional.py).
A mask travels as its structure (a string), its integer parameters and its data tensors. The operators register fake
implementations and the first derivative; a second derivative raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ck_fmha import _call, _ck_tile, _gpu, _native
from ck_fmha._extras import Extras, check_alibi_slopes, check_bias, check_broadcast, check_dropout_p, check_softcap
from ck_fmha._gpu_driver import BACKENDS as GPU_BACKENDS
from ck_fmha.masks._native_masks import native_mask

_CALL_ARGS = (
    "Tensor? attended, Tensor? alibi_slopes, Tensor? dropout_seed, float softcap, float dropout_p, "
    "str mask_structure, int[] mask_params, Tensor[] mask_data, float scale, str layout, str backend, "
    "bool deterministic"
)

torch.library.define(
    "ck_fmha::attention_forward",
    f"(Tensor q, Tensor k, Tensor v, Tensor? bias, {_CALL_ARGS}) -> (Tensor out, Tensor lse)",
    tags=(torch.Tag.pt2_compliant_tag,),
)
torch.library.define(
    "ck_fmha::attention_backward",
    "(Tensor d_out, Tensor? d_lse, Tensor q, Tensor k, Tensor v, Tensor? bias, Tensor out, Tensor lse, bool[] needs, "
    f"{_CALL_ARGS}) -> (Tensor dq, Tensor dk, Tensor dv, Tensor dbias)",
    tags=(torch.Tag.pt2_compliant_tag,),
)


class _Call(NamedTuple):
    """What both operators take after their tensors of numbers, in the order of `_CALL_ARGS`."""

    attended: torch.Tensor | None
    alibi_slopes: torch.Tensor | None
    dropout_seed: torch.Tensor | None
    softcap: float
    dropout_p: float
    mask_structure: str
    mask_params: list[int]
    mask_data: list[torch.Tensor]
    scale: float
    layout: str
    backend: str
    deterministic: bool

    @property
    def extras(self) -> Extras:
        return Extras(*self[:5])

    def check_data(self, device: torch.device) -> None:
        for number, t in enumerate(self.mask_data):
            if t.dtype != torch.int32:
                raise TypeError(f"mask_data[{number}] must have dtype torch.int32, got {t.dtype}")
            if t.device.type not in ("cpu", device.type):
                raise ValueError(f'mask_data[{number}] must be on device "cpu", got "{t.device}": move it with .cpu()')

    def check(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None
    ) -> tuple[_call.Sizes, _native.Mask]:
        """Check everything that the native core relies on; return the sizes and the mask."""
        s = _call.check_tensors(q, k, v, self.layout, True)
        scores = _call.scores_shape(s)
        _call.check_backend(self.backend, q.device)
        self.check_data(q.device)
        if bias is not None:
            check_bias(bias, q, scores)
        if self.attended is not None:
            if self.attended.dtype != torch.bool:
                raise ValueError(f"attended must have dtype torch.bool, got {self.attended.dtype}")
            check_broadcast("attended", self.attended, scores, q.device)
        if self.alibi_slopes is not None:
            check_alibi_slopes(self.alibi_slopes.detach(), s.batch, s.num_heads, q.device)
        check_softcap(self.softcap)
        if check_dropout_p(self.dropout_p) > 0:
            seed = self.dropout_seed
            if seed is None or seed.dtype != torch.int64 or seed.numel() != 1:
                got = "None" if seed is None else f"{seed.dtype} of shape {tuple(seed.shape)}"
                raise ValueError(f"dropout_seed must be an int64 tensor with one element, got {got}")
        data = [t.contiguous() for t in self.mask_data]
        return s, native_mask(self.mask_structure, tuple(self.mask_params), data)


@torch.library.impl("ck_fmha::attention_forward", ("cpu", "cuda"))
def _forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None, *args: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    call = _Call(*args)
    s, mask = call.check(q, k, v, bias)
    backend = _call.check_backend(call.backend, q.device)
    if backend in GPU_BACKENDS:
        _gpu.check(backend, q, s, bias)
        return _gpu.forward(backend, q, k, v, bias, mask, call.scale, call.layout, s, call.extras)
    if backend == "ck_tile":
        _ck_tile.check(q, s, call.scale, bias, call.extras)
        return _ck_tile.forward(q, k, v, mask, call.scale, call.layout, s)
    return _call.forward(q, k, v, bias, mask, call.scale, call.layout, call.extras)


@torch.library.register_fake("ck_fmha::attention_forward")
def _forward_fake(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None, *args: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    call = _Call(*args)
    call.check_data(q.device)
    s = _call.sizes_of(q, k, v, call.layout)
    out = q.new_empty((*q.shape[:3], s.head_dim_v))
    return out, q.new_empty((s.batch, s.num_heads, s.seqlen_q), dtype=_call.lse_dtype(q.dtype))


@torch.library.impl("ck_fmha::attention_backward", ("cpu", "cuda"))
def _backward_of_device(
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    out: torch.Tensor,
    lse: torch.Tensor,
    needs: list[bool],
    *args: Any,
) -> tuple[torch.Tensor, ...]:
    if len(needs) != 4:
        raise ValueError(f"needs must say for each of q, k, v and bias whether its gradient is wanted, got {needs}")
    call = _Call(*args)
    s, mask = call.check(q, k, v, bias)
    _call.check_gradients(q, out, lse, d_out, d_lse, s)
    backend = _call.check_backend(call.backend, q.device)
    if backend != "cpu":
        gradients: _call.Gradients
        if backend == "ck_tile":
            _ck_tile.check(q, s, call.scale, bias, call.extras, backward=True)
            numbers = (mask, call.scale, call.layout, s, call.deterministic)
            gradients = (*_ck_tile.backward(d_out, d_lse, q, k, v, out, lse, *numbers), None)
        else:
            _gpu.check(backend, q, s, bias)
            rest = (mask, call.scale, call.layout, s, call.extras, call.deterministic, needs[3])
            gradients = _gpu.backward(backend, d_out, d_lse, q, k, v, bias, out, lse, *rest)
        return tuple(q.new_empty(0) if g is None or not need else g for g, need in zip(gradients, needs, strict=True))
    wanted = (needs[0], needs[1], needs[2], needs[3])
    grads = _call.backward(
        d_out, d_lse, q, k, v, bias, out, lse.contiguous(), wanted, mask, call.scale, call.layout, call.extras
    )
    # An operator returns tensors, not None: one without elements stands for a gradient that nobody asked for.
    return tuple(q.new_empty(0) if grad is None else grad for grad in grads)


@torch.library.register_fake("ck_fmha::attention_backward")
def _backward_fake(
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    out: torch.Tensor,
    lse: torch.Tensor,
    needs: list[bool],
    *args: Any,
) -> tuple[torch.Tensor, ...]:
    _Call(*args).check_data(q.device)
    return tuple(
        t.new_empty(t.shape) if t is not None and need else q.new_empty(0)
        for t, need in zip((q, k, v, bias), needs, strict=True)
    )


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    q, k, v, bias, *args = inputs
    call = _Call(*args)
    ctx.save_for_backward(q, k, v, bias, *output, *call[:3], *call.mask_data)
    ctx.set_materialize_grads(False)
    ctx.numbers = (*call[3:7], *call[8:])


def backward_operator(
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    out: torch.Tensor,
    lse: torch.Tensor,
    needs: Sequence[bool],
    call: tuple[Any, ...],
) -> _call.Gradients:
    """Return (dq, dk, dv, dbias) by the operator, None where `needs` does not ask; `call` as in `_CALL_ARGS`."""
    grads = torch.ops.ck_fmha.attention_backward(d_out, d_lse, q, k, v, bias, out, lse, list(needs), *call)
    dq, dk, dv, dbias = (g if need else None for g, need in zip(grads, needs, strict=True))
    return dq, dk, dv, dbias


def _backward(ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None) -> tuple[Any, ...]:
    q, k, v, bias, out, lse, attended, slopes, seed, *mask_data = ctx.saved_tensors
    if d_out is None:
        d_out = torch.zeros_like(out)
    args = (attended, slopes, seed, *ctx.numbers[:4], mask_data, *ctx.numbers[4:])
    grads = backward_operator(d_out, d_lse, q, k, v, bias, out, lse, ctx.needs_input_grad[:4], args)
    # None for every other argument, and a list of them for a list of tensors, as which an empty list counts too: the
    # registration compares the structures.
    rest = [
        [None] * len(arg) if isinstance(arg, (list, tuple)) and all(isinstance(x, torch.Tensor) for x in arg) else None
        for arg in args
    ]
    return (*grads, *rest)


def _no_second_derivative(ctx: Any, *grads: torch.Tensor | None) -> tuple[Any, ...]:
    raise RuntimeError(
        "ck_fmha: the backward of attention cannot be differentiated again (double backward is not supported): "
        "call backward without create_graph=True, or use torch's own scaled_dot_product_attention"
    )


torch.library.register_autograd("ck_fmha::attention_forward", _backward, setup_context=_setup_context)
torch.library.register_autograd("ck_fmha::attention_backward", _no_second_derivative)
