"""What one attention call is: its tensors checked, its sizes and strides, and the calls into the native core."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import torch

from ck_fmha import _native
from ck_fmha._arguments import check_bool, check_choice
from ck_fmha._extras import NO_EXTRAS, Extras
from ck_fmha._gpu_driver import BACKENDS as GPU_BACKENDS
from ck_fmha._gpu_driver import backend_of_torch, check_device
from ck_fmha.masks import Full, Mask

LAYOUTS = ("bhsd", "bshd")
BACKENDS = ("auto", "cpu", *GPU_BACKENDS, "ck_tile")
MAX_HEAD_DIM = 256

_FLOAT32_MAX = 3.4028234663852886e38
_MAX_THREADS = 1024

_DTYPES = {
    torch.float32: _native.FLOAT32,
    torch.bfloat16: _native.BFLOAT16,
    torch.float16: _native.FLOAT16,
    torch.float64: _native.FLOAT64,
}
_NO_TENSOR = (0, 0, 0, 0)
NO_SCORES = (0, 0, 0, 0, 0)
_FULL = Full()

TensorArg = tuple[int, int, int, int]
ScoresArg = tuple[int, int, int, int, int]
# dq, dk, dv, dbias
Gradients: TypeAlias = "tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]"


class Sizes(NamedTuple):
    """Sizes of a call, in the order the native core takes them."""

    batch: int
    num_heads: int
    num_heads_kv: int
    seqlen_q: int
    seqlen_k: int
    head_dim: int
    head_dim_v: int


def _axes(layout: str) -> tuple[int, int]:
    """Return the dimensions that count heads and positions."""
    return (1, 2) if layout == "bhsd" else (2, 1)


def sizes_of(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, layout: str) -> Sizes:
    """Return the sizes of a call whose tensors were checked."""
    heads, seq = _axes(layout)
    return Sizes(q.shape[0], q.shape[heads], k.shape[heads], q.shape[seq], k.shape[seq], q.shape[3], v.shape[3])


def scores_shape(s: Sizes) -> tuple[int, int, int, int]:
    """Return (batch, num_heads, seqlen_q, seqlen_k)."""
    return (s.batch, s.num_heads, s.seqlen_q, s.seqlen_k)


def lse_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the logarithms of a call on tensors of `dtype`."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def check_mask(mask: object, name: str = "mask") -> Mask:
    """Return the mask, `Full` for None; raise TypeError for anything else."""
    if mask is None:
        return _FULL
    if not isinstance(mask, Mask):
        hint = ""
        if isinstance(mask, torch.Tensor):
            hint = ": pass a tensor to ck_fmha.scaled_dot_product_attention, or make it a mask by BlockList.from_tensor"
        raise TypeError(f"{name} must be a mask object of ck_fmha.masks or None, got {type(mask).__name__}{hint}")
    return mask


def check_scale(scale: object, head_dim: int) -> float:
    """Return the softmax scale: 1/sqrt(head_dim) for None, any finite number else."""
    if scale is None:
        return 1.0 / math.sqrt(head_dim)
    if isinstance(scale, bool) or not isinstance(scale, (int, float)):
        raise TypeError(f"scale must be a float or None, got {scale!r} of type {type(scale).__name__}")
    if not -_FLOAT32_MAX <= scale <= _FLOAT32_MAX:  # NaN included; a comparison that torch.compile can trace
        raise ValueError(f"scale must be a finite float32, got {scale}")
    return float(scale)


def check_backend(backend: object, device: torch.device, name: str = "q") -> str:
    """Return the back end that serves tensors on `device`; raise what stands in the way of the asked one."""
    asked = check_choice("backend", backend, BACKENDS)
    if asked == "auto" and device.type == "cuda":
        asked = backend_of_torch() or asked
    if asked in GPU_BACKENDS:
        check_device(asked, device, name)
        return asked
    if asked == "ck_tile":  # with the driver of "hip"
        check_device("hip", device, name)
        return asked
    if device.type not in ("cpu", "meta"):
        raise NotImplementedError(
            f'{name} is on device "{device}", which backend="{asked}" does not cover: move it with {name}.cpu()'
        )
    return "cpu"


def check_tensors(
    q: object,
    k: object,
    v: object,
    layout: object,
    enable_gqa: object,
    names: tuple[str, str, str] = ("q", "k", "v"),
) -> Sizes:
    """Check everything about q, k and v that a call relies on and return the sizes.

    `names` is what the caller's user calls the three.
    """
    layout = check_choice("layout", layout, LAYOUTS)
    check_bool("enable_gqa", enable_gqa)
    dims = "(batch, num_heads, seqlen, head_dim)" if layout == "bhsd" else "(batch, seqlen, num_heads, head_dim)"
    q_, k_, v_ = names
    for name, t in zip(names, (q, k, v), strict=True):
        if not isinstance(t, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(t).__name__}")
        if t.layout != torch.strided or t.is_nested:
            got = "a nested one" if t.is_nested else f"layout {t.layout}"
            raise NotImplementedError(f"{name} must be a dense tensor, got {got}: convert it, e.g. {name}.to_dense()")
        if t.dim() != 4:
            raise ValueError(f'{name} must have 4 dimensions {dims} for layout="{layout}", got shape {tuple(t.shape)}')
        if t.dtype not in _DTYPES:
            raise NotImplementedError(
                f"{name} has dtype {t.dtype}, which attention does not cover: use torch.float32, torch.bfloat16, "
                f"torch.float16 or torch.float64, e.g. {name}.float()"
            )
    assert isinstance(q, torch.Tensor) and isinstance(k, torch.Tensor) and isinstance(v, torch.Tensor)
    if not q.dtype == k.dtype == v.dtype:
        raise ValueError(
            f"{q_}, {k_} and {v_} must have one dtype, got {q.dtype}, {k.dtype} and {v.dtype}: cast them, "
            f"e.g. {k_}.to({q_}.dtype)"
        )
    if not q.device == k.device == v.device:
        raise ValueError(
            f"{q_}, {k_} and {v_} must be on one device, got {q.device}, {k.device} and {v.device}: "
            f"move them, e.g. {k_}.to({q_}.device)"
        )

    s = sizes_of(q, k, v, layout)
    shapes = f"got {q_} {tuple(q.shape)}, {k_} {tuple(k.shape)}, {v_} {tuple(v.shape)}"
    if not q.shape[0] == k.shape[0] == v.shape[0]:
        raise ValueError(f"{q_}, {k_} and {v_} must have one batch size, {shapes}: expand the smaller ones")
    heads, seq = _axes(layout)
    if k.shape[heads] != v.shape[heads]:
        raise ValueError(f"{k_} and {v_} must have the same number of heads, {shapes}")
    if k.shape[seq] != v.shape[seq]:
        raise ValueError(f"{k_} and {v_} must have the same seqlen_k, {shapes}")
    if s.head_dim != k.shape[3]:
        raise ValueError(f"{q_} and {k_} must have the same head_dim, {shapes}")
    for name, dim in ((f"head_dim of {q_} and {k_}", s.head_dim), (f"head_dim_v, that of {v_},", s.head_dim_v)):
        bounds = f"{name} must be at least 1 and at most {MAX_HEAD_DIM}, {shapes}"
        if dim < 1:
            raise ValueError(bounds)
        if dim > MAX_HEAD_DIM:
            raise NotImplementedError(f"{bounds}: use torch's own scaled_dot_product_attention")
    if s.num_heads != s.num_heads_kv:
        if not enable_gqa:
            raise ValueError(
                f"{q_} has {s.num_heads} heads, {k_} and {v_} have {s.num_heads_kv}: pass enable_gqa=True to share "
                f"each key/value head among a group of query heads; {shapes}"
            )
        if s.num_heads_kv == 0 or s.num_heads == 0 or s.num_heads % s.num_heads_kv:
            raise ValueError(
                f"with enable_gqa=True the number of heads of {q_} must be a multiple of that of {k_} and {v_}, "
                f"got {s.num_heads} and {s.num_heads_kv}; {shapes}"
            )
    return s


def check_gradients(
    q: torch.Tensor,
    out: torch.Tensor,
    lse: torch.Tensor,
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    sizes: Sizes,
) -> None:
    """Check what the backward operator receives besides q, k and v."""
    out_shape = (*q.shape[:3], sizes.head_dim_v)
    lse_shape = (sizes.batch, sizes.num_heads, sizes.seqlen_q)
    for name, t, shape, dtype in (
        ("out", out, out_shape, q.dtype),
        ("d_out", d_out, out_shape, q.dtype),
        ("lse", lse, lse_shape, lse_dtype(q.dtype)),
        ("d_lse", d_lse, lse_shape, lse_dtype(q.dtype)),
    ):
        if t is not None and (tuple(t.shape) != shape or t.dtype != dtype):
            raise ValueError(f"{name} must have shape {shape} and dtype {dtype}, got {tuple(t.shape)} and {t.dtype}")


def _readable(t: torch.Tensor) -> torch.Tensor:
    """Return `t`, or a copy of it if the native core could not read its elements where they lie."""
    if t.is_neg():
        t = t.resolve_neg()
    return t.clone(memory_format=torch.contiguous_format) if t.data_ptr() % t.element_size() else t


def _native_input(t: torch.Tensor, layout: str) -> tuple[torch.Tensor, TensorArg]:
    """As `_readable`, with rows that are dense; return where they lie beside the tensor, which has to be kept alive."""
    # A tensor is asked for each thing once: by `_readable` and `_address` a call takes 2 to 3 µs more.
    at, (batch, head, seq, element) = t.data_ptr(), t.stride()
    if (element != 1 and t.shape[3] != 1) or t.is_neg() or at % t.element_size():
        t = _readable(t).contiguous()
        return t, _address(t, layout)
    return t, (at, batch, head, seq) if layout == "bhsd" else (at, batch, seq, head)


def _address(t: torch.Tensor | None, layout: str) -> TensorArg:
    if t is None:
        return _NO_TENSOR
    batch, head, seq, _ = t.stride()
    return (t.data_ptr(), batch, head, seq) if layout == "bhsd" else (t.data_ptr(), batch, seq, head)


def scores_arg(t: torch.Tensor | None, shape: tuple[int, int, int, int]) -> ScoresArg:
    """Return where the elements of a tensor lie that broadcasts to the scores."""
    if t is None:
        return NO_SCORES
    wide = t.expand(shape)
    return (t.data_ptr(), *wide.stride())  # type: ignore[return-value]


class NativeExtras:
    """The bias and the extras of a call as the native core takes them; keeps alive what it points to."""

    __slots__ = ("_kept", "args")

    def __init__(self, bias: torch.Tensor | None, extras: Extras, s: Sizes) -> None:
        self.args: _native.Extras | None = None
        if bias is None and extras is NO_EXTRAS:
            return
        attended, slopes = extras.attended, extras.alibi_slopes
        if bias is not None:
            bias = _readable(bias)
        if slopes is not None:
            slopes = slopes.contiguous()
        self._kept = (bias, attended, slopes)
        shape = scores_shape(s)
        self.args = (
            scores_arg(bias, shape),
            0 if bias is None else _DTYPES[bias.dtype],
            extras.softcap,
            scores_arg(attended, shape),
            (0, 0) if slopes is None else (slopes.data_ptr(), s.num_heads if slopes.dim() == 2 else 0),
            extras.dropout_p,
            0 if extras.dropout_seed is None else int(extras.dropout_seed),
        )


def forward(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    mask: _native.Mask,
    scale: float,
    layout: str,
    extras: Extras,
    sizes: Sizes | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute (out, lse) by the native CPU kernels; the arguments were checked, and `sizes` may be known already."""
    s = sizes_of(q, k, v, layout) if sizes is None else sizes
    (q, q_arg), (k, k_arg), (v, v_arg) = (
        _native_input(q, layout),
        _native_input(k, layout),
        _native_input(v, layout),
    )
    native_extras = NativeExtras(bias, extras, s)
    dtype = q.dtype
    if s.head_dim_v == s.head_dim and q.is_contiguous():
        out = torch.empty_like(q)
    else:
        out = torch.empty((*q.shape[:3], s.head_dim_v), dtype=dtype)
    lse = torch.empty(s[0], s[1], s[3], dtype=lse_dtype(dtype))
    _native.attention_forward(
        mask,
        _DTYPES[dtype],
        s[:],  # (a plain tuple is taken apart faster than a named one)
        scale,
        min(torch.get_num_threads(), _MAX_THREADS),
        q_arg,
        k_arg,
        v_arg,
        _address(out, layout),
        lse.data_ptr(),
        native_extras.args,
    )
    return out, lse


def backward(
    d_out: torch.Tensor,
    d_lse: torch.Tensor | None,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    bias: torch.Tensor | None,
    out: torch.Tensor,
    lse: torch.Tensor,
    needs: tuple[bool, bool, bool, bool],
    mask: _native.Mask,
    scale: float,
    layout: str,
    extras: Extras,
) -> Gradients:
    """Compute those of (dq, dk, dv, dbias) that `needs` asks for by the native CPU kernels."""
    s = sizes_of(q, k, v, layout)
    inputs = [_native_input(t, layout) for t in (q, k, v, out, d_out)]
    q_arg, k_arg, v_arg, out_arg, d_out_arg = (arg for _, arg in inputs)
    if d_lse is not None:
        d_lse = d_lse.resolve_neg().contiguous()
    native_extras = NativeExtras(bias, extras, s)
    dq, dk, dv = (
        torch.empty(*t.shape, dtype=t.dtype) if need else None for t, need in zip((q, k, v), needs[:3], strict=True)
    )
    # Zeros: where nothing is attended nothing is written.
    dbias = torch.zeros(bias.shape, dtype=bias.dtype) if needs[3] and bias is not None else None
    _native.attention_backward(
        mask,
        _DTYPES[q.dtype],
        s,
        scale,
        min(torch.get_num_threads(), _MAX_THREADS),
        q_arg,
        k_arg,
        v_arg,
        out_arg,
        lse.data_ptr(),
        d_out_arg,
        0 if d_lse is None else d_lse.data_ptr(),
        _address(dq, layout),
        _address(dk, layout),
        _address(dv, layout),
        scores_arg(dbias, scores_shape(s)),
        native_extras.args,
    )
    return dq, dk, dv, dbias
