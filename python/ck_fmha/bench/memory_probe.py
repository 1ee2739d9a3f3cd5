"""Peak extra memory of one call, in a fresh process: ``python -m ck_fmha.bench.memory_probe MASK SEQLEN ...``.

Prints the bytes by which the resident set rose above what was there before the call, its outputs included. The peak
counter of Linux (VmHWM) is set back to the present size by writing 5 to /proc/self/clear_refs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch

import ck_fmha
from ck_fmha.bench.cases import MASKS

_PROCESS = Path("/proc/self")


def resident_bytes(counter: str) -> int:
    """Return VmRSS (now) or VmHWM (the peak) of this process."""
    found = re.search(rf"^{counter}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/self/status has no {counter}")
    return int(found[1]) * 1024


def call(mask: str, seqlen: int, head_dim: int, heads: int, batch: int, direction: str) -> int:
    """Return the extra bytes of a call at its peak."""
    shape = (batch, heads, seqlen, head_dim)
    # Written in place: no temporary leaves free memory behind that the call would fill unseen.
    q, k, v, d_out = (torch.empty(shape).normal_() for _ in range(4))
    train = direction != "forward"
    for t in (q, k, v):
        t.requires_grad_(train)

    def run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, d_out: torch.Tensor) -> object:
        out = ck_fmha.attention(q, k, v, MASKS[mask])
        return torch.autograd.grad(out, (q, k, v), d_out) if train else out

    small = torch.empty((1, 1, 64, head_dim)).normal_().requires_grad_(train)
    run(small, small * 1, small * 1, small.detach())  # loads code and starts threads
    (_PROCESS / "clear_refs").write_text("5")
    before = resident_bytes("VmRSS")
    kept = run(q, k, v, d_out)
    peak = resident_bytes("VmHWM")
    del kept
    return peak - before


def main(argv: list[str]) -> None:
    """Measure the call named on the command line and print its bytes."""
    mask, seqlen, head_dim, heads, batch, direction, threads = argv
    torch.set_num_threads(int(threads))
    print(call(mask, int(seqlen), int(head_dim), int(heads), int(batch), direction))


if __name__ == "__main__":
    main(sys.argv[1:])
