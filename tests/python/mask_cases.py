"""The masks that the tests go through, with their predicates, and random expressions over them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

import mask_predicates
from ck_fmha import masks

PREDICATED: list[tuple[str, dict]] = [
    ("Full", {}),
    ("Causal", {}),
    ("Causal", {"alignment": "bottom-right"}),
    ("Window", {"left": 0, "right": 0}),
    ("Window", {"left": 17, "right": 5}),
    ("Window", {"left": -1, "right": 3}),
    ("Window", {"left": 4, "right": -1}),
    ("Window", {"left": -1, "right": -1}),
    ("Window", {"left": 5, "right": 0, "alignment": "bottom-right"}),
    ("Window", {"left": 3, "right": 9, "alignment": "bottom-right"}),
    ("Window", {"left": 6, "right": 0, "num_sinks": 4}),
    ("Window", {"left": 11, "right": 2, "alignment": "bottom-right", "num_sinks": 3}),
    ("Window", {"left": 2, "right": -1, "num_sinks": 1}),
    ("Window", {"left": -1, "right": 0, "num_sinks": 5}),
    ("Window", {"left": 2**31 - 1, "right": 2**31 - 1}),
    ("Window", {"left": 2**31 - 1, "right": 1, "alignment": "bottom-right", "num_sinks": 2**31 - 1}),
    ("PrefixLM", {"prefix": 0}),
    ("PrefixLM", {"prefix": 9}),
    ("PrefixLM", {"prefix": 5, "alignment": "bottom-right"}),
    ("PrefixLM", {"prefix": 2**31 - 1}),
    ("Longformer", {"window": 8}),
    ("Longformer", {"window": 0}),
    ("Longformer", {"window": 16, "global_tokens": 5}),
    ("Longformer", {"window": 4, "dilation": 3}),
    ("Longformer", {"window": 6, "global_tokens": 3, "dilation": 2, "causal": True}),
    ("Longformer", {"window": 2, "global_tokens": 1000}),
    ("Longformer", {"window": 2, "global_tokens": 1000, "causal": True}),
    ("Longformer", {"window": 2**31 - 2, "dilation": 7}),
    ("Longformer", {"window": 2, "dilation": 2**31 - 1}),
]

BIG_BIRDS: list[dict] = [
    {"block_size": 4},
    {"block_size": 4, "num_random_blocks": 0},
    {"block_size": 8, "num_window_blocks": 1, "num_global_blocks": 0, "num_random_blocks": 1, "seed": 3},
    {"block_size": 3, "num_window_blocks": 5, "num_global_blocks": 2, "num_random_blocks": 2, "seed": 7},
    {"block_size": 1, "num_global_blocks": 0, "num_random_blocks": 2, "seed": 2},
    {"block_size": 64},
]

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


def name_of(case: tuple[str, dict]) -> str:
    name, parameters = case
    return f"{name}({', '.join(f'{key}={value}' for key, value in parameters.items())})"


def build(case: tuple[str, dict]) -> masks.Mask:
    name, parameters = case
    return getattr(masks, name)(**parameters)


def attended(case: tuple[str, dict], seqlen_q: int, seqlen_k: int) -> Tensor:
    name, parameters = case
    return mask_predicates.dense(mask_predicates.PREDICATES[name], seqlen_q, seqlen_k, **parameters)


def per_head(mask: masks.Mask | None, num_heads: int, seqlen_q: int, seqlen_k: int) -> Tensor:
    """Dense mask of every head, bool (num_heads, seqlen_q, seqlen_k); no mask attends everything."""
    if mask is None:
        return torch.ones(num_heads, seqlen_q, seqlen_k, dtype=torch.bool)
    return torch.stack([mask.materialize(seqlen_q, seqlen_k, head=head) for head in range(num_heads)])


@dataclass(frozen=True)
class Expression:
    """A mask, what it attends: (seqlen_q, seqlen_k, head) -> bool tensor, and which tile facts must be exact.

    Tile facts of combinations need only be sound, yet some stay exact: "live" through a union, "not full"
    through an intersection, and a complement exchanges the two.
    """

    mask: masks.Mask
    attended: Callable[[int, int, int], Tensor]
    live_exact: bool = True
    full_exact: bool = True

    def __or__(self, other: "Expression") -> "Expression":
        def either(seqlen_q, seqlen_k, head):
            return self.attended(seqlen_q, seqlen_k, head) | other.attended(seqlen_q, seqlen_k, head)

        return Expression(self.mask | other.mask, either, self.live_exact and other.live_exact, False)

    def __and__(self, other: "Expression") -> "Expression":
        def both(seqlen_q, seqlen_k, head):
            return self.attended(seqlen_q, seqlen_k, head) & other.attended(seqlen_q, seqlen_k, head)

        return Expression(self.mask & other.mask, both, False, self.full_exact and other.full_exact)

    def __invert__(self) -> "Expression":
        def inverse(seqlen_q, seqlen_k, head):
            return ~self.attended(seqlen_q, seqlen_k, head)

        return Expression(~self.mask, inverse, self.full_exact, self.live_exact)


def leaf(case: tuple[str, dict]) -> Expression:
    return Expression(build(case), lambda seqlen_q, seqlen_k, head: attended(case, seqlen_q, seqlen_k))


def big_bird(**parameters) -> Expression:
    """Its random part has no outside formula: here it speaks for itself, and test_big_bird.py checks it."""
    mask = masks.BigBird(**parameters)
    return Expression(mask, lambda seqlen_q, seqlen_k, head: mask.materialize(seqlen_q, seqlen_k, head=head))


_bound = st.integers(-1, 40)
_alignment = st.sampled_from(["top-left", "bottom-right"])
_leaves = st.one_of(
    st.just(("Full", {})),
    st.builds(lambda a: ("Causal", {"alignment": a}), _alignment),
    st.builds(
        lambda left, right, a, s: ("Window", {"left": left, "right": right, "alignment": a, "num_sinks": s}),
        _bound,
        _bound,
        _alignment,
        st.integers(0, 9),
    ),
    st.builds(lambda p, a: ("PrefixLM", {"prefix": p, "alignment": a}), st.integers(0, 40), _alignment),
    st.builds(
        lambda half, g, m, c: (
            "Longformer",
            {"window": 2 * half, "global_tokens": g, "dilation": m, "causal": c},
        ),
        st.integers(0, 12),
        st.integers(0, 6),
        st.integers(1, 5),
        st.booleans(),
    ),
).map(leaf)
_big_birds = st.builds(
    big_bird,
    block_size=st.integers(1, 20),
    num_window_blocks=st.sampled_from([1, 3, 5]),
    num_global_blocks=st.integers(0, 2),
    num_random_blocks=st.integers(0, 3),
    seed=st.integers(0, 2**31 - 1),
)
primitives = st.one_of(_leaves, _leaves, _big_birds)


def expressions(depth: int = 3) -> st.SearchStrategy[Expression]:
    """Mask expressions with operators nested up to ``depth`` deep."""
    if depth == 0:
        return primitives
    inner = expressions(depth - 1)
    return st.one_of(
        primitives,
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a: ~a, inner),
    )
