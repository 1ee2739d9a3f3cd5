"""Peak extra memory of a call, by the length of the sequence: O(seqlen), or not."""

from __future__ import annotations

import math
import os
import subprocess
import sys

from ck_fmha.bench.aims import MEMORY
from ck_fmha.bench.cases import DIRECTIONS
from ck_fmha.bench.ratios import RatioRow, make_row
from ck_fmha.bench.settings import Settings

_HEAD_DIM = 64


def exponent(points: tuple[tuple[int, int], ...]) -> float:
    """Return e of bytes = c * seqlen^e through the two longest of (seqlen, bytes): 1 is linear, 2 quadratic."""
    (n, some), (m, more) = sorted(points)[-2:]
    return math.log(max(more, 1) / max(some, 1)) / math.log(m / n)


def measure_memory(settings: Settings) -> list[RatioRow]:
    """Measure the extra memory of calls, each in a process of its own, outputs and gradients included.

    Raises:
        RuntimeError: A process failed, for example where the kernel does not let it reset its peak.
    """
    rows = []
    for mask in settings.memory_masks:
        for direction in DIRECTIONS:
            points = tuple((n, _extra_bytes(mask, n, direction, settings)) for n in settings.memory_seqlens)
            # q, k, v and the gradient of the output, as a yardstick.
            tensor = settings.batch * settings.heads * _HEAD_DIM * 4
            detail = "; ".join(
                f"{n}: {extra / 2**20:.1f} MiB ({extra / (n * tensor):.1f} × the size of q)" for n, extra in points
            )
            rows.append(make_row("memory", f"{mask} {direction}", exponent(points), detail, MEMORY, points))
    return rows


def _extra_bytes(mask: str, seqlen: int, direction: str, settings: Settings) -> int:
    sizes = map(str, (seqlen, _HEAD_DIM, settings.heads, settings.batch))
    command = [sys.executable, "-m", "ck_fmha.bench.memory_probe", mask, *sizes, direction, str(settings.threads)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # A fixed threshold: freed blocks of this size go back to the system, where the next call must fetch them.
        "MALLOC_MMAP_THRESHOLD_": "65536",
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"measuring memory failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return int(done.stdout)
