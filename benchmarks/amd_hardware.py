"""Correctness, then speed, of forward and backward on a real AMD GPU: `make amd-hardware` where ROCm's PyTorch is.

No AMD GPU was at hand when this was written: the correctness part was run in the emulator (`--emulator`), the timed
part on nothing. It compares with float64 first and times only what was right.

    python benchmarks/amd_hardware.py                      # on the GPU: errors, then ratios to SDPA in the same run
    python benchmarks/amd_hardware.py --emulator build/native/tests/amd_emulator/libck_fmha_amd_emulator.so
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import statistics
import sys
from collections.abc import Callable, Sequence
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
    """Attention in float64, of small scores."""
    group = q.shape[1] // k.shape[1]
    k, v = (t.repeat_interleave(group, 1) for t in (k, v))
    attended = torch.stack([mask.materialize(q.shape[2], k.shape[2], head=head) for head in range(q.shape[1])])
    weights = torch.exp(q @ k.mT / math.sqrt(q.shape[3])) * attended
    sums = weights.sum(-1, keepdim=True)
    return weights @ v / sums.masked_fill(sums == 0, 1.0), sums.log().squeeze(-1)


def results(
    call: Callable[..., tuple[torch.Tensor, torch.Tensor]], tensors: Sequence[torch.Tensor], d_out: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Output and LSE of a call, and its gradients with respect to q, k and v."""
    leaves = [t.detach().requires_grad_() for t in tensors]
    out, lse = call(*leaves)
    gradients = torch.autograd.grad(out, leaves, d_out)
    return dict(zip(("out", "lse", "dq", "dk", "dv"), (out.detach(), lse.detach(), *gradients), strict=True))


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest one, relative to numbers above 1; that of a row without LSE is 0 if it has none. May be NaN."""
    actual = actual.double().cpu()
    off = (actual - expected).abs().masked_fill(actual == expected, 0.0).max().item()
    return off / max(1.0, expected.masked_fill(expected.isinf(), 0.0).abs().max().item())


def check(device: str) -> bool:
    """Print the errors of all cases; were they small, and deterministic gradients the same twice?"""
    good = True
    for dtype, tolerance in ((torch.float16, 4e-3), (torch.bfloat16, 3e-2)):
        for mask, s in cases():
            torch.manual_seed(0)
            shapes = ((s.num_heads, s.seqlen_q), *2 * [(s.num_heads_kv, s.seqlen_k)], (s.num_heads, s.seqlen_q))
            q, k, v, d_out = (torch.randn(2, *shape, s.head_dim).to(dtype) for shape in shapes)
            expected = results(
                lambda *t, mask=mask: reference(*t, mask), [t.double() for t in (q, k, v)], d_out.double()
            )
            tensors, d_out = [t.to(device) for t in (q, k, v)], d_out.to(device)
            for deterministic in (False, True):
                ours = functools.partial(
                    attention, mask=mask, enable_gqa=s.num_heads != s.num_heads_kv, return_lse=True, backend="hip",
                    deterministic=deterministic,
                )  # fmt: skip
                found = results(ours, tensors, d_out)
                errors = {name: error(found[name], expected[name]) for name in found}
                # False for NaN
                right = all(off <= (1e-3 if name == "lse" else tolerance) for name, off in errors.items())
                if deterministic:
                    right = right and all(
                        torch.equal(t, found[name]) for name, t in results(ours, tensors, d_out).items()
                    )
                good = good and right
                print(
                    f"{'ok   ' if right else 'WRONG'} {mask!s:50} {dtype} {tuple(s)}"
                    f"{' deterministic' if deterministic else ''}: "
                    + ", ".join(f"{name} {off:.1e}" for name, off in errors.items())
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


def forward_and_both(
    call: Callable[..., torch.Tensor], tensors: Sequence[torch.Tensor], d_out: torch.Tensor
) -> tuple[float, float]:
    """Milliseconds of the forward, and of forward and backward."""
    leaves = [t.detach().requires_grad_() for t in tensors]
    both = milliseconds(lambda: torch.autograd.grad(call(*leaves), leaves, d_out))
    return milliseconds(lambda: call(*tensors)), both


def measure() -> None:
    """Print times, and ratios to SDPA without a mask (dense) in the same run."""
    sdpa = torch.nn.functional.scaled_dot_product_attention
    for seqlen, batch in ((4096, 4), (16384, 1)):
        *qkv, d_out = (torch.randn(batch, 16, seqlen, 128, device="cuda", dtype=torch.bfloat16) for _ in range(4))
        dense = forward_and_both(sdpa, qkv, d_out)
        causal = forward_and_both(functools.partial(sdpa, is_causal=True), qkv, d_out)
        print(
            f"seqlen {seqlen}, batch {batch}, 16 heads, head_dim 128, forward / forward and backward: "
            f"SDPA {dense[0]:.3f} / {dense[1]:.3f} ms, causal {causal[0]:.3f} / {causal[1]:.3f} ms"
        )
        for mask in (
            masks.Full(), masks.Causal(), masks.Window(left=1023, right=0),
            masks.Longformer(window=512, global_tokens=64), masks.BigBird(block_size=64),
        ):  # fmt: skip
            ours = forward_and_both(functools.partial(attention, mask=mask, backend="hip"), qkv, d_out)
            print(
                f"  {mask!s:50} "
                + " / ".join(
                    f"{mine:8.3f} ms, {theirs / mine:6.2f} x SDPA, efficiency "
                    f"{theirs * mask.density(seqlen, seqlen) / mine:.2f}"
                    for mine, theirs in zip(ours, dense, strict=True)
                )
            )


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
