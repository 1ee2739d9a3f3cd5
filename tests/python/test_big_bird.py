"""Big Bird: global and window blocks by formula, random blocks by the properties that define them."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import mask_predicates
from ck_fmha import masks
from mask_predicates import Where


def blocks(nq: int, nk: int, head: int = 0, *, block_size: int, **parameters) -> Tensor:
    """Which blocks are attended; every block is attended whole."""
    b, mask = block_size, masks.BigBird(block_size=block_size, **parameters)
    elements = mask.materialize(nq * b, nk * b, head=head).view(nq, b, nk, b)
    attended = elements.any(3).any(1)
    assert torch.equal(attended, elements.all(3).all(1)), "a block is attended in part"
    return attended


def random_blocks(nq: int, nk: int, head: int = 0, **parameters) -> Tensor:
    """The random part on its own: no global blocks, and the one-block window taken off again."""
    plain = {"num_window_blocks": 1, "num_global_blocks": 0}
    drawn = blocks(nq, nk, head, block_size=2, **plain, **parameters)
    return drawn & ~torch.eye(nq, nk, dtype=torch.bool)


SHAPES = [(0, 0), (0, 9), (9, 0), (1, 1), (40, 40), (41, 39), (7, 90), (90, 7), (64, 130), (33, 32)]


@pytest.mark.parametrize("block_size", [1, 4, 7, 64])
@pytest.mark.parametrize("num_window_blocks, num_global_blocks", [(1, 0), (3, 1), (5, 2), (1, 3), (3, 0), (9, 100)])
def test_global_and_window_blocks_are_exact(block_size, num_window_blocks, num_global_blocks):
    parameters = {
        "block_size": block_size,
        "num_window_blocks": num_window_blocks,
        "num_global_blocks": num_global_blocks,
    }
    for shape in SHAPES:
        fixed = mask_predicates.dense(mask_predicates.big_bird_without_random, Where(*shape), **parameters)
        assert torch.equal(masks.BigBird(**parameters, num_random_blocks=0).materialize(*shape), fixed), shape
        with_random = masks.BigBird(**parameters, num_random_blocks=2).materialize(*shape, head=1)
        assert (with_random >= fixed).all(), shape


@given(
    nq=st.integers(0, 40),
    nk=st.integers(0, 40),
    r=st.integers(0, 4),
    seed=st.integers(0, 2**31 - 1),
    head=st.integers(0, 9),
)
def test_each_row_and_each_column_draws_at_most_r(nq, nk, r, seed, head):
    drawn = random_blocks(nq, nk, head, num_random_blocks=r, seed=seed)
    assert (drawn.sum(0) <= r).all() and (drawn.sum(1) <= r).all()


@pytest.mark.parametrize("r", [1, 2, 3, 5])
def test_the_draws_are_permutations(r):
    """Every row and column is drawn r times; a draw on the diagonal or on another draw is not seen."""
    n = 96
    for seed in range(4):
        drawn = random_blocks(n, n, num_random_blocks=r, seed=seed)
        # About r + r (r - 1) / 2 of the n r draws coincide with the diagonal or with each other.
        assert n * r - 5 * (r + r * (r - 1) / 2) - 10 <= int(drawn.sum()) <= n * r
        assert drawn.any(0).float().mean() > 0.85 and drawn.any(1).float().mean() > 0.85


def test_a_single_permutation_meets_every_column_once():
    """With r = 1, a row shows no draw only if it drew its own diagonal block, and so does the column."""
    for n in (1, 2, 3, 8, 31, 64, 100):
        for seed in range(5):
            drawn = random_blocks(n, n, num_random_blocks=1, seed=seed)
            assert torch.equal(drawn.any(0), drawn.any(1))
            assert drawn.sum() == drawn.any(0).sum()


def test_small_counts_draw_more_than_shifts():
    """Of the six permutations of n = 3, three are shifts."""
    patterns = {
        tuple(random_blocks(3, 3, head, num_random_blocks=1, seed=seed).flatten().tolist())
        for seed in range(40)
        for head in range(4)
    }
    assert len(patterns) >= 4


def test_columns_are_met_evenly_over_seeds():
    """Row 5 of 16 meets each other block about as often: expected 32 of 512, standard deviation 5.5."""
    counts = sum(random_blocks(16, 16, num_random_blocks=1, seed=seed)[5].long() for seed in range(512))
    others = torch.cat([counts[:5], counts[6:]])
    assert others.min() >= 10 and others.max() <= 58


@pytest.mark.parametrize("r", [1, 3])
@pytest.mark.parametrize("nq, nk", [(20, 50), (50, 20), (1, 30), (30, 1), (49, 50)])
def test_unequal_block_counts_cut_the_larger_permutation(nq, nk, r):
    """The larger count is permuted and what falls outside is dropped."""
    n = max(nq, nk)
    square = random_blocks(n, n, 2, num_random_blocks=r, seed=5)
    assert torch.equal(random_blocks(nq, nk, 2, num_random_blocks=r, seed=5), square[:nq, :nk])


def test_random_blocks_differ_by_head_and_seed_and_stay_on_repeat():
    mask = masks.BigBird(block_size=2, num_global_blocks=0, num_random_blocks=2, seed=1)
    heads = [mask.materialize(120, 120, head=head) for head in range(12)]
    seeds = [
        masks.BigBird(block_size=2, num_global_blocks=0, num_random_blocks=2, seed=seed).materialize(120, 120)
        for seed in range(2, 14)
    ]
    patterns = {tuple(x.flatten().tolist()) for x in heads + seeds}
    assert len(patterns) == len(heads) + len(seeds)

    again = masks.BigBird(block_size=2, num_global_blocks=0, num_random_blocks=2, seed=1)
    for head, before in enumerate(heads):
        assert torch.equal(again.materialize(120, 120, head=head), before)
        assert torch.equal(again.materialize(120, 120, head=head, batch=5), before)


def test_more_random_blocks_extend_the_draw():
    """Permutation t is keyed by (seed, head, t) alone, so asking for another one keeps those before."""
    draws = [random_blocks(60, 60, num_random_blocks=r, seed=9) for r in range(5)]
    for fewer, more in itertools.pairwise(draws):
        assert (more >= fewer).all() and more.sum() > fewer.sum()


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_ragged_last_blocks_keep_whole_block_semantics(seed):
    mask = masks.BigBird(block_size=8, num_random_blocks=2, seed=seed)
    whole = mask.materialize(80, 96)
    assert torch.equal(mask.materialize(73, 89), whole[:73, :89])
