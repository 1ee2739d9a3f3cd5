"""Masks that carry data: what they keep of it, how they compare by it, and how long ones show it."""

import copy
import pickle

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import ck_fmha
from ck_fmha import masks
from mask_cases import random_mask, random_table

MASK = random_mask(30, 40, 8, seed=1)
TABLE = random_table(2, 4, 2, 5)

# A constructor, the tensors that it is given, and a call that it fits.
FROM_TENSORS = {
    "Longformer": (lambda t: masks.Longformer(4, global_tokens=t), [2, 9, 31], (40, 40)),
    "Longformer dilation": (lambda t: masks.Longformer(4, dilation=t), [2, 3], (40, 40)),
    "Documents": (lambda t: masks.Documents(t), [0, 3, 20], (30, 40)),
    "Documents columns": (lambda t: masks.Documents([0, 10, 30], t), [0, 7, 40], (30, 40)),
    "Lengths rows": (lambda t: masks.Lengths(t), [3, 30], (30, 40)),
    "Lengths columns": (lambda t: masks.Lengths(lengths_k=t), [3, 40], (30, 40)),
    "BlockList tensor": (lambda t: masks.BlockList.from_tensor(t, block_size=8), MASK.tolist(), (30, 40)),
    "BlockList offsets": (
        lambda t: masks.BlockList.from_csr(t, [0, 1], 2, 20, seqlen_q=30, seqlen_k=40),
        [0, 1, 2],
        (30, 40),
    ),
    "BlockList columns": (
        lambda t: masks.BlockList.from_csr([0, 1, 3], t, 2, 20, seqlen_q=30, seqlen_k=40),
        [0, 0, 1],
        (30, 40),
    ),
    "BigBird": (lambda t: masks.BigBird(block_size=8, random_blocks=t), TABLE.tolist(), (32, 40)),
    "DeepSpeedBigBird": (
        lambda t: masks.DeepSpeedBigBird(block_size=8, num_random_blocks=2, random_blocks=t),
        TABLE.tolist(),
        (32, 40),
    ),
}
CHANGED = {
    "Longformer": [2, 9, 30],
    "Longformer dilation": [2, 4],
    "Documents": [0, 4, 20],
    "Documents columns": [0, 7, 39],
    "Lengths rows": [3, 29],
    "Lengths columns": [4, 40],
    "BlockList tensor": (MASK ^ torch.eye(30, 40, dtype=torch.bool)).tolist(),
    "BlockList offsets": [0, 2, 2],
    "BlockList columns": [1, 0, 1],
    "BigBird": ((TABLE + 1) % 5).tolist(),
    "DeepSpeedBigBird": ((TABLE + 1) % 5).tolist(),
}
NAMES = sorted(FROM_TENSORS)
FROM_LISTS = [name for name in NAMES if name != "BlockList tensor"]


def elements(mask, shape) -> list:
    return [mask.materialize(*shape, batch=index, head=index).tolist() for index in (0, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_a_mask_keeps_a_copy(name):
    make, values, shape = FROM_TENSORS[name]
    given = torch.tensor(values)
    mask, same = make(given), make(torch.tensor(values))
    before = elements(mask, shape), hash(mask), repr(mask)
    given.copy_(torch.tensor(CHANGED[name]))
    assert (elements(mask, shape), hash(mask), repr(mask)) == before
    assert mask == same and mask != make(given)


@pytest.mark.parametrize("name", FROM_LISTS)
def test_a_mask_keeps_no_list_either(name):
    make, values, shape = FROM_TENSORS[name]
    given = copy.deepcopy(values)
    mask = make(given)
    before = elements(mask, shape), hash(mask), repr(mask)
    given.clear()
    assert (elements(mask, shape), hash(mask), repr(mask)) == before and mask == make(values)


@pytest.mark.parametrize("name", NAMES)
def test_equality_is_by_content(name):
    make, values, shape = FROM_TENSORS[name]
    given = torch.tensor(values)
    mask = make(given)
    variants = [given.clone(), given.expand(2, *given.shape)[1], torch.stack([given, given], -1)[..., 0]]
    variants.append(given.mT.contiguous().mT if given.dim() > 1 else given.flip(0).flip(0))
    if name in FROM_LISTS:
        variants += [given.to(torch.int32), given.to(torch.uint8), given.numpy(), given.tolist()]
    for variant in variants:
        other = make(variant)
        assert other == mask and hash(other) == hash(mask) and repr(other) == repr(mask)
    other = make(torch.tensor(CHANGED[name]))
    assert other != mask and repr(other) != repr(mask) and elements(other, shape) != elements(mask, shape)
    assert len({mask, other, make(values if name in FROM_LISTS else given)}) == 2


@pytest.mark.parametrize("name", NAMES)
def test_data_travels_in_pickles_and_copies(name):
    make, values, shape = FROM_TENSORS[name]
    mask = make(torch.tensor(values))
    for combined in (mask, ~mask & masks.Full(), mask.T, masks.per_head([mask, mask.shift(0, 0)])):
        at = shape if combined is not mask.T else shape[::-1]
        for other in (pickle.loads(pickle.dumps(combined)), copy.copy(combined), copy.deepcopy(combined)):
            assert other == combined and hash(other) == hash(combined) and type(other) is type(combined)
            if combined != mask.T:
                assert elements(other, at) == elements(combined, at)


@pytest.mark.parametrize("name", NAMES)
def test_data_are_int32_tensors_on_the_cpu(name):
    make, values, _ = FROM_TENSORS[name]
    mask = make(torch.tensor(values))
    for m in (mask, mask & mask, ~mask):
        assert isinstance(m.structure, str) and isinstance(m.data, tuple) and isinstance(m.params, tuple)
        assert all(type(p) is int for p in m.params)
        for t in m.data:
            assert isinstance(t, torch.Tensor) and t.dtype == torch.int32 and t.device.type == "cpu"
            assert t.is_contiguous()
    assert len((mask & mask).data) == 2 * len(mask.data) and (~mask).data == mask.data
    assert masks.Causal().data == ()


@pytest.mark.parametrize("name", FROM_LISTS)
def test_data_may_be_given_under_any_mode(name):
    """A default device or a fake mode may be active while a model is built."""
    make, values, shape = FROM_TENSORS[name]
    mask = make(values)
    with torch.device("meta"):
        assert make(values) == mask
    with FakeTensorMode():
        inside = make(values)
    assert inside == mask and elements(inside, shape) == elements(mask, shape)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_without_values_are_refused(raises, name):
    make, values, _ = FROM_TENSORS[name]
    given = torch.tensor(values, device="meta")
    raises((TypeError, ValueError, NotImplementedError), lambda: make(given), "meta|fake|device|values")
    with FakeTensorMode() as mode:
        fake = mode.from_tensor(torch.tensor(values))
    raises((TypeError, ValueError, NotImplementedError), lambda: make(fake), "meta|fake|device|values")


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_masks_made_without_gradients_serve_with_them(mode):
    with mode():
        mask = masks.Documents(torch.tensor([0, 9, 20]))
    q, k, v = (torch.randn(1, 1, 20, 8, requires_grad=True) for _ in range(3))
    torch.compiler.reset()
    for attention in (ck_fmha.attention, torch.compile(ck_fmha.attention, backend="aot_eager")):
        assert torch.autograd.grad(attention(q, k, v, mask).sum(), q)[0].isfinite().all()
    assert mask == masks.Documents([0, 9, 20])


LONG = {
    "Longformer": lambda n: masks.Longformer(4, global_tokens=range(n, 12000, 5)),
    "Documents": lambda n: masks.Documents([0, *range(n, 12000, 3)]),
    "Lengths": lambda n: masks.Lengths([n, *range(3000)]),
    "BlockList": lambda n: masks.BlockList.from_tensor(random_mask(400, 300, 8, seed=n), 8),
    "BigBird": lambda n: masks.BigBird(random_blocks=random_table(4, 200, 3, 200, seed=n)),
    "DeepSpeedBigBird": lambda n: masks.DeepSpeedBigBird(
        num_random_blocks=3, random_blocks=random_table(4, 200, 3, 200, seed=n)
    ),
    "combined": lambda n: masks.Causal() & masks.Documents([0, *range(n, 12000, 3)]).shift(1, 2),
}


@pytest.mark.parametrize("name", LONG)
def test_long_data_shows_as_a_digest(name):
    one, same, two = LONG[name](1), LONG[name](1), LONG[name](2)
    assert repr(one) == repr(same) and repr(one) != repr(two)
    assert len(repr(one)) < 600 and "digest" in repr(one)
    assert one == same and hash(one) == hash(same) and one != two
    assert name == "combined" or name in repr(one)


@pytest.mark.parametrize("name", LONG)
def test_a_digest_is_not_mistaken_for_a_mask(raises, name):
    mask = LONG[name](1)
    raises(ValueError, lambda: masks.parse(repr(mask)))
    with pytest.raises((SyntaxError, TypeError, ValueError, NameError)):
        eval(repr(mask), dict(vars(masks)))


def test_arrays_keep_their_places():
    one, two = masks.Documents([0, 9, 20], [0, 3, 20]), masks.Documents([0, 3, 20], [0, 9, 20])
    assert one != two and torch.equal(one.materialize(20, 20), two.materialize(20, 20).T)
    assert not torch.equal(one.materialize(20, 20), two.materialize(20, 20))


def test_blocks_attended_whole_need_no_bitmaps():
    """Also where the end of the sequence cuts them, and where empty ones lie between them."""
    blocks = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    elements = blocks.repeat_interleave(8, 0).repeat_interleave(16, 1)[:37, :100]
    mask = masks.BlockList.from_tensor(elements, (8, 16))
    assert torch.equal(mask.materialize(37, 100), elements)
    assert sum(t.numel() for t in mask.data) <= 6 + 2 * int(blocks.sum())
    elements[0, 0] = ~elements[0, 0]
    with_one = masks.BlockList.from_tensor(elements, (8, 16))
    assert sum(t.numel() for t in with_one.data) <= 6 + 2 * (int(blocks.sum()) + 1) + 8 * 2


@pytest.mark.parametrize("cols", [1, 31, 40, 64, 70, 128])
def test_bitmaps_as_tensors_and_as_words(cols):
    """A block of 3 rows: 2 * ceil(cols / 64) words a row, the low bits of a word first."""
    generator = torch.Generator().manual_seed(cols)
    elements = torch.rand(2, 3, cols, generator=generator) < 0.5
    words = torch.zeros(2, 3, 64 * -(-cols // 64), dtype=torch.int64)
    words[..., :cols] = elements
    words = (words.unflatten(-1, (-1, 32)) << torch.arange(32)).sum(-1)
    words = torch.where(words >= 2**31, words - 2**32, words).flatten()
    listed = {"row_offsets": [0, 1, 3], "columns": [1, 0, 1], "num_block_cols": 2, "block_size": (3, cols)}
    whole = torch.ones(1, 3, cols, dtype=torch.bool)
    by_tensor = masks.BlockList.from_csr(**listed, bitmaps=torch.cat([elements[:1], whole, elements[1:]]))
    by_words = masks.BlockList.from_csr(**listed, bitmaps=([0, -1, 1], words.tolist()))
    expected = torch.zeros(6, 2 * cols, dtype=torch.bool)
    expected[:3, cols:], expected[3:, :cols], expected[3:, cols:] = elements[0], True, elements[1]
    assert torch.equal(by_words.materialize(6, 2 * cols), expected)
    assert torch.equal(by_tensor.materialize(6, 2 * cols), expected)
    # The last block of a shorter call is cut off.
    assert torch.equal(by_words.materialize(5, 2 * cols), expected[:5])
    for other in (by_tensor, by_words):
        assert pickle.loads(pickle.dumps(other)) == other


def test_digests_are_the_same_in_another_process():
    from scripts import run_script

    script = "from ck_fmha import masks; print(repr(masks.Documents([0, *range(1, 12000, 3)])))"
    assert run_script(script).strip() == repr(LONG["Documents"](1))


def test_masks_in_large_sets():
    """Equality looks at the content, not at the hash alone."""
    many = {masks.Documents([0, n]) for n in range(1, 200)} | {masks.Documents([0, n]) for n in range(100, 300)}
    assert len(many) == 299
