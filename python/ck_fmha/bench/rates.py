"""Rates beside torch's matmul, and times beside the peers, all in the same rounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import ck_fmha
from ck_fmha.bench.aims import Verdict
from ck_fmha.bench.cases import DIRECTIONS, DTYPES, MASKS, MATMUL_FLOPS, flops, live_tiles, make_tensors
from ck_fmha.bench.measuring import Attention, Key, Timed, Times, forward, forward_backward, matmul, measure
from ck_fmha.bench.peers import LeftOut, make_peer
from ck_fmha.bench.settings import Group, Settings


@dataclass(frozen=True)
class RateRow:
    """One mask, dtype and direction of a group.

    Attributes:
        milliseconds: Median of a call.
        matmul_gflops: Rate of torch's float32 matmul in the same rounds.
        of_matmul: Rate of the call, FLOPs counted on live tiles, divided by that of matmul.
        over_float32: How many times as fast as the same call in float32; None for float32 itself.
        over: How many times as fast as each peer.
        left_out: Peers that could be compared and are not, with the reason.
        verdicts: The aims that speak of the row.
    """

    mask: str
    seqlen: int
    head_dim: int
    dtype: str
    heads: int
    batch: int
    threads: int
    direction: str
    live_tiles: int
    rounds: int
    milliseconds: float
    matmul_gflops: float
    of_matmul: float
    over_float32: float | None
    over: dict[str, float]
    left_out: dict[str, str]
    verdicts: tuple[Verdict, ...] = field(default=())

    @property
    def where(self) -> str:
        """The row in words."""
        return f"{self.mask} {self.dtype} {self.seqlen}/{self.head_dim} {self.direction}"


def measure_rates(group: Group, settings: Settings) -> list[RateRow]:
    """Time all masks, dtypes and peers of a group in interleaved rounds."""
    calls: dict[Key, Timed] = {}
    left_out: dict[tuple[str, str], dict[str, str]] = {}  # (mask, dtype): peers
    for mask in group.masks:
        calls["matmul", mask] = matmul(settings.threads)  # beside every mask, for the rounds of a group may be long
        for dtype in group.dtypes:
            left_out[mask, dtype] = _add_calls(calls, group, mask, dtype, settings)
    times = measure(calls, seconds=settings.seconds, max_rounds=settings.max_rounds)
    return [
        _row(times, calls, group, mask, dtype, direction, left_out[mask, dtype], settings)
        for mask in group.masks
        for dtype in group.dtypes
        for direction in DIRECTIONS
    ]


def _add_calls(calls: dict[Key, Timed], group: Group, mask: str, dtype: str, settings: Settings) -> dict[str, str]:
    """Add what is timed for a mask and a dtype; return which peers are left out and why."""
    tensors = make_tensors(group.seqlen, group.head_dim, settings.heads, settings.batch, DTYPES[dtype])
    left_out: dict[str, str] = {}

    def add(name: str, of: str, attention: Attention, backward: bool) -> None:
        calls[name, of, dtype, "forward"] = forward(attention, *tensors[:3], settings.threads)
        if backward:
            calls[name, of, dtype, "forward+backward"] = forward_backward(attention, *tensors, settings.threads)

    add("ours", mask, partial(ck_fmha.attention, mask=MASKS[mask]), True)
    for name in group.peers:
        if dtype not in group.peer_dtypes:
            left_out[name] = f"peers are timed in {', '.join(group.peer_dtypes) or 'no dtype'} only"
            continue
        if (name, _of(name, mask), dtype, "forward") in calls:
            continue  # dense attention is the same for all masks
        made = make_peer(name, mask, *tensors[:3], settings.peer_memory)
        if isinstance(made, LeftOut):
            left_out[name] = made.reason
        elif made is not None:
            add(name, _of(name, mask), made.attention, made.backward)
    return left_out


def _of(peer: str, mask: str) -> str:
    return "every mask" if peer == "sdpa" else mask


def _row(
    times: Times,
    calls: dict[Key, Timed],
    group: Group,
    mask: str,
    dtype: str,
    direction: str,
    left_out: dict[str, str],
    settings: Settings,
) -> RateRow:
    ours: Key = ("ours", mask, dtype, direction)
    peers: dict[str, Key] = {name: (name, _of(name, mask), dtype, direction) for name in group.peers}
    work = flops(MASKS[mask], group.seqlen, group.head_dim, settings.heads, settings.batch, direction)
    compare = dtype != "float32" and "float32" in group.dtypes
    if direction == "forward+backward" and "flex" in peers and ("flex", mask, dtype, "forward") in calls:
        left_out = {**left_out, "flex": "it has no backward pass on the CPU"}
    return RateRow(
        mask=mask,
        seqlen=group.seqlen,
        head_dim=group.head_dim,
        dtype=dtype,
        heads=settings.heads,
        batch=settings.batch,
        threads=settings.threads,
        direction=direction,
        live_tiles=live_tiles(MASKS[mask], group.seqlen, settings.heads, settings.batch),
        rounds=times.rounds,
        milliseconds=times.median(ours) * 1e3,
        matmul_gflops=MATMUL_FLOPS / times.median(("matmul", mask)) / 1e9,
        of_matmul=work / MATMUL_FLOPS / times.ratio(ours, ("matmul", mask)),
        over_float32=times.ratio(("ours", mask, "float32", direction), ours) if compare else None,
        over={name: times.ratio(key, ours) for name, key in peers.items() if key in calls},
        left_out=left_out,
    )
