"""A mask in words and numbers: `Mask.explain`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from ck_fmha.masks._algebra import Choice, Combination, PerHead, Shifted, Transposed
from ck_fmha.masks._base import Mask, TileCounts, Where

Tile = tuple[int, int]

_NAME_WIDTH = 56  # characters of a part's name, its branch included
_PARTS_SHOWN = 12  # of the masks of one per_head or per_sample
_SYMBOLS = {"and": "&", "or": "|", "not": "~", "transpose": ".T"}


def explain_mask(mask: Mask, where: Where, tile: Tile) -> str:
    """Describe a mask; see `Mask.explain`."""
    seqlen_q, seqlen_k, batch, head = where
    counts = _count(mask, where, tile)
    size = sum(t.numel() * t.element_size() for t in mask.data)
    varies = [name for name, does in (("head", mask.varies_by_head), ("sample", mask.varies_by_batch)) if does]
    lines = [
        repr(mask),
        f"structure  {mask.structure}",
        f"call       seqlen_q {seqlen_q:,}, seqlen_k {seqlen_k:,}, head {head}, sample {batch}",
        f"tiles      {counts.live:,} of {counts.total:,} of {tile[0]} x {tile[1]} live "
        f"({counts.full:,} full, {counts.edge:,} edge)",
        f"density    {_density(mask, where):.4%} of {seqlen_q * seqlen_k:,} elements",
        f"varies by  {' and '.join(varies) or 'nothing: all heads and samples are alike'}",
        f"data       {size:,} bytes in {len(mask.data)} arrays" if mask.data else "data       none",
    ]
    if isinstance(mask, Combination):
        lines += ["", f"{'part':{_NAME_WIDTH}} {'live':>10} {'full':>10} {'edge':>10} {'density':>9}"]
        lines += _tree(mask, where, tile, "", "")
    return "\n".join(lines)


def _tree(mask: Mask, where: Where, tile: Tile, branch: str, below: str, label: str = "") -> Iterator[str]:
    """One line for a mask and for each of its parts, `branch` before its own and `below` before theirs."""
    name = branch + label + _name(mask)
    if len(name) > _NAME_WIDTH:
        name = name[: _NAME_WIDTH - 3] + "..."
    counts = _count(mask, where, tile)
    yield (
        f"{name:{_NAME_WIDTH}} {counts.live:>10,} {counts.full:>10,} {counts.edge:>10,} {_density(mask, where):>9.2%}"
    )
    parts = list(_parts(mask, where, tile))
    for label, part, at, part_tile in parts[:_PARTS_SHOWN]:
        last = part is parts[-1][1] and label == parts[-1][0]
        yield from _tree(
            part, at, part_tile, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "), label
        )
    if len(parts) > _PARTS_SHOWN:
        yield f"{below}└─ ... and {len(parts) - _PARTS_SHOWN} more"


def _parts(mask: Mask, where: Where, tile: Tile) -> Iterator[tuple[str, Mask, Where, Tile]]:
    """Each part of a mask with a label, and what it is bound to there: lengths, sample and head, and its tiles."""
    seqlen_q, seqlen_k, batch, head = where
    if isinstance(mask, Transposed):
        yield "", mask.mask, (seqlen_k, seqlen_q, batch, head), (tile[1], tile[0])
    elif isinstance(mask, Shifted):
        # A longer mask than the core can index does not exist: what is cut off counts as far as it goes.
        yield "", mask.mask, (_length(seqlen_q, mask.dq), _length(seqlen_k, mask.dk), batch, head), tile
    elif isinstance(mask, Choice):
        by_head = isinstance(mask, PerHead)
        # Neighbours that are equal share a line, unless they still differ from each other by their number.
        for _, group in groupby(
            enumerate(mask.masks),
            lambda part: (part[1], part[0] if (part[1].varies_by_head if by_head else part[1].varies_by_batch) else -1),
        ):
            numbers = [number for number, _ in group]
            part = mask.masks[numbers[0]]
            what = "head" if by_head else "sample"
            label = f"{what} {numbers[0]}: " if len(numbers) == 1 else f"{what}s {numbers[0]}-{numbers[-1]}: "
            at = (seqlen_q, seqlen_k, *((batch, numbers[0]) if by_head else (numbers[0], head)))
            yield label, part, at, tile
    else:
        for part in mask._parts():
            yield "", part, where, tile


def _length(seqlen: int, shift: int) -> int:
    return min(max(seqlen - shift, 0), 2**31 - 1)


def _name(mask: Mask) -> str:
    """Return a part's symbol, or its definition without what is left at its default."""
    if isinstance(mask, Shifted):
        return f".shift({mask.dq}, {mask.dk})"
    if isinstance(mask, Combination):
        return _SYMBOLS.get(mask.name, mask.name)
    return str(mask)


def _count(mask: Mask, where: Where, tile: Tile) -> TileCounts:
    return TileCounts(*mask.native.count_tiles(where, tile))


def _density(mask: Mask, where: Where) -> float:
    elements = where[0] * where[1]
    return mask.native.count_attended(where) / elements if elements else 0.0
