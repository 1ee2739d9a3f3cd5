"""Times of many calls in interleaved rounds, and the medians of their ratios."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

from ck_fmha.bench.cases import MATMUL

Key: TypeAlias = "tuple[object, ...]"
Attention: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]"

MIN_ROUNDS = 3
_SHORTEST = 0.01  # seconds: a shorter call is repeated within its turn until they are over
_LONG = 0.5  # seconds: what takes so long is not called twice to see how long it takes


@dataclass(frozen=True)
class Timed:
    """A call to time, with as many of torch's threads."""

    call: Callable[[], object]
    threads: int


class Times:
    """Seconds of every call in every round."""

    def __init__(self, seconds: Mapping[Key, list[float]]) -> None:
        self._seconds = seconds

    @property
    def rounds(self) -> int:
        """How many rounds there were."""
        return min((len(times) for times in self._seconds.values()), default=0)

    def median(self, key: Key) -> float:
        """Return the median of a call's seconds."""
        return statistics.median(self._seconds[key])

    def ratio(self, key: Key, to: Key) -> float:
        """Return the median over the rounds of a call's seconds divided by another's in the same round."""
        return statistics.median(a / b for a, b in zip(self._seconds[key], self._seconds[to], strict=True))

    def difference(self, key: Key, minus: Key) -> float:
        """Return the median over the rounds of a call's seconds minus another's in the same round."""
        return statistics.median(a - b for a, b in zip(self._seconds[key], self._seconds[minus], strict=True))


def measure(calls: Mapping[Key, Timed], *, seconds: float, max_rounds: int) -> Times:
    """Time all calls in turn, round after round.

    Args:
        calls: What to time. Each is called once before, to warm up.
        seconds: About how long the rounds may take together; at least three rounds (or `max_rounds`) are made.
        max_rounds: At most so many rounds are made.
    """
    threads_before, collecting = torch.get_num_threads(), gc.isenabled()
    gc.disable()
    try:
        estimates = {key: _estimate(timed) for key, timed in calls.items()}
        repeats = {key: math.ceil(_SHORTEST / estimate) for key, estimate in estimates.items()}
        once = sum(estimate * repeats[key] for key, estimate in estimates.items())
        rounds = min(max(MIN_ROUNDS, int(seconds / max(once, 1e-6))), max_rounds)
        times: dict[Key, list[float]] = {key: [] for key in calls}
        for _ in range(rounds):
            for key, timed in calls.items():
                times[key].append(_turn(timed, repeats[key]))
    finally:
        torch.set_num_threads(threads_before)
        if collecting:
            gc.enable()
    return Times(times)


def _estimate(timed: Timed) -> float:
    """Warm a call up and return about how many seconds it takes."""
    first = _turn(timed, 1)  # compiles, allocates, starts threads
    return first if first > _LONG else max(_turn(timed, 1), 1e-6)


def _turn(timed: Timed, repeats: int) -> float:
    torch.set_num_threads(timed.threads)
    call = timed.call
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def matmul(threads: int) -> Timed:
    """Return torch's product of two large square float32 matrices: what a machine can do."""
    a, b = torch.randn(2, MATMUL, MATMUL)
    return Timed(lambda: a @ b, threads)


def forward(attention: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, threads: int) -> Timed:
    """Return the forward pass of an attention function."""
    return Timed(lambda: attention(q, k, v), threads)


def forward_backward(
    attention: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, d_out: torch.Tensor, threads: int
) -> Timed:
    """Return the forward and backward pass of an attention function, with the gradients of q, k and v."""
    leaves = [t.clone().requires_grad_() for t in (q, k, v)]
    return Timed(lambda: torch.autograd.grad(attention(*leaves), leaves, d_out), threads)
