"""Masks as Python values: equality, hash, pickle, repr, operators, pictures."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from hypothesis import given

import mask_predicates
from ck_fmha import masks
from mask_cases import BIG_BIRDS, PREDICATED, build, expressions, name_of

ALL = [*PREDICATED, *(("BigBird", parameters) for parameters in BIG_BIRDS)]

COMPOSED = [
    lambda: masks.BigBird() & masks.Causal(),
    lambda: masks.Window(3, 0) | masks.Longformer(4, global_tokens=2) & ~masks.Causal(),
    lambda: (masks.Window(3, 0) | masks.Longformer(4)) & ~masks.Causal("bottom-right"),
    lambda: ~(masks.Full() | ~masks.Window(1, 1)),
    lambda: ~~masks.Causal(),
    lambda: (masks.Window(1, 1) & masks.Window(2, 0)) & masks.Full(),
    lambda: masks.Window(1, 1) & (masks.Window(2, 0) & masks.Full()),
]


def same_meaning(a: masks.Mask, b: masks.Mask) -> bool:
    return all(
        torch.equal(a.materialize(*shape, head=head), b.materialize(*shape, head=head))
        for shape in [(37, 50), (50, 37)]
        for head in (0, 1)
    )


def assert_is_a_value(make) -> None:
    mask = make()
    assert isinstance(mask, masks.Mask)
    assert mask == make() and hash(mask) == hash(make()) and not mask != make()
    assert {mask: 1}[make()] == 1
    for other in (pickle.loads(pickle.dumps(mask)), copy.copy(mask), copy.deepcopy(mask)):
        assert other == mask and hash(other) == hash(mask) and same_meaning(other, mask)
    evaluated = eval(repr(mask), dict(vars(masks)))
    assert evaluated == mask and type(evaluated) is type(mask) and same_meaning(evaluated, mask)


@pytest.mark.parametrize("case", ALL, ids=name_of)
def test_definitions_are_values(case):
    assert_is_a_value(lambda: build(case))


@pytest.mark.parametrize("make", COMPOSED)
def test_compositions_are_values(make):
    assert_is_a_value(make)


@given(expressions())
def test_any_expression_is_a_value(expression):
    mask = expression.mask
    assert pickle.loads(pickle.dumps(mask)) == mask
    evaluated = eval(repr(mask), dict(vars(masks)))
    assert evaluated == mask and hash(evaluated) == hash(mask)
    assert torch.equal(evaluated.materialize(21, 30, head=1), mask.materialize(21, 30, head=1))


def test_definitions_differ_from_each_other():
    different = [build(case) for case in ALL] + [make() for make in COMPOSED[:4]]
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
    ]:
        assert one != two
        assert len({one, two}) == 2
    assert masks.Causal() != "Causal()" and masks.Full() != None  # noqa: E711


def test_defaults_and_keywords_make_equal_masks():
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


@pytest.mark.parametrize("shape", [(37, 50), (50, 37), (1, 1), (0, 4)])
def test_operators_mean_what_they_say(shape):
    parts = [
        masks.Causal(),
        masks.Window(9, 4, "bottom-right"),
        masks.Longformer(6, 2),
        masks.BigBird(block_size=5),
    ]
    for a in parts:
        for b in parts:
            x, y = a.materialize(*shape), b.materialize(*shape)
            assert torch.equal((a & b).materialize(*shape), x & y)
            assert torch.equal((a | b).materialize(*shape), x | y)
            assert torch.equal((~a).materialize(*shape), ~x)
            assert torch.equal((~(a | b)).materialize(*shape), (~a & ~b).materialize(*shape))
            assert torch.equal((~(a & b)).materialize(*shape), (~a | ~b).materialize(*shape))


@pytest.mark.parametrize("seqlen_q, seqlen_k", [(20, 30), (30, 20)])
def test_materialize_gives_a_fresh_bool_tensor(seqlen_q, seqlen_k):
    mask = masks.Causal("bottom-right")
    first = mask.materialize(seqlen_q, seqlen_k)
    assert first.dtype == torch.bool and first.shape == (seqlen_q, seqlen_k) and first.device.type == "cpu"
    first.fill_(False)
    expected = mask_predicates.dense(mask_predicates.causal, seqlen_q, seqlen_k, alignment="bottom-right")
    assert torch.equal(mask.materialize(seqlen_q, seqlen_k), expected)


def test_density_is_the_attended_share():
    assert masks.Full().density(7, 9) == 1.0
    assert (~masks.Full()).density(7, 9) == 0.0
    assert masks.Causal().density(4, 4) == pytest.approx(10 / 16)
    for shape in [(0, 0), (0, 7), (7, 0)]:
        assert masks.Causal().density(*shape) == 0.0
    density = masks.Causal().density(5, 6)
    assert isinstance(density, float) and math.isfinite(density)


def test_plot_draws_and_saves(tmp_path):
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to plot with")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    path = tmp_path / "mask.png"
    mask = masks.BigBird(block_size=4) & masks.Causal()
    axes = mask.plot(40, 50, path=path)
    assert isinstance(axes, matplotlib.axes.Axes)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") and path.stat().st_size > 1000
    mask.plot(40, 50, path=str(tmp_path / "string.png"))
    assert (tmp_path / "string.png").exists()

    _, mine = plt.subplots()
    assert mask.plot(40, 50, ax=mine, head=1) is mine
    assert mine.has_data()
    plt.close("all")


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
