"""What more threads bring, beside what they bring to torch's matmul."""

from __future__ import annotations

from functools import partial

import torch

import ck_fmha
from ck_fmha.bench.aims import SCALING
from ck_fmha.bench.cases import DIRECTIONS, MASKS, make_tensors
from ck_fmha.bench.measuring import Key, Timed, forward, forward_backward, matmul, measure
from ck_fmha.bench.ratios import RatioRow, make_row
from ck_fmha.bench.settings import Settings

_HEAD_DIM = 64


def thread_counts(threads: int) -> list[int]:
    """Return 1, 2, 4, ... up to and with `threads`."""
    return sorted({1 << power for power in range(threads.bit_length())} | {threads})


def measure_scaling(settings: Settings) -> list[RatioRow]:
    """Compare the speed-up by threads with that of matmul in the same rounds. Empty if there is one thread only."""
    counts = thread_counts(settings.threads)
    if len(counts) == 1:
        return []
    tensors = make_tensors(settings.section_seqlen, _HEAD_DIM, settings.heads, settings.batch, torch.float32)
    calls: dict[Key, Timed] = {}
    for count in counts:
        calls["matmul", count] = matmul(count)
        for name in settings.ratio_masks:
            attention = partial(ck_fmha.attention, mask=MASKS[name])
            calls[name, count, "forward"] = forward(attention, *tensors[:3], count)
            calls[name, count, "forward+backward"] = forward_backward(attention, *tensors, count)
    times = measure(calls, seconds=settings.seconds, max_rounds=settings.max_rounds)
    rows = []
    for count in counts[1:]:
        of_matmul = times.ratio(("matmul", 1), ("matmul", count))
        for name in settings.ratio_masks:
            for direction in DIRECTIONS:
                ours = times.ratio((name, 1, direction), (name, count, direction))
                detail = f"{ours:.2f}× as fast as with 1 thread; matmul {of_matmul:.2f}×"
                rows.append(
                    make_row("threads", f"{name} {direction}, {count} threads", ours / of_matmul, detail, SCALING)
                )
    return rows
