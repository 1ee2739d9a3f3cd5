"""Correctness, then speed, of the forward on a real AMD GPU: `make amd-hardware` where ROCm's PyTorch is.

No AMD GPU was at hand when this was written: the correctness part was run in the emulator (`--emulator`), the timed
part on nothing. It compares with float64 first and times only what was right.

    python benchmarks/amd_hardware.py                      # on the GPU: errors, then ratios to SDPA in the same run
    python benchmarks/amd_hardware.py --emulator build/native/tests/amd_emulator/libck_fmha_amd_emulator.so
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from ck_fmha import attention, masks


class Shape(NamedTuple):
    num_heads: int
    num_heads_kv: int
    seqlen_q: int
    seqlen_k: int
    head_dim: int


def cases() -> list[tuple[masks.Mask, Shape]]:
    """Every head_dim, ragged lengths, shared key/value heads and cut rows."""
    return [
        (masks.Causal(), Shape(4, 2, 200, 333, 64)),
        (masks.Window(left=100, right=20), Shape(2, 2, 333, 200, 128)),
        (masks.Longformer(window=128, global_tokens=8), Shape(2, 1, 300, 300, 32)),
        (masks.BigBird(block_size=64), Shape(2, 2, 640, 640, 128)),
        (masks.BigBird(block_size=16) & masks.Causal(), Shape(2, 2, 250, 250, 256)),
        (masks.Full(), Shape(1, 1, 64, 4096, 72)),
    ]


def reference(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: masks.Mask) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention in float64, on the CPU."""
    group = q.shape[1] // k.shape[1]
    q, k, v = q.double().cpu(), *(t.double().cpu().repeat_interleave(group, 1) for t in (k, v))
    attended = torch.stack([mask.materialize(q.shape[2], k.shape[2], head=head) for head in range(q.shape[1])])
    scores = (q @ k.mT / math.sqrt(q.shape[3])).masked_fill(~attended, -math.inf)
    lse = torch.logsumexp(scores, -1)
    return torch.exp(scores - lse.masked_fill(lse.isinf(), 0.0)[..., None]) @ v, lse


def check(device: str) -> bool:
    """Print the errors of all cases; were they small?"""
    good = True
    for dtype, tolerance in ((torch.float16, 4e-3), (torch.bfloat16, 3e-2)):
        for mask, s in cases():
            torch.manual_seed(0)
            shapes = ((s.num_heads, s.seqlen_q), (s.num_heads_kv, s.seqlen_k), (s.num_heads_kv, s.seqlen_k))
            q, k, v = (torch.randn(2, *shape, s.head_dim).to(device, dtype) for shape in shapes)
            out, lse = attention(
                q, k, v, mask=mask, enable_gqa=s.num_heads != s.num_heads_kv, return_lse=True, backend="hip"
            )
            expected, expected_lse = reference(q, k, v, mask)
            error = (out.double().cpu() - expected).abs().max().item()
            lse_error = (lse.double().cpu() - expected_lse).nan_to_num(0.0).abs().max().item()
            right = error <= tolerance and lse_error <= 1e-3  # False for NaN
            good = good and right
            print(
                f"{'ok  ' if right else 'WRONG'} {mask!s:50} {dtype} {tuple(s)}: out {error:.1e}, lse {lse_error:.1e}"
            )
    return good


def milliseconds(call: Callable[[], object], rounds: int = 20) -> float:
    """The median over rounds, after a few calls that do not count."""
    for _ in range(3):
        call()
    times = []
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def measure() -> None:
    """Print times of the forward, and ratios to SDPA without a mask (dense) in the same run."""
    sdpa = torch.nn.functional.scaled_dot_product_attention
    for seqlen, batch in ((4096, 4), (16384, 1)):
        q, k, v = (torch.randn(batch, 16, seqlen, 128, device="cuda", dtype=torch.bfloat16) for _ in range(3))
        dense = milliseconds(lambda q=q, k=k, v=v: sdpa(q, k, v))
        causal = milliseconds(lambda q=q, k=k, v=v: sdpa(q, k, v, is_causal=True))
        print(f"seqlen {seqlen}, batch {batch}, 16 heads, head_dim 128: SDPA {dense:.3f} ms, causal {causal:.3f} ms")
        for mask in (
            masks.Full(), masks.Causal(), masks.Window(left=1023, right=0),
            masks.Longformer(window=512, global_tokens=64), masks.BigBird(block_size=64),
        ):  # fmt: skip
            ours = milliseconds(lambda q=q, k=k, v=v, mask=mask: attention(q, k, v, mask=mask, backend="hip"))
            efficiency = dense * mask.density(seqlen, seqlen) / ours
            print(f"  {mask!s:50} {ours:8.3f} ms, {dense / ours:6.2f} x SDPA, efficiency {efficiency:.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulator", type=Path, help="check with this driver, on the CPU, and time nothing")
    options = parser.parse_args()
    if options.emulator is not None:
        os.environ["CK_FMHA_HIP_LIBRARY"] = str(options.emulator.resolve())
        print("Executed in an emulator: no GPU, no times.")
        return 0 if check("cpu") else 1
    if not torch.cuda.is_available() or torch.version.hip is None:
        print("no AMD GPU that PyTorch can use: install ROCm's build of it, or give --emulator", file=sys.stderr)
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    if not check("cuda"):
        return 1
    measure()
    return 0


if __name__ == "__main__":
    sys.exit(main())
