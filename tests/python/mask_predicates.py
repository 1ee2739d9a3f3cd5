"""Each mask's definition as a predicate over (row i, column j), written from its formula alone.

Arguments i and j are integer tensors that broadcast (or plain ints); the keyword arguments are those of the
mask's constructor. Nothing here calls the library.
"""

import torch
from torch import Tensor


def full(i, j, seqlen_q, seqlen_k):
    return (i == i) & (j == j)


def window(i, j, seqlen_q, seqlen_k, *, left, right, alignment="top-left", num_sinks=0):
    """(j < s or j >= i + d - L) and j <= i + d + R; -1 means no bound on that side."""
    d = {"top-left": 0, "bottom-right": seqlen_k - seqlen_q}[alignment]
    always = full(i, j, seqlen_q, seqlen_k)
    from_left = always if left == -1 else (j < num_sinks) | (j >= i + d - left)
    to_right = always if right == -1 else j <= i + d + right
    return from_left & to_right


def causal(i, j, seqlen_q, seqlen_k, *, alignment="top-left"):
    return window(i, j, seqlen_q, seqlen_k, left=-1, right=0, alignment=alignment)


def prefix_lm(i, j, seqlen_q, seqlen_k, *, prefix, alignment="top-left"):
    """j < p or j <= i + d."""
    return (j < prefix) | causal(i, j, seqlen_q, seqlen_k, alignment=alignment)


def longformer(i, j, seqlen_q, seqlen_k, *, window, global_tokens=0, dilation=1, causal=False):
    """Every m-th key out to (w/2) m on both sides, or a global row or column; causal cuts all of it."""
    near = (abs(i - j) <= window // 2 * dilation) & ((j - i) % dilation == 0)
    attended = near | (j < global_tokens) | (i < global_tokens)
    return attended & (j <= i) if causal else attended


def big_bird_without_random(
    i, j, seqlen_q, seqlen_k, *, block_size=64, num_window_blocks=3, num_global_blocks=1, **_random_part
):
    """The global and the window blocks; the random ones are checked by their properties instead."""
    nq, nk = -(-seqlen_q // block_size), -(-seqlen_k // block_size)
    row, col, g = i // block_size, j // block_size, num_global_blocks
    is_global = (row < g) | (col < g) | (row >= nq - g) | (col >= nk - g)
    return is_global | (abs(row - col) <= (num_window_blocks - 1) // 2)


PREDICATES = {"Full": full, "Causal": causal, "Window": window, "PrefixLM": prefix_lm, "Longformer": longformer}


def dense(predicate, seqlen_q: int, seqlen_k: int, **parameters) -> Tensor:
    """The predicate on every element: bool (seqlen_q, seqlen_k)."""
    i, j = torch.arange(seqlen_q)[:, None], torch.arange(seqlen_k)[None, :]
    return predicate(i, j, seqlen_q, seqlen_k, **parameters)


def tile_status(attended: Tensor, tile: tuple[int, int]) -> Tensor:
    """0 empty, 1 partial, 2 full for each tile clipped to the mask, counted element by element."""
    (rows, cols), (ty, tx) = attended.shape, tile
    table = torch.zeros(rows + 1, cols + 1, dtype=torch.int64)
    table[1:, 1:] = attended.long().cumsum(0).cumsum(1)
    y = torch.arange(0, rows + ty, ty)[: -(-rows // ty) + 1].clamp(max=rows)
    x = torch.arange(0, cols + tx, tx)[: -(-cols // tx) + 1].clamp(max=cols)
    corners = table[y][:, x]
    count = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    area = (y[1:] - y[:-1])[:, None] * (x[1:] - x[:-1])[None, :]
    return ((count > 0).to(torch.int8) + ((count == area) & (area > 0)).to(torch.int8)).to(torch.int8)
