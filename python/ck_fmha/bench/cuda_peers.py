"""What attention on an NVIDIA GPU is timed beside: SDPA's kernels, and FlexAttention with its block mask prebuilt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.attention.flex_attention import flex_attention as _flex_attention
from torch.nn.functional import scaled_dot_product_attention

from ck_fmha.bench.cases import distinct_heads
from ck_fmha.bench.flex_masks import MaskMod, block_lists
from ck_fmha.masks import Mask

Attention: TypeAlias = "Callable[..., torch.Tensor]"

_BLOCK = 128  # FlexAttention's own default
_BIG_BIRD_BLOCK = 64


def sdpa(backend: SDPBackend, *, is_causal: bool = False) -> Attention:
    """Return SDPA by one of its kernels."""

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=is_causal)

    return attention


def flex_attention(name: str, mask: Mask, seqlen: int, heads: int) -> Attention:
    """Return FlexAttention with a mask of `cuda.MASKS`, compiled when it is first called."""
    import torch._dynamo

    # One graph for each mask and size; by default the ninth would run uncompiled.
    for limit in ("recompile_limit", "cache_size_limit"):
        if hasattr(torch._dynamo.config, limit):
            setattr(torch._dynamo.config, limit, 1024)
    status = _tile_status(mask, seqlen, _BLOCK, heads)[None]
    blocks = BlockMask.from_kv_blocks(
        *block_lists(status == 1),
        *block_lists(status == 2),
        BLOCK_SIZE=(_BLOCK, _BLOCK),
        mask_mod=_mask_mod(name, mask, seqlen, heads),
        seq_lengths=(seqlen, seqlen),
    )
    return partial(torch.compile(_flex_attention, dynamic=False), block_mask=blocks)


def _tile_status(mask: Mask, seqlen: int, block: int, heads: int) -> torch.Tensor:
    """Return the status of the blocks of every head that has a mask of its own, one head for all if they are alike."""
    distinct = range(distinct_heads(mask, heads))
    return torch.stack([mask.tile_status(seqlen, seqlen, (block, block), head=h) for h in distinct]).cuda()


def _mask_mod(name: str, mask: Mask, seqlen: int, heads: int) -> MaskMod:
    if name != "big_bird":
        return _PREDICATES[name]
    # A table of (seqlen / 64) squared bits a head, as users of FlexAttention write it.
    table = _tile_status(mask, seqlen, _BIG_BIRD_BLOCK, heads) > 0
    return lambda b, h, i, j: table[h, i // _BIG_BIRD_BLOCK, j // _BIG_BIRD_BLOCK]


_PREDICATES: dict[str, MaskMod] = {
    "longformer": lambda b, h, i, j: ((i - j).abs() <= 256) | (i < 64) | (j < 64),
    "window": lambda b, h, i, j: (j <= i) & (i - j <= 1024),
    "causal": lambda b, h, i, j: j <= i,
}
