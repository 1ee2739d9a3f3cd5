"""The masks that are timed, and what their live tiles cost."""

from __future__ import annotations

import torch

from ck_fmha import masks
from ck_fmha.masks import Mask

TILE = 64  # rows and columns of the tiles on which FLOPs are counted, whatever tiles a kernel has
MATMUL = 2048  # rows and columns of the matrices whose product everything is compared with
MATMUL_FLOPS = 2 * MATMUL**3

MASKS: dict[str, Mask] = {
    "longformer": masks.Longformer(512, 64),
    "big_bird": masks.BigBird(64),
    "big_bird_causal": masks.BigBird(64) & masks.Causal(),
    "window": masks.Window(512, 0),
    "causal": masks.Causal(),
    "full": masks.Full(),
}

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

# Products of matrices: q k^T and p v forward, five more backward.
PRODUCTS = {"forward": 2.0, "forward+backward": 2.0 * (1.0 + 2.5)}
DIRECTIONS = tuple(PRODUCTS)


def distinct_heads(mask: Mask, heads: int) -> int:
    """Return how many heads have a mask of their own: `heads`, or 1 that stands for all."""
    return heads if mask.varies_by_head else 1


def live_tiles(mask: Mask, seqlen: int, heads: int, batch: int) -> int:
    """Count the 64 x 64 tiles with an attended element, over all heads and samples.

    From the status of every tile, which is exact; `Mask.num_tiles` may count a few too many.
    """
    distinct = distinct_heads(mask, heads)
    live = sum(int((mask.tile_status(seqlen, seqlen, (TILE, TILE), head=h) > 0).sum()) for h in range(distinct))
    return live * (heads // distinct) * batch


def flops(mask: Mask, seqlen: int, head_dim: int, heads: int, batch: int, direction: str) -> float:
    """Count the floating-point operations of the matrix products on live tiles.

    An element of a live tile costs 2 * head_dim for each product; a tile at the end of the sequence counts the
    elements that exist. Backward costs 2.5 times the forward pass.
    """
    sides = torch.full((-(-seqlen // TILE),), float(TILE), dtype=torch.float64)
    sides[-1] -= -seqlen % TILE
    distinct = distinct_heads(mask, heads)
    elements = 0.0
    for head in range(distinct):
        live = mask.tile_status(seqlen, seqlen, (TILE, TILE), head=head) > 0
        elements += float(sides @ live.to(torch.float64) @ sides)
    return elements * (heads // distinct) * batch * 2 * head_dim * PRODUCTS[direction]


def make_tensors(
    seqlen: int, head_dim: int, heads: int, batch: int, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return normally distributed q, k, v and the gradient of the output, (batch, heads, seqlen, head_dim)."""
    generator = torch.Generator().manual_seed(0)
    q, k, v, d_out = (
        torch.randn((batch, heads, seqlen, head_dim), generator=generator).to(dtype) for _ in range(4)
    )  # fmt: skip
    return q, k, v, d_out
