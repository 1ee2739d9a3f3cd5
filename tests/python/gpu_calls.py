"""Calls that the back ends for GPUs are tested with: masks of any size, and memory that they take or copy."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

import ck_fmha
from calls import Call, Tensors, bits_equal, make_tensors, place
from ck_fmha import masks
from mask_cases import materialized, random_mask, random_table

DTYPES = [torch.float16, torch.bfloat16]
HEAD_DIMS = [32, 64, 128, 256]  # that there are kernels for; others are padded to the next


def _lengths(call: Call) -> masks.Mask:
    (seqlen_q, seqlen_k), odd = call.seqlens, [n % 2 for n in range(call.batch)]
    lengths_q = [seqlen_q - n * (seqlen_q // 3) for n in odd]
    lengths_k = [seqlen_k - (1 - n) * (seqlen_k // 2) for n in odd]
    return masks.Lengths(lengths_q, lengths_k, padding="left")


def _documents(call: Call) -> masks.Mask:
    q, k = call.seqlens
    return masks.Documents([0, q // 3, q // 2, q - q // 5], [0, k // 2, k // 2, k - k // 7], causal="bottom-right")


def _table(call: Call, block: int) -> Tensor:
    rows, columns = (-(-seqlen // block) for seqlen in call.seqlens)
    return random_table(1, rows, 1, min(rows, columns))


def _block_list(call: Call) -> masks.Mask:
    return masks.BlockList.from_tensor(random_mask(*call.seqlens, 40, seed=1), (32, 24))


def _repeated(parts: list[masks.Mask], count: int) -> list[masks.Mask]:
    return [parts[n % len(parts)] for n in range(count)]


# Every definition, and every way to combine them, for calls of any size. Empty, full and edge tiles of the kernels
# (128 rows, 32 or 64 columns) occur in a few hundred tokens.
MASKS: dict[str, Callable[[Call], masks.Mask]] = {
    "full": lambda _: masks.Full(),
    "causal": lambda _: masks.Causal(),
    "window": lambda _: masks.Window(37, 5, "bottom-right", num_sinks=3),
    "prefix_lm": lambda _: masks.PrefixLM(70, alignment="bottom-right"),
    "longformer": lambda _: masks.Longformer(30, 5, 2),
    "longformer by head": lambda call: masks.Longformer(16, 0, tuple(1 + 2 * n for n in range(call.heads[0]))),
    "longformer_tokens": lambda _: masks.Longformer(24, [3, 40, 141], causal=True),
    "big_bird": lambda _: masks.BigBird(block_size=32, num_random_blocks=1, seed=5),
    "big_bird_table": lambda call: masks.BigBird(
        block_size=20, num_global_blocks=0, num_random_blocks=1, random_blocks=_table(call, 20)
    ),
    "strided": lambda _: masks.Strided(30, 50),
    "fixed": lambda _: masks.Fixed(48, 0),
    "documents": _documents,
    "lengths": _lengths,
    "neighborhood": lambda _: masks.Neighborhood((12, 15), (5, 7), (1, 2), border="clip"),
    "block_list": _block_list,
    "deepspeed_fixed": lambda _: masks.DeepSpeedFixed(16, num_local_blocks=4, num_different_global_patterns=2),
    "deepspeed_variable": lambda _: masks.DeepSpeedVariable(16, [2, 3], [0, 4]),
    "deepspeed_longformer": lambda _: masks.DeepSpeedLongformer(16, global_block_indices=[1, 5]),
    "deepspeed_big_bird": lambda _: masks.DeepSpeedBigBird(16, num_random_blocks=1, seed=7),
    "deepspeed_big_bird_table": lambda call: masks.DeepSpeedBigBird(
        block_size=32, num_random_blocks=1, random_blocks=_table(call, 32)
    ),
    "and": lambda _: masks.BigBird(block_size=32, num_random_blocks=1, seed=3) & masks.Causal(),
    "or, not": lambda _: masks.Longformer(20, [60]) | ~masks.Strided(70, 130),
    "transpose, shift": lambda _: (~masks.Causal() & masks.Strided(20, 33).T).shift(-8, 4) | masks.Window(2, 2),
    "per_head": lambda call: masks.per_head(
        _repeated([masks.Causal(), _block_list(call), masks.Window(9, 9)], call.heads[0])
    ),
    "per_sample": lambda call: masks.per_sample(_repeated([masks.Window(60, 0), _documents(call)], call.batch)),
    "empty": lambda _: ~masks.Full(),
}

# How q, k and v lie in memory: what other back ends are tested with, some of which is copied first, and what is not.
_UNCOPIED: dict[str, Callable[[Tensor], Tensor]] = {
    "aligned gaps": lambda t: t.new_full((*t.shape[:-1], t.shape[-1] + 8), torch.nan)[..., : t.shape[-1]].copy_(t),
    "every third row": lambda t: t.new_full((*t.shape[:2], 3 * t.shape[2], t.shape[3]), torch.nan)[:, :, ::3].copy_(t),
    "rows expanded": lambda t: t[:, :, :1].expand(t.shape),
    "batch innermost": lambda t: t.permute(1, 2, 0, 3).contiguous().permute(2, 0, 1, 3),
}
MEMORY = ["contiguous", "heads inside", "batch expanded", "heads expanded", "last stride 2", *_UNCOPIED]


def tensors_in(memory: str, call: Call, device: str = "cpu") -> Tensors:
    """The call's tensors, q, k and v on a device; their gaps are NaN. Without subnormal numbers, which the products of
    gfx90a take for zero.
    """
    tensors = make_tensors(replace(call, memory="contiguous"))
    for t in tensors[:4]:
        t[t.abs() < torch.finfo(t.dtype).tiny] = 0
    move = _UNCOPIED.get(memory, functools.partial(place, memory=memory))
    q, k, v = (move(t.to(device)) for t in tensors[:3])
    return tensors._replace(q=q, k=k, v=v)


# What differs from call to call of a kernel. Tiles have 128 rows and 32 or 64 columns.
CALLS: dict[str, list[Any]] = {
    "seqlens": [(1, 1), (64, 64), (200, 200), (33, 300), (300, 33), (1, 150), (150, 1), (129, 65)],
    "heads": [(2, 2), (4, 2), (3, 1), (1, 1)],
    "batch": [1, 2],
    "scale": [None, 0.0, -0.3, 1e-30, 3e4],
    "memory": MEMORY,
    "layout": ["bhsd", "bshd"],
    "padding": ["none", "q and k", "v", "both"],
}


def padded(head_dim: int, padding: str) -> tuple[int, int]:
    """head_dim and head_dim_v of a call that the kernel for `head_dim` serves."""
    return {
        "none": (head_dim, head_dim),
        "q and k": (head_dim - 8, head_dim),
        "v": (head_dim, head_dim // 2 + 8),
        "both": (head_dim - 16, head_dim - 8),
    }[padding]


# What a call can add to its scores and probabilities.
EXTRAS: dict[str, dict[str, Any]] = {
    "softcap, alibi": {"softcap": 1.5, "alibi": "bh"},
    "dropout": {"dropout_p": 0.25, "dropout_seed": 2**62 + 7},
    "bias": {"bias": "bhqk", "bias_holes": 0.1},
    "shared bias": {"bias": "hqk", "bias_dtype": torch.float32, "bias_memory": "transposed", "softcap": 3.0},
    "everything": {"bias": "b1qk", "softcap": 20.0, "alibi": "h", "dropout_p": 0.5, "dropout_seed": 3},
}

# Masks with empty tiles of 128 x 64 elements, ragged last tiles, two query heads on a key head.
SEQLENS = (430, 300)
POISONED: dict[str, masks.Mask] = {
    "causal": masks.Causal(),
    "window": masks.Window(50, 3, "bottom-right", num_sinks=2),
    "prefix_lm": masks.PrefixLM(70),
    "longformer": masks.Longformer(16, global_tokens=3, causal=True),
    "longformer_tokens": masks.Longformer(4, global_tokens=[1, 250], causal=True),
    "big_bird": masks.BigBird(block_size=64, num_random_blocks=1, num_window_blocks=1, seed=1),
    "fixed": masks.Fixed(128, 0),
    "documents": masks.Documents([0, 128, 140, 390], [0, 30, 30, 210]),
    "lengths": masks.Lengths([9, 256], [200, 5]),
    "neighborhood": masks.Neighborhood((20, 15), (3, 5), border="clip"),
    "block_list": masks.BlockList.from_tensor(random_mask(*SEQLENS, 128, seed=3), 40),
    "deepspeed_variable": masks.DeepSpeedVariable(64, [1, 2], [3], attention="unidirectional"),
    "and": masks.BigBird(block_size=64, num_random_blocks=1, seed=1) & masks.Causal(),
    "or, not": masks.Window(5, 5) | ~masks.Causal() & masks.Window(-1, 90),
    "transpose, shift": masks.Causal().T.shift(130, 70) | masks.Window(0, 0),
    "per_head": masks.per_head([masks.Causal(), masks.Causal().T, masks.Window(3, 3), ~masks.Full()]),
    "per_sample": masks.per_sample([masks.Window(64, 0), masks.Documents([0, 90])]),
}


def _live(call: Call, tile: tuple[int, int]) -> dict[tuple[int, int], torch.Tensor]:
    """By sample and head, which tiles are live."""
    return {
        (sample, head): call.mask.tile_status(*call.seqlens, tile, batch=sample, head=head) != 0
        for sample, head in itertools.product(range(call.batch), range(call.heads[0]))
    }


def assert_keys_of_empty_tiles_are_not_read(
    call: Call,
    value: float,
    compute: Callable[[Call, Tensors], tuple[Tensor, Tensor]],
    explain: Callable[[Call, Tensors], ck_fmha.Explanation],
) -> None:
    """`compute` gives out and lse on the CPU."""
    tensors = make_tensors(call)
    clean, attended = compute(call, tensors), materialized(call.mask, call.batch, call.heads[0], call.seqlens)
    rows, columns = tile = explain(call, tensors).tile
    found = _live(call, tile)
    num_empty = 0
    for column in range(-(-call.seqlens[1] // columns)):
        here = slice(column * columns, (column + 1) * columns)
        k, v = tensors.k.clone(), tensors.v.clone()
        k[:, :, here], v[:, :, here] = value, value
        poisoned = compute(call, tensors._replace(k=k, v=v))
        for at, live in found.items():
            blind = ~live[:, column].repeat_interleave(rows)[: call.seqlens[0]]
            num_empty += int(blind.sum())
            for name, a, b in zip(("out", "lse"), poisoned, clean, strict=True):
                assert bits_equal(a[at][blind], b[at][blind]), f"{name}, sample and head {at}, column tile {column}"
        shows = attended[..., here].any(-1)
        assert not poisoned[0][shows].isfinite().any(), "the poison itself does not show"
    assert num_empty, "no tile is empty: nothing was tested"
