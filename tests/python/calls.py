"""One attention call as data: build its tensors, run it, hold every result against the reference."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

import ck_fmha
import reference
from ck_fmha import masks
from error_rule import MEAN_RULE_FROM, assert_close_by_rule
from mask_cases import materialized

MEMORY = [
    "contiguous",
    "row gaps",
    "heads inside",
    "batch expanded",
    "heads expanded",
    "last stride 2",
    "offset",
]


@dataclass(frozen=True)
class Call:
    """Sizes and options of one call; ``memory`` says how q, k and v lie in memory."""

    mask: masks.Mask | None = None
    dtype: torch.dtype = torch.float32
    head_dim: int = 32
    head_dim_v: int | None = None
    seqlens: tuple[int, int] = (40, 40)
    heads: tuple[int, int] = (2, 2)
    scale: float | None = None
    memory: str = "contiguous"
    layout: str = "bhsd"
    batch: int = 2
    seed: int = 0

    @property
    def actual_scale(self) -> float:
        return 1 / math.sqrt(self.head_dim) if self.scale is None else self.scale

    def options(self) -> dict:
        return {"scale": self.scale, "enable_gqa": self.heads[0] != self.heads[1], "layout": self.layout}


class Tensors(NamedTuple):
    q: Tensor
    k: Tensor
    v: Tensor
    dout: Tensor
    dlse: Tensor


class Results(NamedTuple):
    out: Tensor
    lse: Tensor
    dq: Tensor
    dk: Tensor
    dv: Tensor


def make_tensors(call: Call) -> Tensors:
    """q, k, v, dout in the call's layout and memory order, dlse contiguous."""
    generator = torch.Generator().manual_seed(call.seed)
    (heads, heads_kv), (seqlen_q, seqlen_k) = call.heads, call.seqlens
    head_dim_v = call.head_dim if call.head_dim_v is None else call.head_dim_v

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(call.dtype)

    def in_layout(t: Tensor) -> Tensor:
        return (t if call.layout == "bhsd" else t.transpose(1, 2)).contiguous()

    q = random(call.batch, heads, seqlen_q, call.head_dim)
    k = random(call.batch, heads_kv, seqlen_k, call.head_dim)
    v = random(call.batch, heads_kv, seqlen_k, head_dim_v)
    dout = random(call.batch, heads, seqlen_q, head_dim_v)
    dlse = torch.randn(call.batch, heads, seqlen_q, generator=generator)
    return Tensors(*(place(in_layout(t), call.memory) for t in (q, k, v)), in_layout(dout), dlse)


def place(values: Tensor, memory: str) -> Tensor:
    """The values with other strides; an expanded dimension repeats its first entry. Gaps hold NaN."""
    shape = values.shape
    if memory == "contiguous":
        return values
    if memory == "row gaps":
        return values.new_full((*shape[:-1], shape[-1] + 5), math.nan)[..., : shape[-1]].copy_(values)
    if memory == "heads inside":
        return values.new_empty(shape[0], shape[2], shape[1], shape[3]).transpose(1, 2).copy_(values)
    if memory == "batch expanded":
        return values[:1].expand(shape)
    if memory == "heads expanded":
        return values[:, :1].expand(shape)
    if memory == "last stride 2":
        return values.new_full((*shape[:-1], 2 * shape[-1]), math.nan)[..., ::2].copy_(values)
    if memory == "offset":  # rows start on odd elements: no vector load is aligned
        return values.new_full((values.numel() + 3,), math.nan)[3:].view(shape).copy_(values)
    raise AssertionError(memory)


def forward(call: Call, tensors: Tensors) -> tuple[Tensor, Tensor]:
    q, k, v, *_ = tensors
    return ck_fmha.attention(q, k, v, call.mask, return_lse=True, **call.options())


def run(call: Call, tensors: Tensors, **options) -> Results:
    """Forward and backward, differentiating with respect to q, k and v exactly as they lie in memory."""
    q, k, v = (t.detach().requires_grad_() for t in tensors[:3])
    out, lse = ck_fmha.attention(q, k, v, call.mask, return_lse=True, **call.options(), **options)
    grads = torch.autograd.grad((out, lse), (q, k, v), (tensors.dout, tensors.dlse))
    return Results(out.detach(), lse.detach(), *grads)


def assert_matches_reference(
    call: Call,
    tensors: Tensors,
    results: dict[str, Tensor],
    allowed: Tensor | None = None,
) -> None:
    """Shape, dtype and error rule for each of the named results, among out, lse, dq, dk and dv."""

    def bhsd(t: Tensor) -> Tensor:
        return t if call.layout == "bhsd" else t.transpose(1, 2)

    q, k, v, dout = (bhsd(t) for t in tensors[:4])
    dlse = tensors.dlse
    if allowed is None:
        allowed = materialized(call.mask, call.batch, call.heads[0], call.seqlens)
    common = {"scale": call.scale, "dout": dout, "dlse": dlse}
    with one_thread():
        ref = reference.attention(q, k, v, allowed, **common)
        naive = reference.attention(q, k, v, allowed, **common, compute=torch.float32, storage=call.dtype)
        terms = rounding_terms(q, k, v, dout, dlse, ref.probs, call.actual_scale)

    # With few elements, or few softmax rows or columns behind them, both sides of the rule are a matter of luck.
    busy = allowed.expand(call.batch, call.heads[0], *call.seqlens)
    few_rows = min(int(busy.any(2).sum()), int(busy.any(3).sum())) < 64

    # A score's own rounding error, always float32, moves P by as much, relatively.
    eps, eps_scores = torch.finfo(call.dtype).eps, torch.finfo(torch.float32).eps
    one_p_a_row = terms["scores"] < eps  # and so one rounding error for all of it
    relative = eps + eps_scores * terms["scores"]
    for name, actual in results.items():
        expected_dtype = torch.float32 if name == "lse" else call.dtype
        assert actual.dtype == expected_dtype, f"{name} is {actual.dtype}"
        slack = eps_scores * (1 + terms["scores"]) if name == "lse" else relative * terms[name]
        expected = getattr(ref, name)
        few_elements = int((expected.isfinite() & (expected != 0)).sum()) < MEAN_RULE_FROM
        assert_close_by_rule(
            actual if name == "lse" else bhsd(actual),
            getattr(naive, name),
            expected,
            eps_scores if name == "lse" else eps,
            slack=4 * slack if few_rows or few_elements or one_p_a_row else 0.0,
            what=f"{name} of {call}",
        )


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """For many small operations: threads that wait for each other take far longer where processors are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def rounding_terms(
    q: Tensor, k: Tensor, v: Tensor, dout: Tensor, dlse: Tensor, probs: Tensor, scale: float
) -> dict[str, float]:
    """Per result the largest sum of absolute values behind one element: what rounding is relative to."""
    groups = q.shape[1] // k.shape[1]
    q, k, v, dout, dlse = (t.detach().double().abs() for t in (q, k, v, dout, dlse))
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    dp = dout @ v.transpose(-1, -2)
    ds = abs(scale) * probs * (dp + (probs * dp).sum(-1, keepdim=True) + dlse[..., None])
    terms = {
        "scores": abs(scale) * (q @ k.transpose(-1, -2)),
        "out": probs @ v,
        "dq": ds @ k,
        "dk": (ds.transpose(-1, -2) @ q).unflatten(1, (-1, groups)).sum(2),
        "dv": (probs.transpose(-1, -2) @ dout).unflatten(1, (-1, groups)).sum(2),
    }
    return {name: float(term.max()) if term.numel() else 0.0 for name, term in terms.items()}


def bits_equal(a: Tensor, b: Tensor) -> bool:
    """Same shape, dtype and bits: tells 0 from -0 and one NaN from another."""
    integer = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.contiguous().view(integer), b.contiguous().view(integer))
