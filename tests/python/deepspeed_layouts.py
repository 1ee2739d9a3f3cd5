"""DeepSpeed's sparse attention patterns as layouts of blocks, (nq, nk) bool, written from their description.

There a layout is square. Here groups and runs of global columns are counted with nk, those of global rows with nq.
"""

from itertools import accumulate

import torch
from torch import Tensor


def _indices(nq: int, nk: int) -> tuple[Tensor, Tensor]:
    return torch.arange(nq)[:, None], torch.arange(nk)[None, :]


def fixed(
    nq: int,
    nk: int,
    head: int,
    *,
    num_local_blocks: int = 4,
    num_global_blocks: int = 1,
    num_different_global_patterns: int = 1,
    attention: str = "bidirectional",
    horizontal_global_attention: bool = False,
) -> Tensor:
    """Local groups, each with a run of global blocks that differs from head to head."""
    row, col = _indices(nq, nk)
    past_only = attention == "unidirectional"
    layout = (row // num_local_blocks == col // num_local_blocks) & ((col <= row) | (not past_only))
    first = num_local_blocks - (1 + head % num_different_global_patterns) * num_global_blocks

    def runs(count: int) -> list[tuple[int, int]]:
        runs = []
        for group in range(0, count, num_local_blocks):
            start = group + first
            if group + num_local_blocks > count:
                start = min(start, count - num_global_blocks)
            end = start + num_global_blocks
            # With fewer blocks than global ones, DeepSpeed's start is negative and counts from the end.
            runs.append((start if start >= 0 else max(start + count, 0), end))
        return runs

    for start, end in runs(nk):
        layout[start if past_only else 0 :, start:end] = True
    if horizontal_global_attention:
        for start, end in runs(nq):
            layout[start:end] = True
    return layout


def variable(
    nq: int,
    nk: int,
    head: int,
    *,
    local_window_blocks=(4,),
    global_block_indices=(0,),
    global_block_end_indices=None,
    attention: str = "bidirectional",
    horizontal_global_attention: bool = False,
) -> Tensor:
    """Local windows of listed sizes, the last one repeated, and global blocks."""
    row, col = _indices(nq, nk)
    past_only = attention == "unidirectional"
    sizes = [int(size) for size in local_window_blocks]
    sizes += [sizes[-1]] * max(nq, nk)
    ends = torch.tensor(list(accumulate(sizes)))

    def window_of(block: Tensor) -> Tensor:
        return torch.searchsorted(ends, block, right=True)

    layout = (window_of(row) == window_of(col)) & ((col <= row) | (not past_only))
    for start, end in _intervals(global_block_indices, global_block_end_indices):
        layout[start if past_only else 0 :, start:end] = True
        if horizontal_global_attention:
            layout[start:end] = True
    return layout


def longformer(
    nq: int,
    nk: int,
    head: int,
    *,
    num_sliding_window_blocks: int = 3,
    global_block_indices=(0,),
    global_block_end_indices=None,
    attention: str = "bidirectional",
) -> Tensor:
    """A sliding window and global blocks, rows and columns."""
    row, col = _indices(nq, nk)
    layout = abs(row - col) <= num_sliding_window_blocks // 2
    for start, end in _intervals(global_block_indices, global_block_end_indices):
        layout[:, start:end] = True
        layout[start:end] = True
    return layout & (col <= row) if attention == "unidirectional" else layout


def big_bird(
    nq: int,
    nk: int,
    random: Tensor,
    *,
    num_random_blocks: int | None = None,
    num_sliding_window_blocks: int = 3,
    num_global_blocks: int = 1,
    attention: str = "bidirectional",
) -> Tensor:
    """A sliding window, the first blocks global, and the given random blocks, bool (nq, nk)."""
    row, col = _indices(nq, nk)
    layout = (abs(row - col) <= num_sliding_window_blocks // 2) | random
    layout = layout | (row < num_global_blocks) | (col < num_global_blocks)
    return layout & (col <= row) if attention == "unidirectional" else layout


def _intervals(starts, ends) -> list[tuple[int, int]]:
    starts = [int(start) for start in starts]
    return list(zip(starts, [s + 1 for s in starts] if ends is None else [int(end) for end in ends], strict=True))
