"""Attention on an NVIDIA GPU beside FlexAttention and SDPA: ``python -m ck_fmha.bench --device cuda``."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend

import ck_fmha
from ck_fmha import _native, masks
from ck_fmha._compiler import find_compiler
from ck_fmha._compiler_base import lanes_of
from ck_fmha._gpu_driver import load_driver
from ck_fmha._instance import Instance
from ck_fmha.bench.cases import DIRECTIONS, distinct_heads
from ck_fmha.bench.cuda_balance import balance
from ck_fmha.bench.cuda_peers import flex_attention, sdpa
from ck_fmha.masks import Mask

HEADS, HEAD_DIM, DTYPE = 16, 128, torch.bfloat16
SHAPES = ((4096, 4), (16384, 1))  # seqlen and batch
LONG = 2**20
MASKS: dict[str, Mask] = {
    "big_bird": masks.BigBird(64),
    "longformer": masks.Longformer(512, 64),
    "window": masks.Window(1024, 0),
    "causal": masks.Causal(),
}
DENSE = "cudnn dense"
_TOLERANCE = 5e-2  # outputs reach about 4, where a bfloat16 is 1/64 from the next one
_HEAD_START = 1_000_000  # clocks of the GPU, in which the host queues what is timed
_WARM_UP = 3


@dataclass(frozen=True)
class Row:
    """One mask at one size in one direction.

    Attributes:
        live: Share of the seqlen x seqlen elements that are attended.
        ms: Median milliseconds of each call, "ck_fmha" and its peers.
        speedup: Median over the rounds of a peer's time divided by ours in the same round.
        efficiency: Speed-up over cuDNN without a mask, times `live`: 1 is as fast an element as cuDNN's.
        tflops: Of the products on attended elements, 1e12 a second.
        left_out: Peers that could not be timed, and why.
    """

    mask: str
    direction: str
    seqlen: int
    batch: int
    live: float
    ms: dict[str, float]
    speedup: dict[str, float]
    efficiency: float
    tflops: float
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass
class CudaReport:
    """Everything a run found; `costs` are what a mask and a call cost besides."""

    gpu: str
    torch: str
    rounds: int = 0
    rows: list[Row] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return asdict(self)


def run(
    names: Sequence[str], seqlens: Sequence[int], seconds: float, max_rounds: int, say: Callable[[str], None]
) -> CudaReport:
    """Measure the masks `names` at the sizes of `SHAPES` with these seqlens.

    Args:
        names: Keys of `MASKS`.
        seqlens: Those of `SHAPES`.
        seconds: About how long the rounds of one size may take.
        max_rounds: At most so many rounds.
        say: Is told what is being measured.

    Raises:
        ValueError: There is no NVIDIA GPU.
        RuntimeError: A peer computes something else than `ck_fmha.attention`, so that its time says nothing.
    """
    if not torch.cuda.is_available() or torch.version.cuda is None:
        raise ValueError("--device cuda needs an NVIDIA GPU and a PyTorch built for CUDA: torch sees none")
    start = time.perf_counter()
    report = CudaReport(torch.cuda.get_device_name(), torch.__version__)
    for seqlen, batch in SHAPES:
        if seqlen in seqlens:
            for direction in DIRECTIONS:
                say(f"seqlen {seqlen}, batch {batch}, {direction}")
                _measure_shape(report, names, seqlen, batch, direction, seconds, max_rounds)
    say("costs")
    report.costs = _costs()
    report.seconds = time.perf_counter() - start
    return report


def _measure_shape(
    report: CudaReport, names: Sequence[str], seqlen: int, batch: int, direction: str, seconds: float, max_rounds: int
) -> None:
    generator = torch.Generator("cuda").manual_seed(0)
    q, k, v, d_out = (
        torch.randn(batch, HEADS, seqlen, HEAD_DIM, dtype=DTYPE, device="cuda", generator=generator) for _ in range(4)
    )
    attentions: dict[tuple[str, str], Callable[..., torch.Tensor]] = {
        ("", DENSE): sdpa(SDPBackend.CUDNN_ATTENTION),
        ("", "flash dense"): sdpa(SDPBackend.FLASH_ATTENTION),
    }
    left_out: dict[str, dict[str, str]] = {name: {} for name in names}
    for name in names:
        mask = MASKS[name]
        attentions[name, "ck_fmha"] = lambda q, k, v, mask=mask: ck_fmha.attention(q, k, v, mask)
        attentions[name, "flex"] = flex_attention(name, mask, seqlen, HEADS)
        if name == "causal":
            attentions[name, "cudnn"] = sdpa(SDPBackend.CUDNN_ATTENTION, is_causal=True)
            attentions[name, "flash"] = sdpa(SDPBackend.FLASH_ATTENTION, is_causal=True)
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for key, attention in attentions.items():
        name, what = key
        call = _call(attention, direction, q, k, v, d_out)
        try:
            call()
            torch.cuda.synchronize()
        except Exception as error:  # a peer that this installation cannot run must not end the run
            if what == "ck_fmha":
                raise
            for of in [name] if name else names:
                left_out[of][what] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:100]}"
            continue
        calls[key] = call
    for name in names:
        for what in ("flex", "cudnn", "flash"):
            if (name, what) in calls:
                _check_same(name, what, attentions[name, what], attentions[name, "ck_fmha"], (q, k, v))
    times = measure(calls, seconds, max_rounds)
    report.rounds = len(next(iter(times.values())))
    for name in names:
        distinct = range(distinct_heads(MASKS[name], HEADS))
        live = statistics.mean(MASKS[name].density(seqlen, seqlen, head=h) for h in distinct)
        ours = times[name, "ck_fmha"]
        here = {what: ms for (of, what), ms in times.items() if of in ("", name)}
        ratios = {what: [a / b for a, b in zip(ms, ours, strict=True)] for what, ms in here.items() if ms is not ours}
        speedup = {what: statistics.median(values) for what, values in ratios.items()}
        products = 4 * HEAD_DIM * HEADS * batch * seqlen**2 * live * (1 if direction == "forward" else 3.5)
        median = statistics.median(ours)
        report.rows.append(
            Row(
                mask=name,
                direction=direction,
                seqlen=seqlen,
                batch=batch,
                live=live,
                ms={what: statistics.median(ms) for what, ms in here.items()},
                speedup=speedup,
                efficiency=speedup.get(DENSE, math.nan) * live,
                tflops=products / median / 1e9,
                left_out=left_out[name],
            )
        )


def _call(
    attention: Callable[..., torch.Tensor],
    direction: str,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    d_out: torch.Tensor,
) -> Callable[[], object]:
    if direction == "forward":
        return lambda: attention(q, k, v)
    leaves = [t.detach().clone().requires_grad_() for t in (q, k, v)]
    return lambda: torch.autograd.grad(attention(*leaves), leaves, d_out)


def _check_same(
    name: str,
    what: str,
    peer: Callable[..., torch.Tensor],
    ours: Callable[..., torch.Tensor],
    tensors: tuple[torch.Tensor, ...],
) -> None:
    difference = float((peer(*tensors).float() - ours(*tensors).float()).abs().max())
    if not difference <= _TOLERANCE:
        raise RuntimeError(f"{what} and ck_fmha differ by {difference} with the mask {name}")


def measure(
    calls: Mapping[tuple[str, str], Callable[[], object]], seconds: float, max_rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Return the milliseconds of every call in every round, by CUDA's events; all calls take turns in a round."""
    for call in calls.values():
        for _ in range(_WARM_UP):
            call()
    torch.cuda.synchronize()
    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    end = time.perf_counter() + seconds
    for number in range(max_rounds):
        events = {key: _turn(call) for key, call in calls.items()}
        torch.cuda.synchronize()
        for key, (first, last) in events.items():
            times[key].append(first.elapsed_time(last))
        if number >= 2 and time.perf_counter() > end:
            break
    return times


def _turn(call: Callable[[], object]) -> tuple[torch.cuda.Event, torch.cuda.Event]:
    first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda._sleep(_HEAD_START)  # else the host's time is what is measured of short calls
    first.record()
    call()
    last.record()
    return first, last


def _costs() -> dict[str, float]:
    """What a mask and a call cost besides the kernels' time; each name has its unit."""
    costs: dict[str, float] = {}
    costs["schedule of big_bird, one head, seqlen 2^20, ms"] = statistics.median(map(_schedule, range(9)))
    for kernels, what in (("fwd", "forward"), ("bwd", "backward")):
        costs[f"first compilation of a {what}, s"] = _compilation(kernels)
    q, k, v = (torch.randn(1, 1, 256, HEAD_DIM, dtype=DTYPE, device="cuda") for _ in range(3))
    calls = 200
    for _ in range(10):
        ck_fmha.attention(q, k, v, masks.Causal())
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        ck_fmha.attention(q, k, v, masks.Causal())
    costs["host time of a call, us"] = 1e6 * (time.perf_counter() - start) / calls
    torch.cuda.synchronize()
    both = _call(lambda q, k, v: ck_fmha.attention(q, k, v, masks.Causal()), DIRECTIONS[1], q, k, v, torch.ones_like(q))
    for _ in range(10):
        both()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(calls):
        both()
    costs["host time of a forward and backward, us"] = 1e6 * (time.perf_counter() - start) / calls
    torch.cuda.synchronize()
    seqlen, batch = SHAPES[-1]
    q, k, v = (torch.randn(batch, HEADS, seqlen, HEAD_DIM, dtype=DTYPE, device="cuda") for _ in range(3))
    for name in ("big_bird", "longformer"):
        for kernels, ratio in balance(MASKS[name], q, k, v).items():
            costs[f"longest / mean work-group, {name}, {kernels}, seqlen {seqlen}"] = ratio
    q, k, v = (torch.randn(1, 1, LONG, HEAD_DIM, dtype=DTYPE, device="cuda") for _ in range(3))
    long = MASKS["big_bird"]
    ck_fmha.attention(q, k, v, long)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    out = ck_fmha.attention(q, k, v, long)
    costs["peak memory of that call beyond its inputs, MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20
    times = measure({("", ""): lambda: ck_fmha.attention(q, k, v, long)}, 1.0, 5)
    costs["big_bird forward, one head, seqlen 2^20, ms"] = statistics.median(times["", ""])
    del out
    d_out = torch.randn_like(q)
    both = _call(lambda q, k, v: ck_fmha.attention(q, k, v, long), DIRECTIONS[1], q, k, v, d_out)
    both()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    both()
    costs["peak memory of its forward and backward, MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20
    times = measure({("", ""): both}, 1.0, 5)
    costs["big_bird forward+backward, one head, seqlen 2^20, ms"] = statistics.median(times["", ""])
    return costs


def _schedule(seed: int) -> float:
    """Milliseconds that the host takes for the plan of a mask that it has not seen."""
    mask = masks.BigBird(64, seed=seed).native
    sizes = (1, 1, 1, LONG, LONG, HEAD_DIM, HEAD_DIM)
    arch, num_compute_units = load_driver("cuda").device(torch.cuda.current_device())
    start = time.perf_counter()
    _native.FwdPlan(mask, sizes, num_compute_units, lanes_of(arch))
    return 1e3 * (time.perf_counter() - start)


def _compilation(kernels: str) -> float:
    """Seconds that kernels take to compile."""
    arch, _ = load_driver("cuda").device(torch.cuda.current_device())
    compiler = find_compiler(arch)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        compiler.compile(Instance("big_bird", "bf16", HEAD_DIM, 4, arch, kernels).source, arch, Path(folder))
        return time.perf_counter() - start
