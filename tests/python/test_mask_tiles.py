"""Elements against the definitions, and every tile fact against a count of elements."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ck_fmha import masks
from mask_cases import ALL, TILES, build, name_of, places
from mask_expressions import expression_of
from mask_predicates import Where, tile_status
from random_masks import expressions, wheres

EMPTY, EDGE, FULL = 0, 1, 2


def assert_counts_match_status(mask: masks.Mask, where: Where, tile) -> None:
    shape, place = where[:2], {"batch": where.batch, "head": where.head}
    status = mask.tile_status(*shape, tile, **place)
    counts = mask.num_tiles(*shape, tile, **place)
    assert status.dtype == torch.int8 and status.device.type == "cpu"
    assert status.shape == (-(-shape[0] // tile[0]), -(-shape[1] // tile[1]))
    assert counts == (
        status.numel(),
        int((status != EMPTY).sum()),
        int((status == FULL).sum()),
        int((status == EDGE).sum()),
    )


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_elements_follow_the_definition(case):
    expression = expression_of(case)
    mask = expression.mask
    for shape in case.shapes:
        for where in places(case, shape):
            place = {"batch": where.batch, "head": where.head}
            expected = expression.attended(where)
            assert torch.equal(mask.materialize(*shape, **place), expected), where
            share = float(expected.double().mean()) if expected.numel() else 0.0
            assert mask.density(*shape, **place) == pytest.approx(share, abs=1e-12), where


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_tile_facts_of_definitions_are_exact(case):
    mask = build(case)
    for shape in case.shapes:
        for where in dict.fromkeys(places(case, shape)):
            place = {"batch": where.batch, "head": where.head}
            elements = mask.materialize(*shape, **place)
            for tile in TILES:
                found = mask.tile_status(*shape, tile, **place)
                assert torch.equal(found, tile_status(elements, tile)), (where, tile)
                assert_counts_match_status(mask, where, tile)


@settings(max_examples=300)
@given(data=st.data(), where=wheres(), tile=st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_tile_facts_of_expressions_are_sound(data, where, tile):
    assert_sound(data.draw(expressions(where[:2])), where, tile)


@pytest.mark.slow
@given(data=st.data(), where=wheres(longest=300, heads=12), tile=st.tuples(st.integers(1, 130), st.integers(1, 130)))
def test_tile_facts_of_deep_expressions_are_sound(data, where, tile):
    assert_sound(data.draw(expressions(where[:2], heads=12, depth=6)), where, tile)


def assert_sound(expression, where, tile) -> None:
    """A tile may be visited or checked for nothing, but never skipped or taken for full wrongly."""
    mask, shape, place = expression.mask, where[:2], {"batch": where.batch, "head": where.head}
    elements = expression.attended(where)
    assert torch.equal(mask.materialize(*shape, **place), elements)
    share = float(elements.double().mean()) if elements.numel() else 0.0
    assert mask.density(*shape, **place) == pytest.approx(share, abs=1e-12)

    found, exact = mask.tile_status(*shape, tile, **place), tile_status(elements, tile)
    assert ((found == EMPTY) <= (exact == EMPTY)).all(), "a tile with attended elements is skipped"
    assert ((found == FULL) <= (exact == FULL)).all(), "a tile with masked elements counts as full"
    if expression.live_exact:
        assert torch.equal(found == EMPTY, exact == EMPTY)
    if expression.full_exact:
        assert torch.equal(found == FULL, exact == FULL)
    assert_counts_match_status(mask, where, tile)


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
        mask, shape = build(case), case.shapes[-1]
        elements = mask.materialize(*shape, head=1)
        assert torch.equal(mask.tile_status(*shape, (1, 1), head=1), 2 * elements.to(torch.int8))
        assert mask.num_tiles(*shape, (1, 1), head=1).live == int(elements.sum())
