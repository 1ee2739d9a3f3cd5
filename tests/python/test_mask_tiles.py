"""Elements against the definitions, and every tile fact against a count of elements."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ck_fmha import masks
from mask_cases import BIG_BIRDS, PREDICATED, SHAPES, TILES, attended, build, expressions, name_of
from mask_predicates import tile_status

EMPTY, EDGE, FULL = 0, 1, 2
ALL = [*PREDICATED, *(("BigBird", parameters) for parameters in BIG_BIRDS)]


def assert_counts_match_status(mask: masks.Mask, shape, tile, head: int = 0) -> None:
    status = mask.tile_status(*shape, tile, head=head)
    counts = mask.num_tiles(*shape, tile, head=head)
    assert status.dtype == torch.int8 and status.device.type == "cpu"
    assert status.shape == (-(-shape[0] // tile[0]), -(-shape[1] // tile[1]))
    assert counts == (
        status.numel(),
        int((status != EMPTY).sum()),
        int((status == FULL).sum()),
        int((status == EDGE).sum()),
    )


@pytest.mark.parametrize("case", PREDICATED, ids=name_of)
def test_elements_follow_the_definition(case):
    mask = build(case)
    for shape in SHAPES:
        expected = attended(case, *shape)
        assert torch.equal(mask.materialize(*shape), expected), shape
        # No definition here depends on the head or the sample.
        assert torch.equal(mask.materialize(*shape, batch=2, head=3), expected), shape
        share = float(expected.double().mean()) if expected.numel() else 0.0
        assert mask.density(*shape) == pytest.approx(share, abs=1e-12), shape


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_tile_facts_of_definitions_are_exact(case):
    mask = build(case)
    for shape in SHAPES:
        for head in (0, 3) if case[0] == "BigBird" else (0,):
            elements = mask.materialize(*shape, head=head)
            for tile in TILES:
                found = mask.tile_status(*shape, tile, head=head)
                assert torch.equal(found, tile_status(elements, tile)), (shape, tile, head)
                assert_counts_match_status(mask, shape, tile, head)


@given(
    expression=expressions(),
    shape=st.tuples(st.integers(0, 70), st.integers(0, 70)),
    tile=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    head=st.integers(0, 3),
)
def test_tile_facts_of_expressions_are_sound(expression, shape, tile, head):
    assert_sound(expression, shape, tile, head)


@pytest.mark.slow
@given(
    expression=expressions(depth=5),
    shape=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    tile=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    head=st.integers(0, 12),
)
def test_tile_facts_of_deep_expressions_are_sound(expression, shape, tile, head):
    assert_sound(expression, shape, tile, head)


def assert_sound(expression, shape, tile, head) -> None:
    """A tile may be visited or checked for nothing, but never skipped or taken for full wrongly."""
    mask = expression.mask
    elements = expression.attended(*shape, head)
    assert torch.equal(mask.materialize(*shape, head=head), elements)
    share = float(elements.double().mean()) if elements.numel() else 0.0
    assert mask.density(*shape, head=head) == pytest.approx(share, abs=1e-12)

    found, exact = mask.tile_status(*shape, tile, head=head), tile_status(elements, tile)
    assert ((found == EMPTY) <= (exact == EMPTY)).all(), "a tile with attended elements is skipped"
    assert ((found == FULL) <= (exact == FULL)).all(), "a tile with masked elements counts as full"
    if expression.live_exact:
        assert torch.equal(found == EMPTY, exact == EMPTY)
    if expression.full_exact:
        assert torch.equal(found == FULL, exact == FULL)
    assert_counts_match_status(mask, shape, tile, head)


def test_expressions_still_skip_most_tiles():
    """Sound is not enough: an expression whose every tile counted as an edge tile would be sound too."""
    mask = masks.BigBird(block_size=8, num_random_blocks=1) & masks.Causal()
    elements = mask.materialize(512, 512)
    exact = tile_status(elements, (16, 16))
    counts = mask.num_tiles(512, 512, (16, 16))
    assert counts.live <= 1.2 * int((exact != EMPTY).sum())
    assert counts.full >= 0.8 * int((exact == FULL).sum())
    assert counts.live < counts.total / 2


@pytest.mark.parametrize("seqlen", [64, 100, 1000, 100_000])
def test_counts_of_long_sequences_in_numbers(seqlen):
    n, inside = -(-seqlen // 64), 64 - 1
    counts = masks.Causal().num_tiles(seqlen, seqlen)
    assert counts == (n * n, n * (n + 1) // 2, n * (n - 1) // 2, n)
    assert (counts.total, counts.live, counts.full, counts.edge) == tuple(counts)
    assert masks.Full().num_tiles(seqlen, seqlen) == (n * n, n * n, n * n, 0)
    assert (~masks.Full()).num_tiles(seqlen, seqlen) == (n * n, 0, 0, 0)
    band = masks.Window(inside, inside).num_tiles(seqlen, seqlen)
    # 63 to both sides reach into the neighbour tiles only and never fill one of those.
    assert band == (n * n, 3 * n - 2, band.full, 3 * n - 2 - band.full)
    assert band.full == n  # |i - j| <= 63 covers the diagonal tiles whole


def test_default_tile_is_64_by_64():
    mask = masks.Longformer(32, global_tokens=3)
    assert mask.num_tiles(300, 200) == mask.num_tiles(300, 200, (64, 64))
    assert torch.equal(mask.tile_status(300, 200), mask.tile_status(300, 200, tile=(64, 64)))


def test_no_elements_no_tiles():
    for shape in [(0, 0), (0, 70), (70, 0)]:
        for mask in (
            masks.Full(),
            masks.Causal("bottom-right"),
            masks.BigBird() | masks.Window(1, 1),
            ~masks.Causal(),
        ):
            assert mask.num_tiles(*shape) == (0, 0, 0, 0)
            assert mask.tile_status(*shape).shape == (-(-shape[0] // 64), -(-shape[1] // 64))
            assert mask.materialize(*shape).shape == shape


def test_elements_are_the_tiles_of_size_one():
    for case in ALL:
        mask = build(case)
        elements = mask.materialize(30, 41, head=1)
        assert torch.equal(mask.tile_status(30, 41, (1, 1), head=1), 2 * elements.to(torch.int8))
        assert mask.num_tiles(30, 41, (1, 1), head=1).live == int(elements.sum())
