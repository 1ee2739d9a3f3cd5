"""The functions users call: `attention`, `scaled_dot_product_attention` and `explain`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import _disable_current_modes

from ck_fmha import _call, _hip, _native
from ck_fmha import ops as _ops  # noqa: F401  registers the torch operators
from ck_fmha._arguments import check_bool, check_int
from ck_fmha._extras import NO_EXTRAS, SEED_MAX, Extras, broadcasts_to, check_bias, check_dropout_p, check_extras
from ck_fmha.masks import Causal, Mask, TileCounts

__all__ = ["Explanation", "attention", "dropout_mask", "explain", "scaled_dot_product_attention"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)


class _Attention(torch.autograd.Function):
    """The eager path: straight into the native core. Tracers get the operators of ops.py instead."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        bias: torch.Tensor | None,
        mask: Mask,
        scale: float,
        layout: str,
        extras: Extras,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out, lse = _call.forward(q, k, v, bias, mask.native, scale, layout, extras)
        ctx.save_for_backward(q, k, v, bias, out, lse, *extras[:3])
        ctx.set_materialize_grads(False)
        ctx.call = (mask, scale, layout, *extras[3:])
        return out, lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None) -> tuple[Any, ...]:
        q, k, v, bias, out, lse, attended, slopes, seed = ctx.saved_tensors
        if d_out is None:
            d_out = torch.zeros_like(out)
        needs = ctx.needs_input_grad[:4]
        mask, scale, layout, softcap, dropout_p = ctx.call
        extras = Extras(attended, slopes, seed, softcap, dropout_p)
        if _is_plain_eager(d_out, *(() if d_lse is None else (d_lse,))):
            native = mask.native
            grads = _call.backward(d_out, d_lse, q, k, v, bias, out, lse, needs, native, scale, layout, extras)
        else:
            grads = torch.ops.ck_fmha.attention_backward(
                d_out, d_lse, q, k, v, bias, out, lse, needs, *extras, *_described(mask, d_out), scale, layout, "auto"
            )
        return *(g if need else None for g, need in zip(grads, needs, strict=True)), None, None, None, None


def _is_plain_eager(*tensors: torch.Tensor) -> bool:
    """Are these plain tensors, with nothing active that wants to see the operators?"""
    for t in tensors:  # a loop, for every call waits for it
        if type(t) not in _PLAIN or not t.is_cpu or t.is_nested or t.layout is not torch.strided:
            return False
    return _nobody_watches()


def _nobody_watches() -> bool:
    """Is nothing active that wants to see the operators?"""
    return (
        not torch.compiler.is_compiling()
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
    """Cast as torch's scaled_dot_product_attention does where autocast is active for the device."""
    if not all(isinstance(t, torch.Tensor) for t in tensors):
        return tensors
    device = "cuda" if tensors[0].is_cuda else "cpu"
    if not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(t.to(dtype) if t.dtype in (torch.float32, torch.float16, torch.bfloat16) else t for t in tensors)


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
    bias: torch.Tensor | None = None,
    alibi_slopes: torch.Tensor | None = None,
    softcap: float = 0.0,
    dropout_p: float = 0.0,
    dropout_seed: int | None = None,
    deterministic: bool = False,
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
    bias: torch.Tensor | None = None,
    alibi_slopes: torch.Tensor | None = None,
    softcap: float = 0.0,
    dropout_p: float = 0.0,
    dropout_seed: int | None = None,
    deterministic: bool = False,
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
    bias: torch.Tensor | None = None,
    alibi_slopes: torch.Tensor | None = None,
    softcap: float = 0.0,
    dropout_p: float = 0.0,
    dropout_seed: int | None = None,
    deterministic: bool = False,
    backend: str = "auto",
) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Exact attention softmax(scale * q k^T + bias, over attended keys) v that computes only the mask's live tiles.

    Differentiable once in q, k, v and bias. Memory beyond the outputs is O(seqlen); nothing of size
    seqlen_q x seqlen_k is stored. The scores are, in this order::

        S = scale * q k^T
        S = softcap * tanh(S / softcap)                         if softcap > 0
        S = S + bias - alibi_slope * |i + seqlen_k - seqlen_q - j|
        S = -inf                                                where the mask does not attend
        out = dropout(softmax(S)) v

    Args:
        q: (batch, num_heads, seqlen_q, head_dim), float32, bfloat16, float16 or float64, head_dim 1..256, any strides
            (a last stride other than 1 costs a copy). 16-bit tensors are computed in float32.
        k: (batch, num_heads_kv, seqlen_k, head_dim).
        v: (batch, num_heads_kv, seqlen_k, head_dim_v), head_dim_v 1..256.
        mask: Which keys each query attends, from `ck_fmha.masks`; None attends all of them.
        scale: Factor on the products q k^T, any finite float; default 1 / sqrt(head_dim).
        enable_gqa: Allow num_heads to be a multiple of num_heads_kv; query head h then reads key/value head
            h // (num_heads / num_heads_kv).
        return_lse: Also return the logarithm of the softmax's denominator.
        layout: ``"bhsd"`` as above, or ``"bshd"``: (batch, seqlen, num_heads, head_dim) for q, k, v and the output.
        bias: Added to the scores; broadcasts to (batch, num_heads, seqlen_q, seqlen_k) in every layout; of q's dtype or
            float32, any strides, -inf allowed. Its gradient recomputes two of the backward's five products a tile.
        alibi_slopes: float32 (num_heads,) or (batch, num_heads), without a gradient (Press et al., "Train short, test
            long", 2022; distances aligned bottom-right as in FlashAttention).
        softcap: Bound of the scores before bias and mask, >= 0; 0.0 = none (Gemma 2).
        dropout_p: Probability in [0, 1] that an element of softmax(S) is dropped, rounded to a multiple of 2**-16; the
            others are divided by 1 - dropout_p.
        dropout_seed: Integer in [0, 2**63) that decides which ones (`ck_fmha.dropout_mask` shows them); None draws it
            from torch's default generator, as torch.manual_seed sets it.
        deterministic: Accepted and already kept: forward and backward are bitwise reproducible, for any number of
            threads.
        backend: ``"cpu"``, ``"hip"`` (AMD GPUs: forward, float16 and bfloat16, head_dim and head_dim_v multiples of 8;
            everything else raises, also a call whose gradient would be recorded), or ``"auto"``, the one of the
            tensors' device.

    Returns:
        out (batch, num_heads, seqlen_q, head_dim_v), in the layout and dtype of q; with ``return_lse=True`` the pair
        (out, lse), lse (batch, num_heads, seqlen_q) in every layout, float32 (float64 for float64 tensors): the natural
        logarithm of sum_j exp(S_ij), before dropout, differentiable. A query that attends no key, or whose scores are
        all -inf, has out 0, lse -inf and gradient 0.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Shapes, dtypes, devices or values do not fit together.
        NotImplementedError: What is asked for is not covered yet; the message says what is.
        RuntimeError: A second derivative is asked for.

    Source: Dao et al., "FlashAttention", 2022, with the live tiles of the mask in closed form.
    """
    check_bool("return_lse", return_lse)
    check_bool("deterministic", deterministic)
    options = (alibi_slopes, softcap, dropout_p, dropout_seed)
    out, lse = _attention(
        ("q", "k", "v", "bias"), q, k, v, mask, scale, enable_gqa, layout, backend, bias, None, options
    )
    return (out, lse) if return_lse else out


_Options: TypeAlias = "tuple[torch.Tensor | None, float, float, int | None]"  # ALiBi, softcap, dropout_p, dropout_seed


def _attention(
    names: tuple[str, str, str, str],
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: Mask | None,
    scale: float | None,
    enable_gqa: bool,
    layout: str,
    backend: str,
    bias: torch.Tensor | None = None,
    attended: torch.Tensor | None = None,
    options: _Options = (None, 0.0, 0.0, None),
) -> tuple[torch.Tensor, torch.Tensor]:
    _refuse_functorch()
    q, k, v = _autocast(q, k, v)
    plain = _is_plain_eager(q, k, v)
    check = _check_known_shapes if plain else _call.check_tensors
    sizes = check(q, k, v, layout, enable_gqa, names[:3])
    mask = _call.check_mask(mask)
    softmax_scale = _call.check_scale(scale, sizes.head_dim)
    if not plain or backend != "auto":
        backend = _call.check_backend(backend, q.device, names[0])
    scores = _call.scores_shape(sizes)
    if bias is not None:
        if isinstance(bias, torch.Tensor) and bias.dtype in (torch.float16, torch.bfloat16) and bias.dtype != q.dtype:
            (bias,) = _autocast(bias)
        bias = check_bias(bias, q, scores, names[3])
    alibi_slopes, softcap, dropout_p, dropout_seed = options
    extras = check_extras(
        scores,
        q.device,
        attended=attended,
        alibi_slopes=alibi_slopes,
        softcap=softcap,
        dropout_p=dropout_p,
        dropout_seed=dropout_seed,
    )
    if backend == "hip":
        _hip.check(q, k, v, sizes, bias, extras)
        if all(type(t) in _PLAIN for t in (q, k, v)) and not q.is_meta and _nobody_watches():
            return _hip.forward(q, k, v, mask.native, softmax_scale, layout, sizes)
        plain = False
    if plain and bias is None and extras is NO_EXTRAS:
        if not (torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)):
            return _call.forward(q, k, v, None, mask.native, softmax_scale, layout, extras, sizes)
    elif plain:
        plain = _is_plain_eager(*(t for t in (bias, *extras[:3]) if t is not None))
    if plain:
        return _Attention.apply(q, k, v, bias, mask, softmax_scale, layout, extras)  # type: ignore[no-any-return,no-untyped-call]
    return torch.ops.ck_fmha.attention_forward(  # type: ignore[no-any-return]
        q, k, v, bias, *extras, *_described(mask, q), softmax_scale, layout, backend
    )


_known_shapes: dict[tuple[object, ...], _call.Sizes] = {}


def _check_known_shapes(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: str, enable_gqa: bool, names: tuple[str, str, str]
) -> _call.Sizes:
    """As `check_tensors`, for plain tensors: what was found right once is not checked again."""
    if type(layout) is not str or type(enable_gqa) is not bool:
        return _call.check_tensors(q, k, v, layout, enable_gqa, names)
    key = (q.shape, k.shape, v.shape, q.dtype, k.dtype, v.dtype, layout, enable_gqa)
    sizes = _known_shapes.get(key)
    if sizes is None:
        sizes = _call.check_tensors(q, k, v, layout, enable_gqa, names)
        if len(_known_shapes) >= 256:
            _known_shapes.clear()
        _known_shapes[key] = sizes
    return sizes


def scaled_dot_product_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: Mask | torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Drop-in for `torch.nn.functional.scaled_dot_product_attention` that takes mask objects too.

    Args:
        query: (..., num_heads, seqlen_q, head_dim) with any number of leading dimensions, also none; float32, bfloat16,
            float16 or float64.
        key: (..., num_heads_kv, seqlen_k, head_dim). Leading dimensions and heads broadcast as in a matmul.
        value: (..., num_heads_kv, seqlen_k, head_dim_v).
        attn_mask: A mask of `ck_fmha.masks`; or a tensor that broadcasts to (..., num_heads, seqlen_q, seqlen_k): bool,
            True = attend, of which only live tiles are computed; or of the query's dtype or float32, added to the
            scores and differentiable; or None.
        dropout_p: Probability that an element of the softmax is dropped, drawn from torch's default generator (other
            elements than torch's own kernels drop).
        is_causal: Causal, aligned top-left as in torch; together with a mask object both hold; refused together with a
            tensor, as in torch.
        scale: Factor on the scores; default 1 / sqrt(head_dim).
        enable_gqa: Allow the number of query heads to be a multiple of that of key and value.

    Returns:
        (..., num_heads, seqlen_q, head_dim_v). A query that attends no key gives 0.

    Raises:
        TypeError, ValueError, NotImplementedError: As `attention`.
    """
    tensor = attn_mask if isinstance(attn_mask, torch.Tensor) else None
    mask = None if isinstance(attn_mask, torch.Tensor) else _call.check_mask(attn_mask, "attn_mask")
    check_dropout_p(dropout_p)
    check_bool("enable_gqa", enable_gqa)
    if check_bool("is_causal", is_causal):
        if tensor is not None:
            raise ValueError(
                f"attn_mask as a tensor, got shape {tuple(tensor.shape)}, together with is_causal=True is refused, as "
                "in torch: put the causal part into the tensor, or pass a mask object"
            )
        mask = Causal() if attn_mask is None or mask is None else mask & Causal()
    q, k, v, lead = _broadcast_heads(query, key, value, enable_gqa)
    bias = attended = None
    if tensor is not None:
        if tensor.dtype not in (torch.bool, torch.float32, q.dtype) and not torch.is_autocast_enabled("cpu"):
            raise ValueError(
                f"attn_mask must have dtype torch.bool, torch.float32 or {q.dtype} (that of query), got {tensor.dtype}"
                ": cast it; True or 1 of a bool mask means attend"
            )
        aligned = _align_scores(tensor, (*lead, q.shape[-2], k.shape[-2]))
        if tensor.dtype == torch.bool:
            attended = aligned
        else:
            bias = aligned
    names = ("query", "key", "value", "attn_mask")
    out, _ = _attention(
        names, q, k, v, mask, scale, enable_gqa, "bhsd", "auto", bias, attended, (None, 0.0, dropout_p, None)
    )
    return out.reshape(*lead, *out.shape[-2:])


def _broadcast_heads(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, enable_gqa: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[int, ...]]:
    """Return query, key and value as (batch, heads, seqlen, head_dim), and what the result has before seqlen_q."""
    tensors = {"query": query, "key": key, "value": value}
    for name, t in tensors.items():
        if not isinstance(t, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(t).__name__}")
        if t.dim() < 2:
            raise ValueError(f"{name} must have at least 2 dimensions (..., seqlen, head_dim), got {tuple(t.shape)}")
    # With grouped heads the dimension of heads does not broadcast.
    kept = 3 if enable_gqa and all(t.dim() >= 3 for t in tensors.values()) else 2
    leads = [t.shape[:-kept] for t in tensors.values()]
    if not leads[0] == leads[1] == leads[2]:
        try:
            lead = torch.broadcast_shapes(*leads)
        except RuntimeError:
            shapes = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
            raise ValueError(f"query, key and value must broadcast before (seqlen, head_dim), got {shapes}") from None
        query, key, value = (t.expand(*lead, *t.shape[-kept:]) for t in tensors.values())
    result = tuple(query.shape[:-2])
    return _as_4d(query), _as_4d(key), _as_4d(value), result


def _as_4d(t: torch.Tensor) -> torch.Tensor:
    if t.dim() == 2:
        return t[None, None]
    return t[None] if t.dim() == 3 else t.flatten(0, -4)


def _align_scores(t: torch.Tensor, scores: tuple[int, ...]) -> torch.Tensor:
    """Return an attn_mask for scores of any number of dimensions as one for (batch, heads, seqlen_q, seqlen_k)."""
    if not broadcasts_to(t, scores):
        raise ValueError(
            f"attn_mask must broadcast to (..., num_heads, seqlen_q, seqlen_k) = {tuple(scores)}, got shape "
            f"{tuple(t.shape)}"
        )
    if t.dim() < 4 or len(scores) == 4:
        return t
    own = (1,) * (len(scores) - t.dim()) + tuple(t.shape)
    return t.expand(*scores[:-3], *own[-3:]).reshape(-1, *own[-3:])


@dataclass(frozen=True)
class Explanation:
    """What a call would do.

    `isa` is the instruction set of the kernels, for GPUs their architecture. `tile` is (rows, columns) of the kernel's
    tiles; heads whose masks have another structure may have other tiles on GPUs. `tiles` counts them over the heads of
    `num_samples` samples: of all samples if the mask makes them differ, of one that stands for all if not. `gpu` says
    what is launched.
    """

    backend: str
    isa: str
    tile: tuple[int, int]
    num_threads: int
    tiles: TileCounts
    num_samples: int
    gpu: _hip.HipPlan | None = None


def dropout_mask(
    batch: int, num_heads: int, seqlen_q: int, seqlen_k: int, dropout_p: float, dropout_seed: int
) -> torch.Tensor:
    """Return which elements `attention` keeps with this dropout_p and dropout_seed: O(seqlen_q * seqlen_k) memory.

    The bits come from a counter (Philox4x32-10; Salmon et al., 2011): element (b, h, i, j) is a function of the seed
    and (b, h, i, j) alone, the same on every back end and for any number of threads.

    Args:
        batch: Number of samples, >= 0.
        num_heads: Number of query heads, >= 0.
        seqlen_q: Number of query rows, >= 0.
        seqlen_k: Number of key columns, >= 0.
        dropout_p: Probability in [0, 1], rounded to a multiple of 2**-16.
        dropout_seed: Integer in [0, 2**63).

    Returns:
        bool tensor (batch, num_heads, seqlen_q, seqlen_k) on the CPU, True where kept.
    """
    names = ("batch", "num_heads", "seqlen_q", "seqlen_k")
    values = (batch, num_heads, seqlen_q, seqlen_k)
    b, h, sq, sk = (check_int(name, value, 0) for name, value in zip(names, values, strict=True))
    p, seed = check_dropout_p(dropout_p), check_int("dropout_seed", dropout_seed, 0, SEED_MAX)
    with _disable_current_modes():  # under a fake mode or a default device it would have no memory
        kept = torch.empty((b, h, sq, sk), dtype=torch.bool, device="cpu")
    _native.dropout_mask(kept.data_ptr(), (b, h, sq, sk), p, seed, torch.get_num_threads())
    return kept


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
    bias: torch.Tensor | None = None,
    alibi_slopes: torch.Tensor | None = None,
    softcap: float = 0.0,
    dropout_p: float = 0.0,
    dropout_seed: int | None = None,
    deterministic: bool = False,
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
    check_bool("deterministic", deterministic)
    scores = _call.scores_shape(sizes)
    if bias is not None:
        check_bias(bias, q, scores)
    extras = check_extras(
        scores,
        q.device,
        alibi_slopes=alibi_slopes,
        softcap=softcap,
        dropout_p=dropout_p,
        dropout_seed=0 if dropout_seed is None else dropout_seed,
    )
    backend = _call.check_backend(backend, q.device)
    mask.native.check_counts(sizes.batch, sizes.num_heads)
    gpu = None
    if backend == "hip":
        _hip.check(q, k, v, sizes, bias, extras)
        gpu = _hip.explain(q, k, v, mask.native, layout, sizes)
    heads, samples = mask._distinct(sizes.num_heads, sizes.batch)
    tiles = {
        (sample, head): _native.TILE if gpu is None else gpu.native.tile_of(sample, head)
        for sample in range(samples)
        for head in range(heads)
    }
    counts = [
        mask.num_tiles(sizes.seqlen_q, sizes.seqlen_k, tile, batch=sample, head=head)
        for (sample, head), tile in tiles.items()
    ]
    times = sizes.num_heads // heads if heads else 0
    return Explanation(
        backend=backend,
        isa=_native.isa_name() if gpu is None else gpu.arch,
        tile=next(iter(tiles.values()), _native.TILE),
        num_threads=torch.get_num_threads(),
        tiles=TileCounts(*(times * sum(count) for count in zip(TileCounts(0, 0, 0, 0), *counts, strict=True))),
        num_samples=samples,
        gpu=gpu,
    )
