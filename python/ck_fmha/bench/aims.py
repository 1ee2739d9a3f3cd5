"""Which ratios are aimed at, and whether a row reaches them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ck_fmha.bench.rates import RateRow

_COMPARE: dict[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


@dataclass(frozen=True)
class Aim:
    """A number that is to be at least, at most or below a bound."""

    what: str
    sign: str
    bound: float
    column: str = ""  # of the table, where its row says what is compared

    def __str__(self) -> str:
        return f"{self.what} {self.sign} {self.bound:g}"

    def judge(self, value: float, where: str) -> Verdict:
        """Say whether a value reaches the aim; NaN never does."""
        short = f"{self.column} {self.sign} {self.bound:g}".strip()
        return Verdict(str(self), short, where, value, _COMPARE[self.sign](value, self.bound))

    def worse(self, a: float, b: float) -> float:
        """Return the one of two values that is further from the aim."""
        return min(a, b) if self.sign == "≥" else max(a, b)


@dataclass(frozen=True)
class Verdict:
    """Whether the value of one row (`where`) reaches an aim, given in words and as beside its row of a table."""

    aim: str
    short: str
    where: str
    value: float
    holds: bool


@dataclass(frozen=True)
class Summary:
    """An aim over all rows that it speaks of: `checked` of them, of which `held` reach it; the worst one."""

    aim: str
    held: int
    checked: int
    worst: float | None
    where: str

    @property
    def state(self) -> str:
        """``"holds"``, ``"missed"`` or ``"not measured"``."""
        if not self.checked:
            return "not measured"
        return "holds" if self.held == self.checked else "missed"


FORWARD = Aim("forward, share of matmul", "≥", 0.85, "of matmul")
TRAINING = Aim("forward+backward, share of matmul", "≥", 0.75, "of matmul")
LONGFORMER_FLEX = Aim("Longformer forward over FlexAttention", "≥", 3.5, "Flex")
LONGFORMER_SDPA = Aim("Longformer forward over SDPA with a bool mask", "≥", 9.0, "SDPA bool")
BIG_BIRD_FLEX = Aim("BigBird forward over FlexAttention", "≥", 9.0, "Flex")
BIG_BIRD_SDPA = Aim("BigBird forward over SDPA with a bool mask", "≥", 14.0, "SDPA bool")
TRAINING_SDPA = Aim("Longformer, BigBird forward+backward over SDPA with a bool mask", "≥", 10.0, "SDPA bool")
CAUSAL_FORWARD = Aim("causal forward over SDPA is_causal", "≥", 1.1, "SDPA causal")
CAUSAL_TRAINING = Aim("causal forward+backward over SDPA is_causal", "≥", 1.3, "SDPA causal")
FULL = Aim("full over SDPA", "≥", 1.0, "SDPA")
SIXTEEN_BITS = Aim("16-bit dtypes over float32", "≥", 1.0, "float32")
BFLOAT16 = Aim("bfloat16 over float32 with AMX or AVX512-BF16", "≥", 1.4, "float32")
LONG_TILE = Aim("time per live tile, long over short", "≤", 1.1)
EDGE_TILE = Aim("time of edge tiles over full ones", "<", 1.3)
SCALING = Aim("thread scaling over matmul's", "≥", 0.95)
SHORT = Aim("seqlen 256 over SDPA, same mask", "≥", 1.0, "SDPA")
MEMORY = Aim("extra memory, exponent of seqlen", "≤", 1.1)
OVERHEAD = Aim("overhead of an eager forward call, µs", "<", 15.0)

AIMS = (
    FORWARD, TRAINING, LONGFORMER_FLEX, LONGFORMER_SDPA, BIG_BIRD_FLEX, BIG_BIRD_SDPA, TRAINING_SDPA, CAUSAL_FORWARD,
    CAUSAL_TRAINING, FULL, SIXTEEN_BITS, BFLOAT16, LONG_TILE, EDGE_TILE, SCALING, SHORT, MEMORY, OVERHEAD,
)  # fmt: skip

# The rates are aimed at on these; the other masks and sizes are shown without an aim.
_RATE_MASKS = ("longformer", "big_bird", "causal", "window")
_SEQLENS = (4096, 16384)
_HEAD_DIMS = (64, 128)

_OVER_PEERS = {
    ("longformer", "forward", "flex"): LONGFORMER_FLEX,
    ("longformer", "forward", "sdpa_bool"): LONGFORMER_SDPA,
    ("big_bird", "forward", "flex"): BIG_BIRD_FLEX,
    ("big_bird", "forward", "sdpa_bool"): BIG_BIRD_SDPA,
    ("longformer", "forward+backward", "sdpa_bool"): TRAINING_SDPA,
    ("big_bird", "forward+backward", "sdpa_bool"): TRAINING_SDPA,
    ("causal", "forward", "sdpa_causal"): CAUSAL_FORWARD,
    ("causal", "forward+backward", "sdpa_causal"): CAUSAL_TRAINING,
    ("full", "forward", "sdpa"): FULL,
    ("full", "forward+backward", "sdpa"): FULL,
}


def judge_rate(row: RateRow, *, bf16_products: bool) -> tuple[Verdict, ...]:
    """Judge a row of the section "rates"; `bf16_products` says whether the processor multiplies bfloat16."""
    where, verdicts = row.where, []
    if row.over_float32 is not None:
        verdicts.append(SIXTEEN_BITS.judge(row.over_float32, where))
        if row.dtype == "bfloat16" and bf16_products:
            verdicts.append(BFLOAT16.judge(row.over_float32, where))
    if row.dtype == "float32" and row.seqlen in _SEQLENS and row.head_dim in _HEAD_DIMS:
        if row.mask in _RATE_MASKS:
            verdicts.append((FORWARD if row.direction == "forward" else TRAINING).judge(row.of_matmul, where))
        for peer, ratio in row.over.items():
            aim = _OVER_PEERS.get((row.mask, row.direction, peer))
            if aim is not None:
                verdicts.append(aim.judge(ratio, where))
    return tuple(verdicts)


def judge_short(row: RateRow) -> tuple[Verdict, ...]:
    """Judge a row of the section "short": beside SDPA with the same mask, in the form that suits SDPA best."""
    peer = {"full": "sdpa", "causal": "sdpa_causal"}.get(row.mask, "sdpa_bool")
    return (SHORT.judge(row.over[peer], row.where),) if peer in row.over else ()


def summarize(verdicts: Iterable[Verdict]) -> list[Summary]:
    """Return one line for each aim, in the order of `AIMS`, also for those that nothing was measured for."""
    verdicts = list(verdicts)
    lines = []
    for aim in AIMS:
        found = [v for v in verdicts if v.aim == str(aim)]
        worst, where = None, ""
        for verdict in found:
            if worst is None or aim.worse(verdict.value, worst) != worst:
                worst, where = verdict.value, verdict.where
        lines.append(Summary(str(aim), sum(v.holds for v in found), len(found), worst, where))
    return lines
