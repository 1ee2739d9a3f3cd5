"""Each mask's definition as a predicate over (row i, column j), written from its formula alone.

Arguments i and j are integer tensors that broadcast (or plain ints), ``where`` is the call that is asked about;
the keyword arguments are those of the mask's constructor. Nothing here calls the library.
"""

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

import deepspeed_layouts


class Where(NamedTuple):
    """The lengths of a call, and one of its samples and query heads."""

    seqlen_q: int
    seqlen_k: int
    batch: int = 0
    head: int = 0


def full(i, j, where):
    return (i == i) & (j == j)


def window(i, j, where, *, left, right, alignment="top-left", num_sinks=0):
    """(j < s or j >= i + d - L) and j <= i + d + R; -1 means no bound on that side."""
    d = {"top-left": 0, "bottom-right": where.seqlen_k - where.seqlen_q}[alignment]
    always = full(i, j, where)
    from_left = always if left == -1 else (j < num_sinks) | (j >= i + d - left)
    to_right = always if right == -1 else j <= i + d + right
    return from_left & to_right


def causal(i, j, where, *, alignment="top-left"):
    return window(i, j, where, left=-1, right=0, alignment=alignment)


def prefix_lm(i, j, where, *, prefix, alignment="top-left"):
    """j < p or j <= i + d."""
    return (j < prefix) | causal(i, j, where, alignment=alignment)


def longformer(i, j, where, *, window, global_tokens=0, dilation=1, causal=False):
    """Every m-th key out to (w/2) m on both sides, or a global row or column; causal cuts all of it."""
    m = dilation if isinstance(dilation, int) else dilation[where.head]

    def is_global(position):
        if isinstance(global_tokens, int):
            return position < global_tokens
        positions = torch.tensor([int(g) for g in global_tokens], dtype=torch.int64)
        return torch.isin(torch.as_tensor(position), positions)

    near = (abs(i - j) <= window // 2 * m) & ((j - i) % m == 0)
    attended = near | is_global(j) | is_global(i)
    return attended & (j <= i) if causal else attended


def strided(i, j, where, *, local, stride):
    """The last l keys, and every s-th one before."""
    return (j <= i) & ((i - j < local) | ((i - j) % stride == 0))


def fixed(i, j, where, *, local, summary=1):
    """The keys of the same stretch of l, and the last c keys of each stretch before."""
    return (j <= i) & ((j // local == i // local) | (j % local >= local - summary))


def documents(i, j, where, *, cu_seqlens_q, cu_seqlens_k=None, causal=None):
    """Rows and columns of the same document, causal in the document's own coordinates."""
    offsets_q = [int(x) for x in cu_seqlens_q]
    offsets_k = offsets_q if cu_seqlens_k is None else [int(x) for x in cu_seqlens_k]
    attended = (i < 0) & (j < 0)
    for (q0, q1), (k0, k1) in zip(pairwise(offsets_q), pairwise(offsets_k), strict=True):
        same = (q0 <= i) & (i < q1) & (k0 <= j) & (j < k1)
        if causal is not None:
            d = {"top-left": 0, "bottom-right": (k1 - k0) - (q1 - q0)}[causal]
            same = same & (j - k0 <= i - q0 + d)
        attended = attended | same
    return attended


def lengths(i, j, where, *, lengths_q=None, lengths_k=None, padding="right"):
    """Only the valid rows and columns of a sample: the first ones, or with padding on the left the last ones."""

    def valid(position, seqlen, lengths):
        if lengths is None:
            return position >= 0
        length = int(lengths[where.batch])
        return position < length if padding == "right" else position >= seqlen - length

    return valid(i, where.seqlen_q, lengths_q) & valid(j, where.seqlen_k, lengths_k)


def neighborhood(i, j, where, *, grid, window, dilation=1, causal=False, border="shift"):
    """Each coordinate of the key lies in the window of that coordinate of the query."""
    sizes = [grid] if isinstance(grid, int) else list(grid)

    def per_axis(parameter):
        return list(parameter) if isinstance(parameter, tuple | list) else [parameter] * len(sizes)

    attended = (i < prod(sizes)) & (j < prod(sizes))
    stride = prod(sizes)
    for size, *axis in zip(sizes, per_axis(window), per_axis(dilation), per_axis(causal), strict=True):
        stride //= size
        attended = attended & _reachable(size, *axis, border)[i // stride % size, j // stride % size]
    return attended


def _reachable(size: int, window: int, dilation: int, causal: bool, border: str) -> Tensor:
    """Which positions each position of one axis reaches: bool (size, size)."""
    reachable = torch.zeros(size, size, dtype=torch.bool)
    for x in range(size):
        members = list(range(x % dilation, size, dilation))
        p = members.index(x)
        if causal:
            first, last = p - window + 1, p
        elif border == "clip":
            first, last = p - window // 2, p + window // 2
        else:
            first = min(max(p - window // 2, 0), max(len(members) - window, 0))
            last = first + window - 1
        reachable[x, members[max(first, 0) : last + 1]] = True
    return reachable


def block_list_from_tensor(i, j, where, *, mask, block_size=64):
    """Exactly the tensor, whatever the blocks are."""
    assert mask.shape == (where.seqlen_q, where.seqlen_k)
    return mask[i, j]


def block_list_from_csr(
    i, j, where, *, row_offsets, columns, num_block_cols, block_size=64, seqlen_q=None, seqlen_k=None, bitmaps=None
):
    """The listed blocks, or the elements of them that ``bitmaps`` (blocks, rows, columns) has."""
    rows, cols = (block_size, block_size) if isinstance(block_size, int) else block_size
    elements = torch.zeros((len(row_offsets) - 1) * rows, num_block_cols * cols, dtype=torch.bool)
    for row, (start, end) in enumerate(pairwise(int(x) for x in row_offsets)):
        for block in range(start, end):
            top, left = row * rows, int(columns[block]) * cols
            elements[top : top + rows, left : left + cols] = True if bitmaps is None else bitmaps[block]
    return elements[i, j]


def big_bird_without_random(i, j, where, *, block_size=64, num_window_blocks=3, num_global_blocks=1, **_random_part):
    """The global and the window blocks; drawn random ones are checked by their properties instead."""
    nq, nk = num_blocks(where, block_size)
    row, col, g = i // block_size, j // block_size, num_global_blocks
    is_global = (row < g) | (col < g) | (row >= nq - g) | (col >= nk - g)
    return is_global | (abs(row - col) <= (num_window_blocks - 1) // 2)


def big_bird(i, j, where, *, random_blocks, block_size=64, **parameters):
    """With a table of random blocks (heads, rows, r); nq - 2 rows leave out the first and the last block."""
    drawn = listed_blocks(random_blocks, where, block_size)
    fixed_part = big_bird_without_random(i, j, where, block_size=block_size, **parameters)
    return fixed_part | drawn[i // block_size, j // block_size]


def listed_blocks(random_blocks, where: Where, block_size: int) -> Tensor:
    """The blocks of a table for one head: bool (nq, nk). A table of one head serves every head."""
    nq, nk = num_blocks(where, block_size)
    table = torch.as_tensor(random_blocks)
    rows = table[where.head if table.shape[0] > 1 else 0].tolist()
    assert len(rows) in (nq, nq - 2)
    first = (nq - len(rows)) // 2
    listed = torch.zeros(nq, nk, dtype=torch.bool)
    for row, columns in enumerate(rows):
        listed[first + row, columns] = True
    return listed


def num_blocks(where: Where, block_size: int) -> tuple[int, int]:
    return -(-where.seqlen_q // block_size), -(-where.seqlen_k // block_size)


def deepspeed(layout: Callable[..., Tensor], block_size_default: int = 16):
    """The elements of a layout of blocks."""

    def predicate(i, j, where, *, block_size=block_size_default, **parameters):
        blocks = layout(*num_blocks(where, block_size), where.head, **parameters)
        return blocks[i // block_size, j // block_size]

    return predicate


def deepspeed_big_bird(i, j, where, *, random_blocks, block_size=16, **parameters):
    """With a table of random blocks."""
    drawn = listed_blocks(random_blocks, where, block_size)
    layout = deepspeed_layouts.big_bird(*drawn.shape, drawn, **parameters)
    return layout[i // block_size, j // block_size]


PREDICATES = {
    "Full": full,
    "Causal": causal,
    "Window": window,
    "PrefixLM": prefix_lm,
    "Longformer": longformer,
    "BigBird": big_bird,
    "Strided": strided,
    "Fixed": fixed,
    "Documents": documents,
    "Lengths": lengths,
    "Neighborhood": neighborhood,
    "BlockList.from_tensor": block_list_from_tensor,
    "BlockList.from_csr": block_list_from_csr,
    "DeepSpeedFixed": deepspeed(deepspeed_layouts.fixed),
    "DeepSpeedVariable": deepspeed(deepspeed_layouts.variable),
    "DeepSpeedLongformer": deepspeed(deepspeed_layouts.longformer),
    "DeepSpeedBigBird": deepspeed_big_bird,
}


def dense(predicate, where: Where, **parameters) -> Tensor:
    """The predicate on every element: bool (seqlen_q, seqlen_k)."""
    i, j = torch.arange(where.seqlen_q)[:, None], torch.arange(where.seqlen_k)[None, :]
    return predicate(i, j, where, **parameters)


def transposed(attended: Callable[[Where], Tensor], where: Where) -> Tensor:
    """What the mask attends with queries and keys exchanged."""
    exchanged = where._replace(seqlen_q=where.seqlen_k, seqlen_k=where.seqlen_q)
    return attended(exchanged).T


def shifted(attended: Callable[[Where], Tensor], dq: int, dk: int, where: Where) -> Tensor:
    """The mask of a sequence shorter by (dq, dk), placed with its first element at (dq, dk)."""
    seqlen_q, seqlen_k = max(where.seqlen_q - dq, 0), max(where.seqlen_k - dk, 0)
    inner = attended(where._replace(seqlen_q=seqlen_q, seqlen_k=seqlen_k))
    placed = torch.zeros(where.seqlen_q, where.seqlen_k, dtype=torch.bool)
    for i in range(max(dq, 0), where.seqlen_q):
        placed[i, max(dk, 0) :] = inner[i - dq, max(-dk, 0) :]
    return placed


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
