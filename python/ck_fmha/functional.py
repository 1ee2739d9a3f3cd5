"""The functions users call: `attention`, `scaled_dot_product_attention` and `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, overload

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import once_differentiable

from ck_fmha import _call, _native
from ck_fmha import ops as _ops  # noqa: F401  registers the torch operators
from ck_fmha._arguments import check_bool
from ck_fmha.masks import Causal, Mask, TileCounts

__all__ = ["Explanation", "attention", "explain", "scaled_dot_product_attention"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)


class _Attention(torch.autograd.Function):
    """The eager path: straight into the native core. Tracers get the operators of ops.py instead."""

    @staticmethod
    def forward(
        ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Mask, scale: float, layout: str
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out, lse = _call.forward(q, k, v, mask.native, scale, layout)
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.set_materialize_grads(False)
        ctx.call = (mask, scale, layout)
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None) -> tuple[Any, ...]:
        q, k, v, out, lse = ctx.saved_tensors
        if d_out is None:
            d_out = torch.zeros_like(out)
        needs = ctx.needs_input_grad[:3]
        mask, scale, layout = ctx.call
        if _is_plain_eager(d_out, *(() if d_lse is None else (d_lse,))):
            grads = _call.backward(d_out, d_lse, q, k, v, out, lse, needs, mask.native, scale, layout)
        else:
            grads = torch.ops.ck_fmha.attention_backward(
                d_out, d_lse, q, k, v, out, lse, needs, *_described(mask, d_out), scale, layout, "auto"
            )
        return *(g if need else None for g, need in zip(grads, needs, strict=True)), None, None, None


def _is_plain_eager(*tensors: torch.Tensor) -> bool:
    """Are these plain tensors, with nothing active that wants to see the operators?"""
    return (
        all(type(t) in _PLAIN and t.device.type == "cpu" and t.layout is torch.strided for t in tensors)
        and not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._len_torch_function_stack()
    )


def _described(mask: Mask, like: torch.Tensor) -> tuple[str, tuple[int, ...], list[torch.Tensor]]:
    """Return the mask as the operators take it, beside a tensor `like`."""
    data = list(mask.data)
    if isinstance(like, FakeTensor) and not like.fake_mode.allow_non_fake_inputs and not torch.compiler.is_compiling():
        data = [like.fake_mode.from_tensor(t) for t in data]  # fake and real tensors do not mix
    return mask.structure, mask.params, data


def _autocast(*tensors: Any) -> tuple[Any, ...]:
    """Cast as torch's scaled_dot_product_attention does where autocast is active on the CPU."""
    if not torch.is_autocast_enabled("cpu") or not all(isinstance(t, torch.Tensor) for t in tensors):
        return tensors
    dtype = torch.get_autocast_dtype("cpu")
    if dtype != torch.bfloat16:
        raise NotImplementedError(
            f"autocast to {dtype} is not covered yet: use torch.autocast with dtype=torch.bfloat16, or call attention "
            'inside torch.autocast("cpu", enabled=False)'
        )
    return tuple(t.to(dtype) if t.dtype in (torch.float32, torch.float16) else t for t in tensors)


def _refuse_functorch() -> None:
    # Its forward-mode derivative of an operator without one is a silent zero.
    if not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None:
        raise NotImplementedError(
            "attention inside torch.func (grad, jvp, vmap, ...) is not covered yet: use torch.autograd, or torch's own "
            "scaled_dot_product_attention"
        )


@overload
def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | None = None,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: Literal[False] = False,
    layout: str = "bhsd",
    backend: str = "auto",
) -> torch.Tensor: ...


@overload
def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | None = None,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: Literal[True],
    layout: str = "bhsd",
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]: ...


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | None = None,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    layout: str = "bhsd",
    backend: str = "auto",
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Exact attention softmax(scale * q k^T, over attended keys) v that computes only the live tiles of its mask.

    Differentiable once in q, k and v. Memory beyond the outputs is O(seqlen); nothing of size seqlen_q x seqlen_k is
    stored. Forward and backward are deterministic: same inputs, same bits, for any number of threads.

    Args:
        q: (batch, num_heads, seqlen_q, head_dim), float32 or bfloat16, head_dim 1..256, any strides (a last stride
            other than 1 costs a copy).
        k: (batch, num_heads_kv, seqlen_k, head_dim).
        v: (batch, num_heads_kv, seqlen_k, head_dim_v), head_dim_v 1..256.
        mask: Which keys each query attends, from `ck_fmha.masks`; None attends all of them.
        scale: Factor on the scores, any finite float; default 1 / sqrt(head_dim).
        enable_gqa: Allow num_heads to be a multiple of num_heads_kv; query head h then reads key/value head
            h // (num_heads / num_heads_kv).
        return_lse: Also return the logarithm of the softmax's denominator.
        layout: ``"bhsd"`` as above, or ``"bshd"``: (batch, seqlen, num_heads, head_dim) for q, k, v and the output.
        backend: ``"auto"`` or ``"cpu"``.

    Returns:
        out (batch, num_heads, seqlen_q, head_dim_v), in the layout and dtype of q; with ``return_lse=True`` the pair
        (out, lse), lse float32 (batch, num_heads, seqlen_q) in every layout: the natural logarithm of
        sum_j exp(scale * q_i k_j), differentiable. A query that attends no key has out 0, lse -inf and gradient 0.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Shapes, dtypes, devices or values do not fit together.
        NotImplementedError: What is asked for is not covered yet; the message says what is.
        RuntimeError: A second derivative is asked for.

    Source: Dao et al., "FlashAttention", 2022, with the live tiles of the mask in closed form.
    """
    check_bool("return_lse", return_lse)
    out, lse = _attention(("q", "k", "v"), q, k, v, mask, scale, enable_gqa, layout, backend)
    return (out, lse) if return_lse else out


def _attention(
    names: tuple[str, str, str],
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | None,
    scale: float | None,
    enable_gqa: bool,
    layout: str,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    _refuse_functorch()
    q, k, v = _autocast(q, k, v)
    sizes = _call.check_tensors(q, k, v, layout, enable_gqa, names)
    mask = _call.check_mask(mask)
    softmax_scale = _call.check_scale(scale, sizes.head_dim)
    backend = _call.check_backend(backend, q.device, names[0])
    if _is_plain_eager(q, k, v):
        return _Attention.apply(q, k, v, mask, softmax_scale, layout)  # type: ignore[no-any-return,no-untyped-call]
    return torch.ops.ck_fmha.attention_forward(  # type: ignore[no-any-return]
        q, k, v, *_described(mask, q), softmax_scale, layout, backend
    )


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: Mask | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Drop-in for `torch.nn.functional.scaled_dot_product_attention` that takes mask objects.

    Args:
        query: (..., num_heads, seqlen_q, head_dim) with any number of leading dimensions, also none; float32 or
            bfloat16.
        key: (..., num_heads_kv, seqlen_k, head_dim), the same leading dimensions.
        value: (..., num_heads_kv, seqlen_k, head_dim_v).
        attn_mask: A mask of `ck_fmha.masks`, or None. Tensors are not covered yet.
        dropout_p: Only 0.0 is covered yet.
        is_causal: Causal, aligned top-left as in torch; together with a mask object both hold.
        scale: Factor on the scores; default 1 / sqrt(head_dim).
        enable_gqa: Allow the number of query heads to be a multiple of that of key and value.

    Returns:
        (..., num_heads, seqlen_q, head_dim_v). A query that attends no key gives 0.

    Raises:
        TypeError, ValueError: As `attention`.
        NotImplementedError: A tensor as attn_mask, dropout, or leading dimensions that would need broadcasting.
    """
    if isinstance(attn_mask, torch.Tensor):
        raise NotImplementedError(
            f"attn_mask as a tensor is not covered yet, got shape {tuple(attn_mask.shape)} and dtype "
            f"{attn_mask.dtype}: pass a mask object of ck_fmha.masks, or use torch's own scaled_dot_product_attention"
        )
    mask = _call.check_mask(attn_mask, "attn_mask")
    if isinstance(dropout_p, bool) or not isinstance(dropout_p, (int, float)):
        raise TypeError(f"dropout_p must be a float, got {dropout_p!r} of type {type(dropout_p).__name__}")
    if not 0.0 <= dropout_p <= 1.0:
        raise ValueError(f"dropout_p must be in [0, 1], got {dropout_p}")
    if dropout_p != 0.0:
        raise NotImplementedError(f"dropout_p is not covered yet, got {dropout_p}: use dropout_p=0.0")
    if check_bool("is_causal", is_causal):
        mask = Causal() if attn_mask is None else mask & Causal()
    q, k, v = (_as_4d(name, t) for name, t in (("query", query), ("key", key), ("value", value)))
    lead = query.shape[:-3]
    if not lead == key.shape[:-3] == value.shape[:-3]:
        raise NotImplementedError(
            "query, key and value with different leading dimensions are not covered yet, got "
            f"{tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}: expand them to the same"
        )
    out, _ = _attention(("query", "key", "value"), q, k, v, mask, scale, enable_gqa, "bhsd", "auto")
    return out.reshape(*query.shape[:-1], value.shape[-1])


def _as_4d(name: str, t: object) -> torch.Tensor:
    if not isinstance(t, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(t).__name__}")
    if t.dim() < 2:
        raise ValueError(f"{name} must have at least 2 dimensions (..., seqlen, head_dim), got {tuple(t.shape)}")
    if t.dim() == 2:
        return t[None, None]
    return t[None] if t.dim() == 3 else t.flatten(0, -4)


@dataclass(frozen=True)
class Explanation:
    """What a call would do.

    `tile` is (rows, columns) of the kernel's tiles. `tiles` counts them over the heads of `num_samples` samples: of all
    samples if the mask makes them differ, of one that stands for all if not.
    """

    backend: str
    isa: str
    tile: tuple[int, int]
    num_threads: int
    tiles: TileCounts
    num_samples: int


def explain(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | None = None,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    layout: str = "bhsd",
    backend: str = "auto",
) -> Explanation:
    """Say which back end, kernel tile and live tiles a call of `attention` with the same arguments uses.

    Raises what `attention` raises; computes nothing.
    """
    q, k, v = _autocast(q, k, v)
    sizes = _call.check_tensors(q, k, v, layout, enable_gqa)
    mask = _call.check_mask(mask)
    _call.check_scale(scale, sizes.head_dim)
    check_bool("return_lse", return_lse)
    backend = _call.check_backend(backend, q.device)
    mask.native.check_counts(sizes.batch, sizes.num_heads)
    heads, samples = mask._distinct(sizes.num_heads, sizes.batch)
    counts = [
        mask.num_tiles(sizes.seqlen_q, sizes.seqlen_k, _native.TILE, batch=sample, head=head)
        for sample in range(samples)
        for head in range(heads)
    ]
    times = sizes.num_heads // heads if heads else 0
    return Explanation(
        backend=backend,
        isa=_native.isa_name(),
        tile=_native.TILE,
        num_threads=torch.get_num_threads(),
        tiles=TileCounts(*(times * sum(count) for count in zip(TileCounts(0, 0, 0, 0), *counts, strict=True))),
        num_samples=samples,
    )
