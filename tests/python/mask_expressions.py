"""Masks together with what they attend by the predicates, combined by the same operators."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

import deepspeed_layouts
import mask_predicates
from ck_fmha import masks
from mask_cases import Case, attended, build
from mask_predicates import Where


@dataclass(frozen=True)
class Expression:
    """A mask, what it attends, and which tile facts must be exact.

    Tile facts of combinations need only be sound, yet some stay exact: "live" through a union, "not full"
    through an intersection, and a complement exchanges the two.
    """

    mask: masks.Mask
    attended: Callable[[Where], Tensor]
    live_exact: bool = True
    full_exact: bool = True

    def __or__(self, other: "Expression") -> "Expression":
        def either(where):
            return self.attended(where) | other.attended(where)

        return Expression(self.mask | other.mask, either, self.live_exact and other.live_exact, False)

    def __and__(self, other: "Expression") -> "Expression":
        def both(where):
            return self.attended(where) & other.attended(where)

        return Expression(self.mask & other.mask, both, False, self.full_exact and other.full_exact)

    def __invert__(self) -> "Expression":
        return Expression(~self.mask, lambda where: ~self.attended(where), self.full_exact, self.live_exact)

    @property
    def T(self) -> "Expression":
        def transposed(where):
            return mask_predicates.transposed(self.attended, where)

        return Expression(self.mask.T, transposed, self.live_exact, self.full_exact)

    def shift(self, dq: int, dk: int) -> "Expression":
        def shifted(where):
            return mask_predicates.shifted(self.attended, dq, dk, where)

        return Expression(self.mask.shift(dq, dk), shifted, self.live_exact, self.full_exact)


def chosen(choose: Callable, parts: list[Expression], number: Callable[[Where], int]) -> Expression:
    return Expression(
        choose([part.mask for part in parts]),
        lambda where: parts[number(where)].attended(where),
        all(part.live_exact for part in parts),
        all(part.full_exact for part in parts),
    )


def per_head(parts: list[Expression]) -> Expression:
    return chosen(masks.per_head, parts, lambda where: where.head)


def per_sample(parts: list[Expression]) -> Expression:
    return chosen(masks.per_sample, parts, lambda where: where.batch)


def leaf(case: Case) -> Expression:
    return Expression(build(case), lambda where: attended(case, where))


def big_bird(**parameters) -> Expression:
    """Its random part has no outside formula: here it speaks for itself, and test_big_bird.py checks it."""
    mask = masks.BigBird(**parameters)
    return Expression(
        mask, lambda where: mask.materialize(where.seqlen_q, where.seqlen_k, batch=where.batch, head=where.head)
    )


def deepspeed_big_bird(*, block_size: int = 16, num_random_blocks: int = 1, seed: int = 0, **parameters) -> Expression:
    """The layout of DeepSpeed with the random blocks that our Big Bird draws."""
    plain = {"num_window_blocks": 1, "num_global_blocks": 0}
    ours = big_bird(block_size=block_size, num_random_blocks=num_random_blocks, seed=seed, **plain)

    def layout(where):
        # Our blocks that a window of one block leaves: the drawn ones, and the diagonal, which is attended anyway.
        drawn = ours.attended(where)[::block_size, ::block_size]
        blocks = deepspeed_layouts.big_bird(*drawn.shape, drawn, **parameters)
        elements = blocks.repeat_interleave(block_size, 0).repeat_interleave(block_size, 1)
        return elements[: where.seqlen_q, : where.seqlen_k]

    mask = masks.DeepSpeedBigBird(block_size=block_size, num_random_blocks=num_random_blocks, seed=seed, **parameters)
    return Expression(mask, layout)


def expression_of(case: Case) -> Expression:
    """Any case of ALL."""
    if "BigBird" in case.name and "random_blocks" not in case.parameters:
        return {"BigBird": big_bird, "DeepSpeedBigBird": deepspeed_big_bird}[case.name](**case.parameters)
    return leaf(case)
