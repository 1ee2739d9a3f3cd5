"""The masks that the tests go through, with their predicates."""

from collections.abc import Sequence
from functools import reduce
from itertools import cycle, product
from typing import NamedTuple

import torch
from torch import Tensor

import mask_predicates
from ck_fmha import masks
from mask_predicates import Where

SHAPES = [
    (0, 0),
    (0, 5),
    (5, 0),
    (1, 1),
    (1, 9),
    (9, 1),
    (13, 13),
    (40, 17),
    (17, 40),
    (64, 64),
    (65, 31),
    (33, 130),
]
TILES = [(1, 1), (4, 8), (16, 16), (7, 5), (32, 8), (64, 64), (5, 200)]


class Case(NamedTuple):
    """A constructor of ``masks`` with its arguments, and the calls that they are made for."""

    name: str
    parameters: dict
    shapes: Sequence[tuple[int, int]] = SHAPES
    heads: int = 4
    batch: int = 2


INDEX_MAX = 2**31 - 1

_DIAGONALS = [
    Case("Full", {}),
    Case("Causal", {}),
    Case("Causal", {"alignment": "bottom-right"}),
    Case("Window", {"left": 0, "right": 0}),
    Case("Window", {"left": 17, "right": 5}),
    Case("Window", {"left": -1, "right": 3}),
    Case("Window", {"left": 4, "right": -1}),
    Case("Window", {"left": -1, "right": -1}),
    Case("Window", {"left": 5, "right": 0, "alignment": "bottom-right"}),
    Case("Window", {"left": 3, "right": 9, "alignment": "bottom-right"}),
    Case("Window", {"left": 6, "right": 0, "num_sinks": 4}),
    Case("Window", {"left": 11, "right": 2, "alignment": "bottom-right", "num_sinks": 3}),
    Case("Window", {"left": 2, "right": -1, "num_sinks": 1}),
    Case("Window", {"left": -1, "right": 0, "num_sinks": 5}),
    Case("Window", {"left": INDEX_MAX, "right": INDEX_MAX}),
    Case("Window", {"left": INDEX_MAX, "right": 1, "alignment": "bottom-right", "num_sinks": INDEX_MAX}),
    Case("PrefixLM", {"prefix": 0}),
    Case("PrefixLM", {"prefix": 9}),
    Case("PrefixLM", {"prefix": 5, "alignment": "bottom-right"}),
    Case("PrefixLM", {"prefix": INDEX_MAX}),
]
_SPARSE_TRANSFORMERS = [
    *(Case("Strided", {"local": local, "stride": stride}) for local, stride in [(1, 1), (4, 4), (3, 10), (16, 7)]),
    Case("Strided", {"local": INDEX_MAX, "stride": 5}),
    Case("Strided", {"local": 2, "stride": INDEX_MAX}),
    Case("Fixed", {"local": 8}),
    *(Case("Fixed", {"local": local, "summary": c}) for local, c in [(8, 3), (5, 5), (6, 0), (1, 1), (16, 1)]),
    Case("Fixed", {"local": INDEX_MAX, "summary": 2}),
]
_LONGFORMERS = [
    Case("Longformer", {"window": 8}),
    Case("Longformer", {"window": 0}),
    Case("Longformer", {"window": 16, "global_tokens": 5}),
    Case("Longformer", {"window": 4, "dilation": 3}),
    Case("Longformer", {"window": 6, "global_tokens": 3, "dilation": 2, "causal": True}),
    Case("Longformer", {"window": 2, "global_tokens": 1000}),
    Case("Longformer", {"window": 2, "global_tokens": 1000, "causal": True}),
    Case("Longformer", {"window": INDEX_MAX - 1, "dilation": 7}),
    Case("Longformer", {"window": 2, "dilation": INDEX_MAX}),
    Case("Longformer", {"window": 4, "global_tokens": [0, 5, 12]}),
    Case("Longformer", {"window": 6, "global_tokens": [30, 8, 30, 63], "causal": True}),
    Case("Longformer", {"window": 0, "global_tokens": (11,), "dilation": 4}),
    Case("Longformer", {"window": 2, "global_tokens": range(3, 200, 7)}),
    Case("Longformer", {"window": 2, "global_tokens": {1, 16, INDEX_MAX - 1}, "dilation": 3, "causal": True}),
    Case("Longformer", {"window": 2, "global_tokens": torch.tensor([4, 12, 64]), "dilation": 2}),
    Case("Longformer", {"window": 8, "global_tokens": ()}),
    Case("Longformer", {"window": 6, "dilation": (1, 2, 3, 5)}),
    Case("Longformer", {"window": 4, "dilation": [4, 1], "global_tokens": [9], "causal": True}, heads=2),
]


def _at_least(seqlen_q: int, seqlen_k: int) -> list[tuple[int, int]]:
    return [(q, k) for q, k in SHAPES if q >= seqlen_q and k >= seqlen_k]


_DOCUMENTS = [
    Case("Documents", {"cu_seqlens_q": q, "cu_seqlens_k": k, "causal": causal}, _at_least(q[-1], (k or q)[-1]))
    for (q, k), causal in product(
        [
            ([0], None),
            ([0, 9], None),
            ([0, 1, 2, 6, 13], None),
            ([0, 7, 7, 7, 13], None),
            ([0, 3, 10, 33], [0, 20, 20, 31]),
            ([0, 0, 12, 17], [0, 5, 9, 17]),
            ([2, 6, 13], [5, 6, 11]),
        ],
        [None, "top-left", "bottom-right"],
    )
] + [Case("Documents", {"cu_seqlens_q": torch.tensor([0, 4, 13])}, _at_least(13, 13))]
_LENGTHS = [
    Case("Lengths", {**parameters, "padding": padding}, _at_least(13, 13))
    for parameters, padding in product(
        [
            {"lengths_q": [5, 13]},
            {"lengths_k": (0, 7)},
            {"lengths_q": [13, 1], "lengths_k": torch.tensor([4, 12])},
        ],
        ["right", "left"],
    )
] + [Case("Lengths", {"lengths_k": [9, 8, 0]}, _at_least(9, 9), batch=3)]
_NEIGHBORHOODS = [
    Case("Neighborhood", parameters)
    for parameters in [
        {"grid": 40, "window": 5},
        {"grid": (33,), "window": (7,), "dilation": 3},
        {"grid": 40, "window": 7, "dilation": 3, "border": "clip"},
        {"grid": 40, "window": 5, "dilation": 2, "causal": True},
        {"grid": 500, "window": 9, "border": "clip"},
        {"grid": 6, "window": 99},
        {"grid": 20, "window": 7, "dilation": 5},
        {"grid": (5, 8), "window": 3},
        {"grid": (4, 9), "window": (3, 5), "dilation": (1, 2), "causal": (True, False)},
        {"grid": (6, 7), "window": (5, 3), "dilation": 2, "border": "clip"},
        {"grid": (1, 30), "window": (1, 5), "causal": (False, True)},
        {"grid": (3, 4, 5), "window": 3},
        {"grid": (3, 4, 5), "window": (1, 3, 5), "border": "clip"},
        {"grid": (4, 3, 4), "window": (3, 3, 3), "dilation": (2, 1, 1), "causal": (True, False, True)},
    ]
]


def random_mask(seqlen_q: int, seqlen_k: int, block: int, seed: int) -> Tensor:
    """A bool tensor whose blocks are all True, all False, or mixed, a third each."""
    generator = torch.Generator().manual_seed(seed)
    nq, nk = -(-seqlen_q // block), -(-seqlen_k // block)
    kind = torch.randint(3, (nq, nk), generator=generator).repeat_interleave(block, 0).repeat_interleave(block, 1)
    mixed = torch.rand(seqlen_q, seqlen_k, generator=generator) < 0.3
    kind = kind[:seqlen_q, :seqlen_k]
    return (kind == 1) | (kind == 2) & mixed


def random_table(heads: int, rows: int, r: int, num_columns: int, seed: int = 0) -> Tensor:
    """A table of random blocks, as the published model has it: a row may list a block twice."""
    return torch.randint(num_columns, (heads, rows, r), generator=torch.Generator().manual_seed(seed))


_BLOCK_LISTS = [
    Case("BlockList.from_tensor", {"mask": random_mask(*shape, block, seed), "block_size": block_size}, [shape])
    for seed, (shape, block, block_size) in enumerate(
        [
            ((0, 5), 4, 4),
            ((1, 1), 1, 1),
            ((13, 13), 4, 4),
            ((40, 17), 5, (5, 5)),
            ((17, 40), 8, (3, 70)),
            ((65, 31), 8, 1),
            ((33, 130), 16, (16, 32)),
            ((70, 200), 40, 64),
            ((64, 64), 16, 16),
        ]
    )
] + [
    Case("BlockList.from_tensor", {"mask": torch.ones(13, 40, dtype=torch.bool)}, [(13, 40)]),
    Case("BlockList.from_tensor", {"mask": torch.zeros(40, 13, dtype=torch.bool), "block_size": 8}, [(40, 13)]),
    Case(
        "BlockList.from_csr",
        {"row_offsets": [0, 1, 1, 4], "columns": [2, 0, 1, 3], "num_block_cols": 4, "block_size": 5},
        [(15, 20), (11, 16), (13, 18)],
    ),
    Case(
        "BlockList.from_csr",
        {
            "row_offsets": torch.tensor([0, 2, 3]),
            "columns": torch.tensor([0, 1, 1]),
            "num_block_cols": 2,
            "block_size": (20, 17),
            "seqlen_q": 33,
            "seqlen_k": 30,
        },
        [(33, 30)],
    ),
    Case("BlockList.from_csr", {"row_offsets": [0, 0], "columns": [], "num_block_cols": 1}, [(64, 64), (13, 13)]),
    Case(
        "BlockList.from_csr",
        {
            "row_offsets": [0, 2, 4],
            "columns": [0, 2, 1, 2],
            "num_block_cols": 3,
            "block_size": (6, 40),
            "bitmaps": random_mask(24, 40, 3, seed=5).view(4, 6, 40),
        },
        [(12, 120), (9, 101)],
    ),
]
_TABLES = [
    Case("BigBird", {"block_size": 4, "random_blocks": random_table(4, 4, 2, 4)}, [(13, 13), (16, 16)]),
    Case(
        "BigBird",
        {"block_size": 4, "num_random_blocks": 3, "random_blocks": random_table(1, 14, 3, 16)},
        [(64, 64), (62, 61)],
    ),
    Case(
        "BigBird",
        {
            "block_size": 5,
            "num_window_blocks": 1,
            "num_global_blocks": 0,
            "random_blocks": random_table(2, 8, 1, 4).tolist(),
        },
        [(40, 17), (36, 20)],
        heads=2,
    ),
]
_LAYOUTS = [
    ("DeepSpeedFixed", {}),
    ("DeepSpeedFixed", {"num_local_blocks": 3, "num_different_global_patterns": 3}),
    ("DeepSpeedFixed", {"num_local_blocks": 6, "num_global_blocks": 2, "attention": "unidirectional"}),
    ("DeepSpeedFixed", {"num_local_blocks": 2, "horizontal_global_attention": True}),
    (
        "DeepSpeedFixed",
        {"num_global_blocks": 2, "num_different_global_patterns": 2, "horizontal_global_attention": True},
    ),
    ("DeepSpeedFixed", {"num_different_global_patterns": 4, "attention": "unidirectional"}),
    ("DeepSpeedVariable", {}),
    ("DeepSpeedVariable", {"local_window_blocks": [1, 3, 2], "global_block_indices": [2, 5]}),
    (
        "DeepSpeedVariable",
        {"local_window_blocks": (2, 4), "global_block_indices": (3, 4), "attention": "unidirectional"},
    ),
    (
        "DeepSpeedVariable",
        {
            "local_window_blocks": [2],
            "global_block_indices": [0, 4],
            "global_block_end_indices": [1, 7],
            "horizontal_global_attention": True,
        },
    ),
    (
        "DeepSpeedVariable",
        {"global_block_indices": [1], "global_block_end_indices": [3], "attention": "unidirectional"},
    ),
    ("DeepSpeedVariable", {"local_window_blocks": [100], "global_block_indices": []}),
    (
        "DeepSpeedVariable",
        {"local_window_blocks": [1], "global_block_indices": [4, 0, 4], "attention": "unidirectional"},
    ),
    ("DeepSpeedLongformer", {}),
    ("DeepSpeedLongformer", {"num_sliding_window_blocks": 5, "global_block_indices": [0, 3, 4]}),
    ("DeepSpeedLongformer", {"global_block_indices": [2, 8], "global_block_end_indices": [4, 1000]}),
    ("DeepSpeedLongformer", {"global_block_indices": [7, 1, 2], "global_block_end_indices": [8, 4, 6]}),
    (
        "DeepSpeedLongformer",
        {"num_sliding_window_blocks": 1, "global_block_indices": [7], "attention": "unidirectional"},
    ),
    (
        "DeepSpeedLongformer",
        {"num_sliding_window_blocks": 2, "global_block_indices": [], "attention": "unidirectional"},
    ),
]
_DEEPSPEED = [
    *(Case(name, {"block_size": b, **layout}) for (name, layout), b in zip(_LAYOUTS, cycle([3, 4, 1, 5, 2, 16]))),
    Case("DeepSpeedBigBird", {"block_size": 5, "random_blocks": random_table(4, 8, 1, 4)}, [(40, 17), (36, 20)]),
    Case(
        "DeepSpeedBigBird",
        {
            "block_size": 4,
            "num_random_blocks": 2,
            "num_sliding_window_blocks": 1,
            "num_global_blocks": 2,
            "attention": "unidirectional",
            "random_blocks": random_table(1, 16, 2, 16),
        },
        [(64, 64)],
    ),
]

# Every definition with an outside formula for all its elements.
PREDICATED: list[Case] = [
    *_DIAGONALS,
    *_SPARSE_TRANSFORMERS,
    *_LONGFORMERS,
    *_DOCUMENTS,
    *_LENGTHS,
    *_NEIGHBORHOODS,
    *_BLOCK_LISTS,
    *_TABLES,
    *_DEEPSPEED,
]

BIG_BIRDS: list[dict] = [
    {"block_size": 4},
    {"block_size": 4, "num_random_blocks": 0},
    {"block_size": 8, "num_window_blocks": 1, "num_global_blocks": 0, "num_random_blocks": 1, "seed": 3},
    {"block_size": 3, "num_window_blocks": 5, "num_global_blocks": 2, "num_random_blocks": 2, "seed": 7},
    {"block_size": 1, "num_global_blocks": 0, "num_random_blocks": 2, "seed": 2},
    {"block_size": 64},
]
DEEPSPEED_BIG_BIRDS: list[dict] = [
    {},
    {"block_size": 4, "num_random_blocks": 3, "seed": 5},
    {"block_size": 3, "num_sliding_window_blocks": 1, "num_global_blocks": 0, "num_random_blocks": 2},
    {"block_size": 5, "num_random_blocks": 2, "attention": "unidirectional", "seed": -1},
    {"block_size": 1, "num_sliding_window_blocks": 2, "num_global_blocks": 2, "num_random_blocks": 0},
]
DRAWN = [Case("BigBird", parameters) for parameters in BIG_BIRDS] + [
    Case("DeepSpeedBigBird", parameters) for parameters in DEEPSPEED_BIG_BIRDS
]
ALL = [*PREDICATED, *DRAWN]


def name_of(case: Case) -> str:
    def short(value) -> str:
        text = f"{tuple(value.shape)}" if isinstance(value, Tensor) else str(value)
        return text if len(text) <= 24 else f"{text[:10]}..{text[-10:]}"

    return f"{case.name}({', '.join(f'{key}={short(value)}' for key, value in case.parameters.items())})"


def build(case: Case) -> masks.Mask:
    return reduce(getattr, case.name.split("."), masks)(**case.parameters)


def attended(case: Case, where: Where) -> Tensor:
    """By the predicate alone, for cases of PREDICATED."""
    return mask_predicates.dense(mask_predicates.PREDICATES[case.name], where, **case.parameters)


def places(case: Case, shape: tuple[int, int]) -> list[Where]:
    """The first and the last head and sample of a call."""
    return [Where(*shape), Where(*shape, batch=case.batch - 1, head=case.heads - 1)]


def materialized(mask: masks.Mask | None, batch: int, heads: int, seqlens: tuple[int, int]) -> Tensor:
    """Dense mask of a call, bool (batch, heads, seqlen_q, seqlen_k); no mask attends everything."""
    shape = (batch, heads, *seqlens)
    if mask is None:
        return torch.ones(shape, dtype=torch.bool)
    attended = torch.empty(shape, dtype=torch.bool)
    for b, h in product(range(batch), range(heads)):
        attended[b, h] = mask.materialize(*seqlens, batch=b, head=h)
    return attended
