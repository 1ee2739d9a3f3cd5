"""Masks as Python values: equality, hash, pickle, repr, operators, pictures."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mask_predicates
from ck_fmha import masks
from mask_cases import ALL, SHAPES, build, materialized, name_of
from mask_predicates import Where
from random_masks import expressions, wheres

COMPOSED = [
    lambda: masks.BigBird() & masks.Causal(),
    lambda: masks.Window(3, 0) | masks.Longformer(4, global_tokens=2) & ~masks.Causal(),
    lambda: (masks.Window(3, 0) | masks.Longformer(4)) & ~masks.Causal("bottom-right"),
    lambda: ~(masks.Full() | ~masks.Window(1, 1)),
    lambda: ~~masks.Causal(),
    lambda: (masks.Window(1, 1) & masks.Window(2, 0)) & masks.Full(),
    lambda: masks.Window(1, 1) & (masks.Window(2, 0) & masks.Full()),
    lambda: masks.Causal().T,
    lambda: masks.Causal().T.T,
    lambda: (~masks.Causal()).T | ~masks.Strided(3, 5).T,
    lambda: masks.Fixed(7).shift(3, -2),
    lambda: (masks.Causal() & masks.Strided(2, 4)).T.shift(-1, 0).shift(0, 5),
    lambda: ~masks.Longformer(4, [1, 8]).shift(2, 2),
    lambda: masks.per_head([masks.Causal(), masks.Window(2, 2), masks.Full()]),
    lambda: masks.per_sample([masks.Documents([0, 9, 30]), masks.Causal() | masks.Full()]),
    lambda: masks.per_head([masks.per_sample([masks.Causal()] * 2).T] * 2) & masks.Lengths([3, 30]),
    lambda: ~masks.per_sample([~masks.Causal(), masks.per_head([masks.Fixed(4), masks.Strided(2, 3)])]),
]


def same_meaning(a: masks.Mask, b: masks.Mask, shapes=((37, 50), (50, 37)), heads=2, batch=2) -> bool:
    return all(
        torch.equal(materialized(a, batch, heads, shape), materialized(b, batch, heads, shape)) for shape in shapes
    )


def is_short(mask: masks.Mask) -> bool:
    """Up to 16 numbers are always written out in the repr; where many are left out, it says so."""
    short = "digest" not in repr(mask)
    assert short or max(t.numel() for t in mask.data) > 16
    return short


def assert_is_a_value(make, **calls) -> None:
    mask = make()
    assert isinstance(mask, masks.Mask)
    assert mask == make() and hash(mask) == hash(make()) and not mask != make()
    assert {mask: 1}[make()] == 1
    for other in (pickle.loads(pickle.dumps(mask)), copy.copy(mask), copy.deepcopy(mask)):
        assert other == mask and hash(other) == hash(mask) and same_meaning(other, mask, **calls)
        assert type(other) is type(mask) and repr(other) == repr(mask)
    if is_short(mask):
        evaluated = eval(repr(mask), dict(vars(masks)))
        assert evaluated == mask and type(evaluated) is type(mask) and same_meaning(evaluated, mask, **calls)


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_definitions_are_values(case):
    assert_is_a_value(lambda: build(case), shapes=case.shapes[-1:], heads=case.heads, batch=case.batch)


@pytest.mark.parametrize("make", COMPOSED)
def test_compositions_are_values(make):
    assert_is_a_value(make)


@given(data=st.data(), where=wheres())
def test_any_expression_is_a_value(data, where):
    mask = data.draw(expressions(where[:2])).mask
    assert pickle.loads(pickle.dumps(mask)) == mask
    if is_short(mask):
        evaluated = eval(repr(mask), dict(vars(masks)))
        assert evaluated == mask and hash(evaluated) == hash(mask)
        place = {"batch": where.batch, "head": where.head}
        assert torch.equal(evaluated.materialize(*where[:2], **place), mask.materialize(*where[:2], **place))


def test_definitions_differ_from_each_other():
    different = [build(case) for case in ALL if len(case.shapes) == len(SHAPES) and case.heads == 4]
    different += [make() for make in COMPOSED[:4]]
    different += [masks.BigBird(block_size=4, seed=1), masks.Window(17, 6), masks.Window(16, 5)]
    for position, mask in enumerate(different):
        for other in different[:position]:
            # Two definitions that say the same in two ways (Causal, Window(-1, 0)) may be equal or not.
            assert mask != other or same_meaning(mask, other)
    for one, two in [
        (masks.Window(1, 2), masks.Window(2, 1)),
        (masks.Causal(), masks.Causal("bottom-right")),
        (masks.BigBird(seed=0), masks.BigBird(seed=1)),
        (masks.Longformer(4), masks.Longformer(4, causal=True)),
        (masks.Causal(), ~masks.Causal()),
        (masks.Causal() & masks.Window(1, 1), masks.Causal() | masks.Window(1, 1)),
        (masks.Causal(), masks.Causal().T),
        (masks.Causal(), masks.Causal().shift(1, 0)),
        (masks.Causal().shift(0, 1), masks.Causal().shift(1, 0)),
        (masks.per_head([masks.Causal(), masks.Full()]), masks.per_head([masks.Full(), masks.Causal()])),
        (masks.per_head([masks.Causal(), masks.Full()]), masks.per_sample([masks.Causal(), masks.Full()])),
        (masks.Strided(3, 5), masks.Strided(5, 3)),
        (masks.Fixed(4), masks.Fixed(4, 2)),
        (masks.Documents([0, 5]), masks.Documents([0, 5], causal="top-left")),
        (masks.Lengths([3, 5]), masks.Lengths(lengths_k=[3, 5])),
        (masks.Lengths([3, 5]), masks.Lengths([3, 5], padding="left")),
        (masks.Neighborhood((4, 6), 3), masks.Neighborhood((6, 4), 3)),
        (masks.Neighborhood(24, 3), masks.Neighborhood(24, 3, border="clip")),
        (masks.DeepSpeedFixed(), masks.DeepSpeedFixed(attention="unidirectional")),
        (masks.DeepSpeedVariable(), masks.DeepSpeedVariable(local_window_blocks=(4, 5))),
        (masks.DeepSpeedBigBird(), masks.DeepSpeedBigBird(seed=1)),
    ]:
        assert one != two
        assert len({one, two}) == 2
    assert masks.Causal() != "Causal()" and masks.Full() != None  # noqa: E711


def test_defaults_and_keywords_make_equal_masks():
    assert masks.Fixed(4) == masks.Fixed(local=4, summary=1)
    assert masks.Strided(4, 9) == masks.Strided(local=4, stride=9)
    assert masks.Documents([0, 3]) == masks.Documents(cu_seqlens_q=(0, 3), cu_seqlens_k=None, causal=None)
    assert masks.Lengths([4]) == masks.Lengths(lengths_q=(4,), lengths_k=None, padding="right")
    assert masks.Neighborhood((4, 6), 3) == masks.Neighborhood([4, 6], (3, 3), (1, 1), (False, False), "shift")
    assert masks.Neighborhood(9, 3) == masks.Neighborhood((9,), (3,), dilation=1, causal=False, border="shift")
    assert masks.Longformer(4, [7, 2, 7]) == masks.Longformer(4, {2, 7}) == masks.Longformer(4, range(2, 8, 5))
    assert masks.DeepSpeedFixed() == masks.DeepSpeedFixed(16, 4, 1, 1, "bidirectional", False)
    assert masks.DeepSpeedVariable() == masks.DeepSpeedVariable(16, [4], [0], None, "bidirectional", False)
    assert masks.DeepSpeedLongformer() == masks.DeepSpeedLongformer(16, 3, [0], None, "bidirectional")
    assert masks.DeepSpeedBigBird() == masks.DeepSpeedBigBird(16, 1, 3, 1, "bidirectional", 0, None)
    assert masks.Causal() == masks.Causal(alignment="top-left")
    assert masks.Window(3, 0) == masks.Window(left=3, right=0, alignment="top-left", num_sinks=0)
    assert masks.Longformer(8) == masks.Longformer(window=8, global_tokens=0, dilation=1, causal=False)
    assert masks.BigBird() == masks.BigBird(64, 3, 1, 3, 0, None)
    assert masks.BigBird() == masks.BigBird(
        block_size=64,
        num_window_blocks=3,
        num_global_blocks=1,
        num_random_blocks=3,
        seed=0,
        random_blocks=None,
    )


@pytest.mark.parametrize("make", [*COMPOSED, masks.Full, masks.Causal, lambda: masks.Window(1, 2), masks.BigBird])
def test_masks_are_frozen(make):
    mask = make()
    before = repr(mask)
    for name in ("left", "block_size", "alignment", "anything"):
        with pytest.raises((AttributeError, TypeError, dataclasses.FrozenInstanceError)):
            setattr(mask, name, 3)
    assert repr(mask) == before and mask == make()


@pytest.mark.parametrize("other", [None, True, 1, "Causal()", torch.ones(2, 2, dtype=torch.bool), masks.Causal])
def test_operators_take_masks_only(other):
    for operate in (
        lambda: masks.Causal() & other,
        lambda: masks.Causal() | other,
        lambda: other & masks.Causal(),
        lambda: other | masks.Causal(),
    ):
        with pytest.raises(TypeError):
            operate()


@pytest.mark.parametrize("seqlen_q, seqlen_k", [(20, 30), (30, 20)])
def test_materialize_gives_a_fresh_bool_tensor(seqlen_q, seqlen_k):
    mask = masks.Causal("bottom-right")
    first = mask.materialize(seqlen_q, seqlen_k)
    assert first.dtype == torch.bool and first.shape == (seqlen_q, seqlen_k) and first.device.type == "cpu"
    first.fill_(False)
    expected = mask_predicates.dense(mask_predicates.causal, Where(seqlen_q, seqlen_k), alignment="bottom-right")
    assert torch.equal(mask.materialize(seqlen_q, seqlen_k), expected)


def test_density_is_the_attended_share():
    assert masks.Full().density(7, 9) == 1.0
    assert (~masks.Full()).density(7, 9) == 0.0
    assert masks.Causal().density(4, 4) == pytest.approx(10 / 16)
    for shape in [(0, 0), (0, 7), (7, 0)]:
        assert masks.Causal().density(*shape) == 0.0
    density = masks.Causal().density(5, 6)
    assert isinstance(density, float) and math.isfinite(density)


def test_the_base_class_is_not_a_mask():
    with pytest.raises(TypeError, match=r"Mask is not a mask itself: use Full, Causal"):
        masks.Mask()


def test_masks_have_no_truth_value():
    with pytest.raises(TypeError, match=r"no truth value: combine masks with &, \| and ~"):
        bool(masks.Full())


def test_deep_chains_are_refused_when_they_are_made():
    mask = masks.Causal()
    for left in range(199):
        mask = mask | masks.Window(left, 0)
    assert mask.materialize(3, 3).tolist() == masks.Causal().materialize(3, 3).tolist()
    with pytest.raises(ValueError, match=r"at most 200 combinations, got 201: combine the parts in pairs"):
        _ = mask & masks.Full()


def test_pickles_hold_the_fields_only():
    mask = masks.BigBird(block_size=8, seed=2) & ~masks.Causal()
    data = pickle.dumps(mask)
    assert b"big_bird" not in data and b"_description" not in data
    assert pickle.loads(data) == mask and copy.deepcopy(mask) == mask
