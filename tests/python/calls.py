"""One attention call as data: build its tensors, run it, hold every result against the reference."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

import ck_fmha
import philox
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
BIAS_MEMORY = ["contiguous", "transposed", "last stride 2", "offset", "expanded"]

# What a call can add to its scores and probabilities, for lists of cases.
FEATURES: list[dict] = [
    {},
    {"bias": "bhqk"},
    {"bias": "h1k", "bias_dtype": torch.float32, "bias_holes": 0.3},
    {"alibi": "h"},
    {"alibi": "bh", "softcap": 5.0},
    {"softcap": 0.7},
    {"dropout_p": 0.25, "dropout_seed": 7},
    {
        "bias": "qk",
        "bias_memory": "transposed",
        "bias_holes": 0.1,
        "alibi": "h",
        "softcap": 3.0,
        "dropout_p": 0.5,
        "dropout_seed": 2**63 - 1,
    },
]


@dataclass(frozen=True)
class Call:
    """Sizes and options of one call; ``memory`` says how q, k and v lie in memory.

    ``bias`` names the dimensions that the bias has among b, h, q and k, with 1 for one of size 1: "bhqk", "h1k", "".
    Its ``bias_holes`` are the share of -inf in it. ``alibi`` says in the same way what the slopes depend on.
    """

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
    bias: str | None = None
    bias_dtype: torch.dtype | None = None
    bias_memory: str = "contiguous"
    bias_holes: float = 0.0
    alibi: str | None = None
    softcap: float = 0.0
    dropout_p: float = 0.0
    dropout_seed: int = 0

    @property
    def actual_scale(self) -> float:
        return 1 / math.sqrt(self.head_dim) if self.scale is None else self.scale

    @property
    def statistics_dtype(self) -> torch.dtype:
        """What lse has, and what products accumulate in."""
        return torch.float64 if self.dtype == torch.float64 else torch.float32

    def shape(self, dimensions: str) -> tuple[int, ...]:
        sizes = dict(zip("1bhqk", (1, self.batch, self.heads[0], *self.seqlens), strict=True))
        return tuple(sizes[dimension] for dimension in dimensions)

    def options(self) -> dict:
        options: dict = {"scale": self.scale, "enable_gqa": self.heads[0] != self.heads[1], "layout": self.layout}
        if self.softcap:
            options["softcap"] = self.softcap
        if self.dropout_p:
            options |= {"dropout_p": self.dropout_p, "dropout_seed": self.dropout_seed}
        return options

    def kept(self) -> Tensor | None:
        """What dropout keeps, by the generator's definition."""
        if not self.dropout_p:
            return None
        return philox.keep_mask(self.batch, self.heads[0], *self.seqlens, self.dropout_p, self.dropout_seed)

    @property
    def exact_dropout_p(self) -> float:
        return philox.threshold(self.dropout_p) / 65536


class Tensors(NamedTuple):
    q: Tensor
    k: Tensor
    v: Tensor
    dout: Tensor
    dlse: Tensor
    bias: Tensor | None = None
    slopes: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> "Tensors":
        """The function of each tensor that there is."""
        return Tensors(*(t if t is None else function(t) for t in self))

    def extras(self) -> dict[str, Tensor]:
        """The keyword arguments that are tensors."""
        extras = {"bias": self.bias, "alibi_slopes": self.slopes}
        return {name: t for name, t in extras.items() if t is not None}


class Results(NamedTuple):
    """Where the call has no bias, dbias has no elements."""

    out: Tensor
    lse: Tensor
    dq: Tensor
    dk: Tensor
    dv: Tensor
    dbias: Tensor


def make_tensors(call: Call) -> Tensors:
    """q, k, v, dout in the call's layout and memory order, bias in its own, the others contiguous."""
    generator = torch.Generator().manual_seed(call.seed)
    (heads, heads_kv), (seqlen_q, seqlen_k) = call.heads, call.seqlens
    head_dim_v = call.head_dim if call.head_dim_v is None else call.head_dim_v

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=call.statistics_dtype).to(call.dtype)

    def in_layout(t: Tensor) -> Tensor:
        return (t if call.layout == "bhsd" else t.transpose(1, 2)).contiguous()

    q = random(call.batch, heads, seqlen_q, call.head_dim)
    k = random(call.batch, heads_kv, seqlen_k, call.head_dim)
    v = random(call.batch, heads_kv, seqlen_k, head_dim_v)
    dout = random(call.batch, heads, seqlen_q, head_dim_v)
    dlse = torch.randn(call.batch, heads, seqlen_q, generator=generator, dtype=call.statistics_dtype)
    bias, slopes = None, None
    if call.bias is not None:
        shape = call.shape(call.bias)
        holes = torch.rand(shape, generator=generator) < call.bias_holes
        bias = random(*shape).to(call.bias_dtype or call.dtype).masked_fill(holes, -math.inf)
        bias = place_bias(bias, call.bias_memory)
    if call.alibi == "h":
        slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / max(heads, 1))
    elif call.alibi == "bh":
        slopes = torch.rand(call.batch, heads, generator=generator)
    q, k, v = (place(in_layout(t), call.memory) for t in (q, k, v))
    return Tensors(q, k, v, in_layout(dout), dlse, bias, slopes)


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


def place_bias(values: Tensor, memory: str) -> Tensor:
    """As `place`, for any number of dimensions; those that the values lack are left out."""
    if memory == "transposed" and values.dim() >= 2:
        return values.mT.contiguous().mT
    if memory == "last stride 2" and values.dim() >= 1:
        return values.new_full((*values.shape[:-1], 2 * values.shape[-1]), math.nan)[..., ::2].copy_(values)
    if memory == "offset":
        return values.new_full((values.numel() + 3,), math.nan)[3:].view(values.shape).copy_(values)
    if memory == "expanded" and values.dim() >= 1:
        return values[:1].expand(values.shape)
    assert memory in BIAS_MEMORY, memory
    return values


def forward(call: Call, tensors: Tensors) -> tuple[Tensor, Tensor]:
    q, k, v, *_ = tensors
    return ck_fmha.attention(q, k, v, call.mask, return_lse=True, **call.options(), **tensors.extras())


def run(call: Call, tensors: Tensors, **options) -> Results:
    """Forward and backward, differentiating with respect to q, k, v and bias exactly as they lie in memory."""
    q, k, v = leaves = [t.detach().requires_grad_() for t in tensors[:3]]
    extras = tensors.extras()
    if tensors.bias is not None:
        extras["bias"] = tensors.bias.detach().requires_grad_()
        leaves.append(extras["bias"])
    out, lse = ck_fmha.attention(q, k, v, call.mask, return_lse=True, **call.options(), **extras, **options)
    dq, dk, dv, *rest = torch.autograd.grad((out, lse), leaves, (tensors.dout, tensors.dlse))
    return Results(out.detach(), lse.detach(), dq, dk, dv, rest[0] if rest else q.detach().new_empty(0))


def assert_matches_reference(
    call: Call,
    tensors: Tensors,
    results: dict[str, Tensor],
    allowed: Tensor | None = None,
) -> None:
    """Shape, dtype and error rule for each of the named results, among out, lse, dq, dk, dv and dbias."""

    def bhsd(t: Tensor) -> Tensor:
        return t if call.layout == "bhsd" else t.transpose(1, 2)

    q, k, v, dout = (bhsd(t) for t in tensors[:4])
    if allowed is None:
        allowed = materialized(call.mask, call.batch, call.heads[0], call.seqlens)
    kept = call.kept()
    gradients = any(name.startswith("d") for name in results)
    arguments = {
        "gradients": gradients,
        "scale": call.scale,
        "bias": tensors.bias,
        "slopes": tensors.slopes,
        "softcap": call.softcap,
        "kept": kept,
        "dropout_p": call.exact_dropout_p,
        "dout": dout,
        "dlse": tensors.dlse,
    }
    with one_thread():
        ref = reference.attention(q, k, v, allowed, **arguments)
        naive = reference.attention(q, k, v, allowed, **arguments, compute=call.statistics_dtype, storage=call.dtype)
        terms = rounding_terms(call, tensors._replace(q=q, k=k, v=v, dout=dout), ref.probs, kept, gradients=gradients)

    # With few elements, or few softmax rows or columns behind them, both sides of the rule are a matter of luck.
    busy = allowed.expand(call.batch, call.heads[0], *call.seqlens)
    if tensors.bias is not None:
        busy = busy & (tensors.bias != -math.inf)
    if kept is not None:
        busy = busy & kept
    few_rows = min(int(busy.any(2).sum()), int(busy.any(3).sum())) < 64

    # A score's own rounding error, always float32 or better, moves P by as much, relatively.
    eps, eps_scores = torch.finfo(call.dtype).eps, torch.finfo(call.statistics_dtype).eps
    one_p_a_row = terms["scores"] < eps  # and so one rounding error for all of it
    # In float64 the reference itself is no better than what it judges, so both may err as any order of summation may:
    # by half an eps a term, where terms are alike. A step in float32 would still err a million times as much.
    judge_errs_too = call.dtype == torch.float64
    longest_sum = max(*call.seqlens, call.head_dim) if judge_errs_too else 0
    dtypes = {"lse": call.statistics_dtype, "dbias": call.dtype if tensors.bias is None else tensors.bias.dtype}
    for name, actual in results.items():
        if name == "dbias" and tensors.bias is None:
            continue
        expected_dtype = dtypes.get(name, call.dtype)
        assert actual.dtype == expected_dtype, f"{name} is {actual.dtype}"
        eps_here = eps_scores if name == "lse" else max(eps, torch.finfo(expected_dtype).eps)
        slack = eps_scores if name == "lse" else eps_here * terms[name]
        slack += eps_scores * terms["scores"] * (1 if name == "lse" else terms[name])
        expected = getattr(ref, name)
        few_elements = int((expected.isfinite() & (expected != 0)).sum()) < MEAN_RULE_FROM
        assert_close_by_rule(
            actual if name in ("lse", "dbias") else bhsd(actual),
            getattr(naive, name),
            expected,
            eps_here,
            slack=(4 + longest_sum / 2) * slack if few_rows or few_elements or one_p_a_row or judge_errs_too else 0.0,
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
    call: Call, tensors: Tensors, probs: Tensor, kept: Tensor | None, *, gradients: bool
) -> dict[str, float]:
    """Per result the largest sum of absolute values behind one element: what rounding is relative to.

    q, k, v and dout of the tensors in the layout bhsd.
    """
    groups, scale = call.heads[0] // call.heads[1] if call.heads[1] else 1, abs(call.actual_scale)
    q, k, v, dout, dlse = (t.detach().double().abs() for t in tensors[:5])
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    d = torch.ones_like(probs) if kept is None else kept / max(1 - call.exact_dropout_p, 2**-16)
    scores = scale * (q @ k.mT)
    if tensors.bias is not None:
        scores = scores + tensors.bias.detach().double().nan_to_num(0, 0, 0).abs()
    if tensors.slopes is not None:
        seqlen_q, seqlen_k = call.seqlens
        distance = (torch.arange(seqlen_q)[:, None] + seqlen_k - seqlen_q - torch.arange(seqlen_k)).abs()
        scores = scores + tensors.slopes.double().abs()[..., None, None] * distance
    terms = {
        "scores": scores.masked_fill(probs < 1e-12, 0),  # those that show
        "out": (d * probs) @ v,
    }
    if gradients:
        dp = d * (dout @ v.mT)
        ds = probs * (dp + (probs * dp).sum(-1, keepdim=True) + dlse[..., None])
        terms["dq"] = scale * (ds @ k)
        terms["dk"] = scale * (ds.mT @ q).unflatten(1, (-1, groups)).sum(2)
        terms["dv"] = ((d * probs).mT @ dout).unflatten(1, (-1, groups)).sum(2)
        if tensors.bias is not None:
            terms["dbias"] = ds.sum_to_size(tensors.bias.shape)
    return {name: float(term.max()) if term.numel() else 0.0 for name, term in terms.items()}


def bits_equal(a: Tensor, b: Tensor) -> bool:
    """Same shape, dtype and bits: tells 0 from -0 and one NaN from another."""
    integer = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.contiguous().view(integer), b.contiguous().view(integer))
