"""The functions users call: `attention`, `explain` and `dropout_mask`; see sdpa.py for torch's signature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, overload

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from ck_fmha import _call, _ck_tile, _gpu, _native
from ck_fmha._arguments import check_bool, check_int
from ck_fmha._extras import NO_EXTRAS, SEED_MAX, Extras, check_bias, check_dropout_p, check_extras
from ck_fmha._gpu_driver import BACKENDS as GPU_BACKENDS
from ck_fmha.masks import Mask, TileCounts
from ck_fmha.ops import backward_operator

__all__ = ["Explanation", "attention", "dropout_mask", "explain"]

_PLAIN = frozenset((torch.Tensor, torch.nn.Parameter))
_STRIDED = torch.strided

_Call: TypeAlias = "tuple[Mask, float, str, Extras, _call.Sizes, str, bool]"  # ..., backend, deterministic
_Options: TypeAlias = "tuple[torch.Tensor | None, float, float, int | None]"  # ALiBi, softcap, dropout_p, dropout_seed


class _Attention(torch.autograd.Function):
    """The eager path: straight into the native core. Tracers get the operators of ops.py instead."""

    @staticmethod
    def forward(
        ctx: Any,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        bias: torch.Tensor | None,
        call: _Call,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mask, scale, layout, extras, sizes, backend, deterministic = call
        if backend == "cpu":
            out, lse = _call.forward(q, k, v, bias, mask.native, scale, layout, extras, sizes)
        else:
            out, lse = _gpu.forward(backend, q, k, v, bias, mask.native, scale, layout, sizes, extras)
        ctx.save_for_backward(q, k, v, bias, out, lse, *extras[:3])
        ctx.set_materialize_grads(False)
        ctx.call = (mask, scale, layout, extras[3:], sizes, backend, deterministic)
        return out, lse

    @staticmethod
    def backward(ctx: Any, d_out: torch.Tensor | None, d_lse: torch.Tensor | None) -> tuple[Any, ...]:
        q, k, v, bias, out, lse, attended, slopes, seed = ctx.saved_tensors
        if d_out is None:
            d_out = torch.zeros_like(out)
        needs = ctx.needs_input_grad[:4]
        mask, scale, layout, numbers, sizes, backend, deterministic = ctx.call
        extras = Extras(attended, slopes, seed, *numbers)
        # With gradients enabled somebody asks for a graph of the backward: the operator's refuses to be differentiated.
        if torch.is_grad_enabled() or not _is_plain_eager(d_out, *(() if d_lse is None else (d_lse,))):
            call = (*extras, *_described(mask, d_out), scale, layout, backend, deterministic)
            grads = backward_operator(d_out, d_lse, q, k, v, bias, out, lse, needs, call)
        elif backend == "cpu":
            native = mask.native
            grads = _call.backward(d_out, d_lse, q, k, v, bias, out, lse, needs, native, scale, layout, extras)
        else:
            rest = (mask.native, scale, layout, sizes, extras, deterministic, needs[3])
            grads = _gpu.backward(backend, d_out, d_lse, q, k, v, bias, out, lse, *rest)
        return *grads, None


def _is_plain_eager(*tensors: torch.Tensor) -> bool:
    """Are these plain tensors of one device, with nothing active that wants to see the operators?"""
    device = None
    for t in tensors:  # a loop, for every call waits for it
        if type(t) not in _PLAIN or t.is_nested or t.layout is not _STRIDED:
            return False
        if device is None:
            device = t.device
            if not (t.is_cpu or t.is_cuda):
                return False
        elif t.device != device:
            return False
    return _nobody_watches()


def _nobody_watches() -> bool:
    """Is nothing active that wants to see the operators?"""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._len_torch_function_stack()
        and torch._C._functorch.peek_interpreter_stack() is None
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
            float32, any strides, -inf allowed. If heads or samples share a bias with queries and keys, its gradient
            recomputes two of the backward's five products a tile; other gradients of biases cost no product.
        alibi_slopes: float32 (num_heads,) or (batch, num_heads), without a gradient (Press et al., "Train short, test
            long", 2022; distances aligned bottom-right as in FlashAttention).
        softcap: Bound of the scores before bias and mask, >= 0; 0.0 = none (Gemma 2).
        dropout_p: Probability in [0, 1] that an element of softmax(S) is dropped, rounded to a multiple of 2**-16; the
            others are divided by 1 - dropout_p.
        dropout_seed: Integer in [0, 2**63) that decides which ones (`ck_fmha.dropout_mask` shows them); None draws it
            from torch's default generator, as torch.manual_seed sets it.
        deterministic: Gradients are bitwise reproducible. The forward always is, and with ``backend="cpu"`` the
            backward, too, for any number of threads. With ``backend="hip"`` and ``"cuda"`` dQ is else summed by
            atomic additions; this, or torch.use_deterministic_algorithms(True), has it computed by a kernel of its own,
            seven matrix products in the place of five.
        backend: ``"cpu"``, ``"hip"`` (AMD GPUs) or ``"cuda"`` (NVIDIA GPUs from sm_80 on), these for float16 and
            bfloat16 with head_dim and head_dim_v multiples of 8, ``"ck_tile"`` (ROCm's own CK Tile with this mask, see
            docs/ck_tile.md), or ``"auto"``, the one of the tensors' device among the first three; what a back end does
            not cover raises.

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
    out, lse = compute(
        ("q", "k", "v", "bias"), q, k, v, mask, scale, enable_gqa, layout, backend, bias, None, options, deterministic
    )
    return (out, lse) if return_lse else out


def compute(
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
    deterministic: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (out, lse) of a call whose arguments nobody has checked; `names` is what its user calls the tensors."""
    plain = _is_plain_eager(q, k, v)
    if not plain or torch.is_autocast_enabled("cuda" if q.is_cuda else "cpu"):
        _refuse_functorch()
        q, k, v = _autocast(q, k, v)
        plain = _is_plain_eager(q, k, v)
    check = _check_known_shapes if plain else _call.check_tensors
    sizes = check(q, k, v, layout, enable_gqa, names[:3])
    mask = _call.check_mask(mask)
    softmax_scale = _call.check_scale(scale, sizes.head_dim)
    if not plain or q.is_cuda or backend != "auto":
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
    if backend in GPU_BACKENDS:
        deterministic = deterministic or torch.are_deterministic_algorithms_enabled()
        _gpu.check(backend, q, sizes, bias, deterministic)
        if plain and (bias is not None or extras is not NO_EXTRAS):
            plain = all(type(t) in _PLAIN for t in (bias, *extras[:3]) if t is not None)
        if plain:
            given = (q, k, v) if bias is None else (q, k, v, bias)
            if not (torch.is_grad_enabled() and any(t.requires_grad for t in given)):
                return _gpu.forward(backend, q, k, v, bias, mask.native, softmax_scale, layout, sizes, extras)
            call = (mask, softmax_scale, layout, extras, sizes, backend, deterministic)
            return _Attention.apply(q, k, v, bias, call)  # type: ignore[no-any-return,no-untyped-call]
    if backend == "ck_tile":
        recorded = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
        _ck_tile.check(q, sizes, softmax_scale, bias, extras, backward=recorded)
        plain = False
    if plain and bias is None and extras is NO_EXTRAS:
        if not (torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)):
            return _call.forward(q, k, v, None, mask.native, softmax_scale, layout, extras, sizes)
    elif plain:
        plain = _is_plain_eager(*(t for t in (bias, *extras[:3]) if t is not None))
    if plain:
        call = (mask, softmax_scale, layout, extras, sizes, "cpu", False)
        return _Attention.apply(q, k, v, bias, call)  # type: ignore[no-any-return,no-untyped-call]
    return torch.ops.ck_fmha.attention_forward(  # type: ignore[no-any-return]
        q,
        k,
        v,
        bias,
        *extras,
        *_described(mask, q),
        softmax_scale,
        layout,
        backend,
        deterministic or torch.are_deterministic_algorithms_enabled(),
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


@dataclass(frozen=True)
class Explanation:
    """What a call would do.

    `isa` is the instruction set of the kernels, for GPUs their architecture. `tile` is (rows, columns) of the kernel's
    tiles. `tiles` counts them over the heads of `num_samples` samples: of all samples if the mask makes them differ, of
    one that stands for all if not. `gpu` says what is launched.
    """

    backend: str
    isa: str
    tile: tuple[int, int]
    num_threads: int
    tiles: TileCounts
    num_samples: int
    gpu: _gpu.GpuCall | None = None


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
    if backend == "ck_tile":
        raise NotImplementedError(
            'explain does not cover backend="ck_tile", which walks all tiles between the first and the last live one '
            'of a row: ask about backend="hip" or "cpu"'
        )
    gpu = None
    if backend in GPU_BACKENDS:
        _gpu.check(backend, q, sizes, bias, deterministic)
        gpu = _gpu.explain(backend, q, k, v, mask.native, layout, sizes, _gpu.names_of(bias, extras))
    heads, samples = mask._distinct(sizes.num_heads, sizes.batch)
    tile = _native.TILE if gpu is None else gpu.native.tile
    counts = [
        mask.num_tiles(sizes.seqlen_q, sizes.seqlen_k, tile, batch=sample, head=head)
        for sample in range(samples)
        for head in range(heads)
    ]
    times = sizes.num_heads // heads if heads else 0
    return Explanation(
        backend=backend,
        isa=_native.isa_name() if gpu is None else gpu.arch,
        tile=tile,
        num_threads=torch.get_num_threads(),
        tiles=TileCounts(*(times * sum(count) for count in zip(TileCounts(0, 0, 0, 0), *counts, strict=True))),
        num_samples=samples,
        gpu=gpu,
    )
