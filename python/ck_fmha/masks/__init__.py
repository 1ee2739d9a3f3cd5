"""Masks written as code: which query row attends which key column.

Every mask is an immutable value: hashable, comparable, picklable, and its ``repr`` evaluates back to it (a mask with
more than 64 numbers of data shows a digest of them instead). Element (i, j) means query row i and key column j; True is
attended. **A row that attends nothing gives output 0, LSE -inf and zero gradients**, under every mask.

Masks combine: ``a & b`` (both), ``a | b`` (either), ``~a`` (not), ``a.T`` (rows and columns exchanged),
``a.shift(dq, dk)`` (placed elsewhere), ``per_head([a, b, ...])`` and ``per_sample([a, b, ...])`` (each its own).
`parse` reads a mask from text, and ``python -m ck_fmha.masks`` shows one.

Data of a mask (document offsets, lengths, block lists, ...) is checked and copied when the mask is made. Make such a
mask outside of functions that torch.compile traces, and pass it in.

    >>> from ck_fmha import masks
    >>> mask = masks.BigBird(block_size=64) & masks.Causal()
    >>> mask.num_tiles(4096, 4096)
    TileCounts(total=4096, live=333, full=269, edge=64)
"""

from ck_fmha.masks._algebra import per_head, per_sample
from ck_fmha.masks._base import Flops, Mask, TileCounts
from ck_fmha.masks._block_layouts import (
    BigBird,
    DeepSpeedBigBird,
    DeepSpeedFixed,
    DeepSpeedLongformer,
    DeepSpeedVariable,
)
from ck_fmha.masks._block_list import BlockList
from ck_fmha.masks._neighborhood import Neighborhood
from ck_fmha.masks._parse import parse
from ck_fmha.masks._patterns import Causal, Fixed, Full, Longformer, PrefixLM, Strided, Window
from ck_fmha.masks._sequences import Documents, Lengths

__all__ = [
    "BigBird",
    "BlockList",
    "Causal",
    "DeepSpeedBigBird",
    "DeepSpeedFixed",
    "DeepSpeedLongformer",
    "DeepSpeedVariable",
    "Documents",
    "Fixed",
    "Flops",
    "Full",
    "Lengths",
    "Longformer",
    "Mask",
    "Neighborhood",
    "PrefixLM",
    "Strided",
    "TileCounts",
    "Window",
    "parse",
    "per_head",
    "per_sample",
]
