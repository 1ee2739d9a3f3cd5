"""What a tile costs: in a long sequence beside a short one, and at the edge of a mask beside a full one."""

from __future__ import annotations

from functools import partial

import torch

import ck_fmha
from ck_fmha import masks
from ck_fmha.bench.aims import EDGE_TILE, LONG_TILE
from ck_fmha.bench.cases import DIRECTIONS, MASKS, TILE, live_tiles, make_tensors
from ck_fmha.bench.measuring import Attention, Key, Timed, forward, forward_backward, measure
from ck_fmha.bench.ratios import RatioRow, make_row
from ck_fmha.bench.settings import Settings
from ck_fmha.masks import Mask

_HEAD_DIM = 64


def measure_long_tiles(settings: Settings) -> list[RatioRow]:
    """Compare the time per live tile of a long sequence with that of a short one, mask by mask."""
    calls: dict[Key, Timed] = {}
    for name in settings.ratio_masks:
        for seqlen in settings.tile_seqlens:
            _add(calls, (name, seqlen), partial(ck_fmha.attention, mask=MASKS[name]), seqlen, settings)
    times = measure(calls, seconds=settings.seconds, max_rounds=settings.max_rounds)
    short, long = settings.tile_seqlens
    rows = []
    for name in settings.ratio_masks:
        tiles = {n: live_tiles(MASKS[name], n, settings.heads, settings.batch) for n in settings.tile_seqlens}
        for direction in DIRECTIONS:
            ratio = times.ratio((name, long, direction), (name, short, direction)) * tiles[short] / tiles[long]
            micro = times.median((name, short, direction)) / tiles[short] * 1e6
            detail = f"seqlen {long} over {short}, {tiles[long]} and {tiles[short]} tiles; short: {micro:.2f} µs a tile"
            rows.append(make_row("tiles", f"{name} {direction}", ratio, detail, LONG_TILE))
    return rows


def edge_pairs(seqlen: int) -> dict[str, tuple[Mask, Mask]]:
    """Return pairs of masks with equally many live tiles: all edge in the first, all full in the second.

    Two have all tiles, so that a row of tiles has many; one has a tile a row, as documents of 64 tokens have.
    """
    starts = list(range(0, seqlen + 1, TILE))
    return {
        "every other key": (masks.Longformer(2 * seqlen, dilation=2), masks.Full()),
        "random elements": (masks.BlockList.from_tensor(_noise(seqlen)), masks.Full()),
        "causal documents of 64": (masks.Documents(starts, causal="top-left"), masks.Documents(starts)),
    }


def measure_edges(settings: Settings) -> list[RatioRow]:
    """Compare the time of a mask whose live tiles are all edge with that of as many full ones."""
    seqlen = settings.section_seqlen
    tiles: dict[str, int] = {}
    attentions: dict[str, tuple[Attention, Attention]] = {}
    for name, (edge, full) in edge_pairs(seqlen).items():
        tiles[name] = live_tiles(edge, seqlen, settings.heads, settings.batch)
        attentions[name] = (partial(ck_fmha.attention, mask=edge), partial(ck_fmha.attention, mask=full))
    tensor = partial(ck_fmha.scaled_dot_product_attention, attn_mask=_noise(seqlen))
    tiles["random elements, bool tensor"] = tiles["random elements"]
    attentions["random elements, bool tensor"] = (tensor, attentions["random elements"][1])

    calls: dict[Key, Timed] = {}
    for name, pair in attentions.items():
        for kind, attention in zip(("edge", "full"), pair, strict=True):
            _add(calls, (name, kind), attention, seqlen, settings)
    times = measure(calls, seconds=settings.seconds, max_rounds=settings.max_rounds)
    rows = []
    for name in attentions:
        for direction in DIRECTIONS:
            ratio = times.ratio((name, "edge", direction), (name, "full", direction))
            detail = f"{tiles[name]} tiles, all edge over all full, seqlen {seqlen}"
            rows.append(make_row("edges", f"{name} {direction}", ratio, detail, EDGE_TILE))
    return rows


def _noise(seqlen: int) -> torch.Tensor:
    return torch.rand((seqlen, seqlen), generator=torch.Generator().manual_seed(0)) < 0.5


def _add(calls: dict[Key, Timed], key: Key, attention: Attention, seqlen: int, settings: Settings) -> None:
    tensors = make_tensors(seqlen, _HEAD_DIM, settings.heads, settings.batch, torch.float32)
    calls.update(
        {
            (*key, "forward"): forward(attention, *tensors[:3], settings.threads),
            (*key, "forward+backward"): forward_backward(attention, *tensors, settings.threads),
        }
    )
