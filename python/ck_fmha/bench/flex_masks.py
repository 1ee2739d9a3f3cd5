"""The masks as FlexAttention takes them: an element predicate and the lists of blocks it may skip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn.attention.flex_attention import BlockMask

from ck_fmha.bench.cases import MASKS, TILE, distinct_heads
from ck_fmha.masks import Mask

MaskMod: TypeAlias = "Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]"

_BLOCK = 128  # FlexAttention's own default


def mask_mod(name: str, seqlen: int, heads: int) -> MaskMod:
    """Return the predicate (batch, head, query, key) of a mask of `cases.MASKS`.

    Big Bird looks its blocks up in a table of (seqlen / 64) squared bits a head, as its users write it.
    """
    if name.startswith("big_bird"):
        mask = MASKS["big_bird"]
        status = [mask.tile_status(seqlen, seqlen, (TILE, TILE), head=h) for h in range(distinct_heads(mask, heads))]
        blocks = torch.stack(status) > 0

        def big_bird(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
            return blocks[h, i // TILE, j // TILE]

        def big_bird_causal(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
            return blocks[h, i // TILE, j // TILE] & (i >= j)

        return big_bird if name == "big_bird" else big_bird_causal
    return _PREDICATES[name]


def _longformer(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    return ((i - j).abs() <= 256) | (i < 64) | (j < 64)


def _window(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    return (j <= i) & (i - j <= 512)


def _causal(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    return j <= i


def _full(b: torch.Tensor, h: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    return j >= 0


_PREDICATES: dict[str, MaskMod] = {"longformer": _longformer, "window": _window, "causal": _causal, "full": _full}


def block_mask(name: str, seqlen: int, heads: int) -> BlockMask:
    """Return the lists of blocks, as `create_block_mask` makes them but without its seqlen x seqlen tensor."""
    mask: Mask = MASKS[name]
    status = torch.stack(
        [mask.tile_status(seqlen, seqlen, (_BLOCK, _BLOCK), head=h) for h in range(distinct_heads(mask, heads))]
    )[None]
    edge, full = block_lists(status == 1), block_lists(status == 2)
    made = BlockMask.from_kv_blocks(
        *edge,
        *full,
        BLOCK_SIZE=(_BLOCK, _BLOCK),
        mask_mod=mask_mod(name, seqlen, heads),
        seq_lengths=(seqlen, seqlen),
    )
    return made


def block_lists(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many blocks each row has, and the columns of the row, these first."""
    columns = torch.argsort(blocks.to(torch.int8), dim=-1, descending=True, stable=True)
    return blocks.sum(-1, dtype=torch.int32), columns.to(torch.int32).contiguous()
