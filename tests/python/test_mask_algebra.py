"""What the operators on masks mean, and the laws that follow."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ck_fmha import masks
from mask_cases import materialized
from mask_predicates import Where, shifted, transposed
from random_masks import expressions, wheres

PARTS = [
    masks.Causal(),
    masks.Window(9, 4, "bottom-right"),
    masks.Longformer(6, [2, 30]),
    masks.BigBird(block_size=5),
    masks.Neighborhood((5, 7), 3),
    masks.DeepSpeedFixed(block_size=3, num_different_global_patterns=2),
]


@pytest.mark.parametrize("shape", [(37, 50), (50, 37), (1, 1), (0, 4)])
def test_operators_mean_what_they_say(shape):
    for a in PARTS:
        x = a.materialize(*shape)
        assert torch.equal((~a).materialize(*shape), ~x)
        assert torch.equal(a.T.materialize(*shape), a.materialize(*shape[::-1]).T)
        for b in PARTS:
            y = b.materialize(*shape)
            assert torch.equal((a & b).materialize(*shape), x & y)
            assert torch.equal((a | b).materialize(*shape), x | y)


@pytest.mark.parametrize("dq, dk", [(0, 0), (3, 0), (0, 5), (-4, 0), (0, -2), (7, -3), (-6, 8), (99, 0), (0, 99)])
def test_shift_means_what_it_says(dq, dk):
    for mask in PARTS:

        def attended(where, mask=mask):
            return mask.materialize(where.seqlen_q, where.seqlen_k, head=where.head)

        for where in (Where(37, 50), Where(20, 9, head=1), Where(0, 4)):
            found = mask.shift(dq, dk).materialize(*where[:2], head=where.head)
            assert torch.equal(found, shifted(attended, dq, dk, where))


def test_shifts_far_out_are_empty_or_see_the_end():
    far = 2**31 - 1
    assert not masks.Full().shift(far, 0).materialize(5, 5).any()
    assert not masks.Full().shift(0, far).materialize(5, 5).any()
    assert masks.Full().shift(-(2**30), -(2**30)).materialize(5, 5).all()
    assert masks.Causal().shift(-(2**30), 0).materialize(5, 5).all()
    assert not masks.Causal().shift(0, -(2**30)).materialize(5, 5).any()


def test_a_chunk_of_queries():
    """Rows 40 to 59 of a longer call, computed on their own."""
    for whole in (masks.Causal(), masks.Strided(4, 9), masks.Longformer(8, [3, 50]), masks.Documents([0, 45, 60])):
        rows = whole.materialize(60, 60)[40:]
        assert torch.equal(whole.shift(-40, 0).materialize(20, 60), rows)


def test_each_head_and_sample_has_its_own():
    parts = [masks.Causal(), masks.Window(3, 2), masks.Fixed(5)]
    by_head, by_sample = masks.per_head(parts), masks.per_sample(parts)
    for number, part in enumerate(parts):
        assert torch.equal(by_head.materialize(20, 30, head=number, batch=9), part.materialize(20, 30))
        assert torch.equal(by_sample.materialize(20, 30, batch=number, head=9), part.materialize(20, 30))
    both = masks.per_sample([by_head, masks.per_head(parts[::-1])])
    assert torch.equal(both.materialize(20, 30, batch=1, head=0), parts[2].materialize(20, 30))
    assert torch.equal((~both.T).materialize(20, 30, batch=0, head=1), ~parts[1].materialize(30, 20).T)


def test_choices_take_any_sequence():
    parts = [masks.Causal(), masks.Full()]
    assert masks.per_head(tuple(parts)) == masks.per_head(parts) == masks.per_head(p for p in parts)
    parts_before = masks.per_sample(parts)
    parts.append(masks.Full())
    assert masks.per_sample(parts[:2]) == parts_before != masks.per_sample(parts)


def same(a: masks.Mask, b: masks.Mask, where: Where) -> None:
    place = {"batch": where.batch, "head": where.head}
    assert torch.equal(a.materialize(*where[:2], **place), b.materialize(*where[:2], **place))


@given(data=st.data(), where=wheres())
def test_de_morgan(data, where):
    a, b = (data.draw(expressions(where[:2], depth=2)).mask for _ in range(2))
    same(~(a | b), ~a & ~b, where)
    same(~(a & b), ~a | ~b, where)
    same(~~a, a, where)
    same(a & (a | b), a, where)
    assert not (a & ~a).materialize(*where[:2], batch=where.batch, head=where.head).any()
    assert (a | ~a).materialize(*where[:2], batch=where.batch, head=where.head).all()


@given(data=st.data(), where=wheres())
def test_transposes(data, where):
    a, b = (data.draw(expressions(where[1::-1], depth=2)).mask for _ in range(2))
    exchanged = where._replace(seqlen_q=where.seqlen_k, seqlen_k=where.seqlen_q)
    same(a.T.T, a, exchanged)
    same((a | b).T, a.T | b.T, where)
    same((~a).T, ~a.T, where)
    dq, dk = data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9))
    inner = (max(where.seqlen_k - dk, 0), max(where.seqlen_q - dq, 0))
    c = data.draw(expressions(inner, depth=2)).mask
    same(c.shift(dk, dq).T, c.T.shift(dq, dk), where)


@given(data=st.data(), where=wheres())
def test_shifts_add_up(data, where):
    """Unless the first one pushes out what the second one would pull back."""
    amount = st.integers(0, 9)
    sign = data.draw(st.sampled_from([1, -1]))
    first, second = (tuple(sign * data.draw(amount) for _ in "qk") for _ in range(2))
    total = first[0] + second[0], first[1] + second[1]
    inner = (max(where.seqlen_q - total[0], 0), max(where.seqlen_k - total[1], 0))
    mask = data.draw(expressions(inner, depth=2)).mask
    same(mask.shift(*first).shift(*second), mask.shift(*total), where)

    mask = data.draw(expressions(where[:2], depth=2)).mask
    same(mask.shift(0, 0), mask, where)
    there_and_back = mask.shift(abs(first[0]), abs(first[1])).shift(-abs(first[0]), -abs(first[1]))
    same(there_and_back, mask, where)


@given(data=st.data(), shape=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_choices_inside_and_outside_of_operators_agree(data, shape):
    a, b, c = (data.draw(expressions(shape, heads=2, batch=2, depth=1)).mask for _ in range(3))
    for choose in (masks.per_head, masks.per_sample):
        pairs = [
            (choose([a, b]) | c, choose([a | c, b | c])),
            (~choose([a, b]), choose([~a, ~b])),
            (choose([a, b]).shift(0, 0), choose([a.shift(0, 0), b])),
            (choose([a, a]), a),
        ]
        for one, two in pairs:
            assert torch.equal(materialized(one, 2, 2, shape), materialized(two, 2, 2, shape))


@given(data=st.data(), where=wheres())
def test_transposed_tiles_are_the_tiles_of_the_transpose(data, where):
    expression = data.draw(expressions(where[1::-1], depth=2))
    tile, place = (8, 5), {"batch": where.batch, "head": where.head}
    assert torch.equal(expression.mask.T.materialize(*where[:2], **place), transposed(expression.attended, where))
    rows = expression.mask.T.tile_status(*where[:2], tile, **place)
    columns = expression.mask.tile_status(*where[1::-1], tile[::-1], **place)
    assert torch.equal(rows, columns.T)


@pytest.mark.parametrize("make", [lambda: masks.per_head([]), lambda: masks.per_sample([])])
def test_a_choice_needs_something_to_choose_from(raises, make):
    raises(ValueError, make, "per_head|per_sample", "at least|empty|one")


@pytest.mark.parametrize("choose", [masks.per_head, masks.per_sample], ids=["per_head", "per_sample"])
@pytest.mark.parametrize("parts", [masks.Causal(), None, 3, "ab", [masks.Causal(), None], [masks.Causal, masks.Full()]])
def test_choices_of_something_else(raises, choose, parts):
    raises(TypeError, lambda: choose(parts), choose.__name__, "mask")


@pytest.mark.parametrize(
    "shift, patterns",
    [
        ((1.5, 0), ("dq", r"1\.5")),
        ((0, "1"), ("dk", "str|'1'")),
        ((None, 0), ("dq", "None")),
        ((True, 0), ("dq", "True")),
    ],
)
def test_shifts_are_integers(raises, shift, patterns):
    raises(TypeError, lambda: masks.Full().shift(*shift), *patterns)


@pytest.mark.parametrize("shift, name", [((2**31, 0), "dq"), ((0, -(2**31) - 1), "dk"), ((10**30, 0), "dq")])
def test_shifts_past_the_limit(raises, shift, name):
    raises(ValueError, lambda: masks.Full().shift(*shift), name, str(max(shift, key=abs)))


def test_depth_counts_every_combination():
    mask = masks.Causal()
    for _ in range(99):
        mask = mask.T.shift(0, 1)
    assert masks.per_head([mask]).materialize(3, 200).shape == (3, 200)
    with pytest.raises(ValueError, match="at most 200 combinations, got 201"):
        masks.per_sample([masks.per_head([mask])])
