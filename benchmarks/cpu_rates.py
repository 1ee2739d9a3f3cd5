"""How fast the CPU back end is, as ratios to torch's own float32 matmul in the same run: `make bench`.

FLOPs are those of the live 64 x 64 tiles: 4 * head_dim * 64 * 64 a tile forward, 2.5 times that backward. All rounds
are interleaved and medians taken, so that a machine whose speed drifts slows everything alike.

    python benchmarks/cpu_rates.py [--seqlen 4096] [--heads 4] [--head-dim 64] [--dtype float32] [--rounds 9] [--sdpa]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import ck_fmha
from ck_fmha import _native, masks

MATMUL = 2048
TILE_ELEMENTS = 64 * 64
BACKWARD_FLOPS = 2.5  # of the forward pass: five products instead of two

MASKS = {
    "Longformer(512, 64)": masks.Longformer(512, 64),
    "BigBird(64)": masks.BigBird(64),
    "BigBird(64) & Causal()": masks.BigBird(64) & masks.Causal(),
    "Window(512, 0)": masks.Window(512, 0),
    "Causal()": masks.Causal(),
    "Full()": masks.Full(),
}


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seqlen", type=int, default=4096)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16", "float64"], default="float32")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sdpa", action="store_true", help="also time SDPA with the mask as a dense bool tensor")
    args = parser.parse_args()

    shape = (1, args.heads, args.seqlen, args.head_dim)
    dtype = getattr(torch, args.dtype)
    q, k, v, d_out = (torch.randn(shape).to(dtype) for _ in range(4))
    leaves = [t.clone().requires_grad_() for t in (q, k, v)]
    a, b = torch.randn(2, MATMUL, MATMUL)

    def train(attention: Callable[..., torch.Tensor]) -> None:
        torch.autograd.grad(attention(*leaves), leaves, d_out)

    calls: dict[tuple[str, str], Callable[[], object]] = {("matmul", ""): lambda: a @ b}
    for name, mask in MASKS.items():
        ours = lambda q, k, v, mask=mask: ck_fmha.attention(q, k, v, mask)  # noqa: E731
        calls["forward", name] = lambda ours=ours: ours(q, k, v)
        calls["both", name] = lambda ours=ours: train(ours)
        if args.sdpa:
            # Four dimensions: with three, torch does not take its fused kernel.
            dense = torch.stack([mask.materialize(args.seqlen, args.seqlen, head=h) for h in range(args.heads)])[None]
            sdpa = lambda q, k, v, dense=dense: torch.nn.functional.scaled_dot_product_attention(  # noqa: E731
                q, k, v, attn_mask=dense
            )
            calls["sdpa forward", name] = lambda sdpa=sdpa: sdpa(q, k, v)
            calls["sdpa both", name] = lambda sdpa=sdpa: train(sdpa)

    times: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for _ in range(args.rounds + 1):
        for key, call in calls.items():
            times[key].append(seconds(call))
    median = {key: statistics.median(t[1:]) for key, t in times.items()}  # the first round warms up

    matmul_rate = 2 * MATMUL**3 / median["matmul", ""]
    print(f"{args.dtype}, {args.heads} heads, seqlen {args.seqlen}, head_dim {args.head_dim}, "
          f"{torch.get_num_threads()} threads, {_native.isa_name()}, torch {torch.__version__}")  # fmt: skip
    print(f"torch float32 matmul {MATMUL}^3: {matmul_rate / 1e9:.0f} GFLOP/s; 'of matmul' is the ratio to it\n")
    head = f"{'mask':24} {'live tiles':>10} {'forward':>10} {'of matmul':>9} {'fwd+bwd':>10} {'of matmul':>9}"
    print(head + (f" {'SDPA fwd':>10} {'ratio':>6} {'SDPA f+b':>10} {'ratio':>6}" if args.sdpa else ""))
    for name, mask in MASKS.items():
        live = sum(mask.num_tiles(args.seqlen, args.seqlen, head=h).live for h in range(args.heads))
        flops = 4 * args.head_dim * TILE_ELEMENTS * live
        forward, both = median["forward", name], median["both", name]
        line = f"{name:24} {live:10} {forward * 1e3:7.1f} ms {flops / forward / matmul_rate:9.2f}"
        line += f" {both * 1e3:7.1f} ms {(1 + BACKWARD_FLOPS) * flops / both / matmul_rate:9.2f}"
        if args.sdpa:
            dense_forward, dense_both = median["sdpa forward", name], median["sdpa both", name]
            line += f" {dense_forward * 1e3:7.0f} ms {dense_forward / forward:5.1f}x"
            line += f" {dense_both * 1e3:7.0f} ms {dense_both / both:5.1f}x"
        print(line)


if __name__ == "__main__":
    main()
