"""Masks that do not fit the call: attention(), its gradient-free relatives and materialize() all say so."""

import pytest
import torch

import ck_fmha
from ck_fmha import masks
from mask_cases import random_mask, random_table


def qkv(seqlens, heads, batch):
    q = torch.randn(batch, heads, seqlens[0], 8)
    k, v = (torch.randn(batch, heads, seqlens[1], 8) for _ in range(2))
    return q, k, v


BLOCKS = random_mask(20, 30, 5, seed=0)

# A mask, a call (seqlens, heads, batch) that it does not fit, what the message names, and a call that it fits.
UNFIT = [
    (masks.per_head([masks.Full()] * 2), ((9, 9), 3, 1), ("per_head|head", "2", "3"), ((9, 9), 2, 1)),
    (masks.per_head([masks.Full()] * 4), ((9, 9), 2, 1), ("per_head|head", "4", "2"), ((9, 9), 4, 3)),
    (masks.Longformer(4, dilation=[1, 2]), ((9, 9), 4, 1), ("dilation|per_head|head", "2", "4"), ((9, 9), 2, 1)),
    (masks.per_sample([masks.Full()] * 2), ((9, 9), 1, 3), ("per_sample|sample|batch", "2", "3"), ((9, 9), 1, 2)),
    (masks.Lengths([3, 9]), ((9, 9), 1, 3), ("lengths|batch|sample", "2", "3"), ((9, 9), 4, 2)),
    (masks.Lengths([3, 9]), ((9, 9), 1, 1), ("lengths|batch|sample", "2", "1"), ((9, 9), 1, 2)),
    (masks.Lengths([3, 9]), ((8, 9), 1, 2), ("lengths", "9", "8", "seqlen_q"), ((9, 8), 1, 2)),
    (masks.Lengths(lengths_k=[3, 9]), ((9, 8), 1, 2), ("lengths", "9", "8", "seqlen_k"), ((8, 9), 1, 2)),
    (masks.Documents([0, 5, 12]), ((11, 12), 1, 1), ("documents|cu_seqlens", "12", "11"), ((12, 12), 2, 2)),
    (masks.Documents([0, 5, 12]), ((12, 11), 1, 1), ("documents|cu_seqlens", "12", "11"), ((99, 13), 1, 1)),
    (masks.Documents([0, 5], [0, 7]), ((5, 6), 1, 1), ("documents|cu_seqlens", "7", "6"), ((5, 7), 1, 1)),
    (masks.BlockList.from_tensor(BLOCKS, 5), ((21, 30), 1, 1), ("block_list|BlockList|seqlen", "20", "21"), None),
    (masks.BlockList.from_tensor(BLOCKS, 5), ((20, 29), 1, 1), ("block_list|BlockList|seqlen", "30", "29"), None),
    (masks.BlockList.from_tensor(BLOCKS, 5), ((30, 20), 1, 1), ("block_list|BlockList|seqlen", "20", "30"), None),
    (
        masks.BlockList.from_csr([0, 1, 2], [0, 1], 3, 8),
        ((17, 24), 1, 1),
        ("block_list|BlockList|block", r"\b2\b", r"\b3\b|\b17\b"),
        ((9, 17), 2, 2),
    ),
    (
        masks.BlockList.from_csr([0, 1, 2], [0, 1], 3, 8),
        ((16, 25), 1, 1),
        ("block_list|BlockList|block", r"\b3\b", r"\b4\b|\b25\b"),
        ((16, 24), 1, 1),
    ),
    (
        masks.BigBird(4, random_blocks=random_table(2, 5, 2, 5)),
        ((20, 20), 4, 1),
        ("random_blocks|table|big_bird", r"\b2\b", r"\b4\b"),
        ((20, 20), 2, 3),
    ),
    (
        masks.BigBird(4, random_blocks=random_table(1, 5, 2, 5)),
        ((21, 20), 4, 1),
        ("random_blocks|table|big_bird", r"\b5\b", r"\b6\b"),
        ((17, 20), 4, 2),
    ),
    (
        masks.BigBird(4, random_blocks=random_table(1, 4, 2, 6)),
        ((20, 24), 1, 1),
        ("random_blocks|table|big_bird", r"\b4\b", r"\b5\b|\b3\b"),
        ((24, 24), 1, 1),
    ),
    (
        masks.BigBird(4, random_blocks=[[[0], [5], [1]]]),
        ((12, 20), 1, 1),
        ("random_blocks|table|big_bird", r"\b5\b"),
        ((12, 21), 1, 1),
    ),
    (
        masks.DeepSpeedBigBird(4, random_blocks=random_table(2, 5, 1, 5)),
        ((20, 20), 3, 1),
        ("random_blocks|table|big_bird", r"\b2\b", r"\b3\b"),
        ((20, 20), 2, 1),
    ),
    (
        masks.DeepSpeedBigBird(4, random_blocks=[[[0], [9]]]),
        ((8, 8), 1, 1),
        ("random_blocks|table|big_bird", r"\b9\b"),
        ((8, 40), 1, 1),
    ),
]


def wrapped(mask):
    """The refusal comes from wherever the mask stands in an expression."""
    yield mask
    yield ~(masks.Causal() | mask)
    yield mask.shift(0, 0) & masks.Full()
    yield mask.T.T


@pytest.mark.parametrize("mask, call, patterns, fits", UNFIT)
def test_attention_refuses_what_does_not_fit(raises, mask, call, patterns, fits):
    for m in wrapped(mask):
        raises(ValueError, lambda m=m: ck_fmha.attention(*qkv(*call), m), *patterns)
        raises(ValueError, lambda m=m: ck_fmha.explain(*qkv(*call), m), *patterns)
        raises(ValueError, lambda m=m: ck_fmha.scaled_dot_product_attention(*qkv(*call), m), *patterns)
        if fits is not None:
            assert ck_fmha.attention(*qkv(*fits), m).isfinite().all()


def shows_in_a_view(mask, call, patterns, fits) -> bool:
    """A view of one head and sample cannot know that there are more masks, or tables, than the call has of them."""
    if fits is None or fits[0] != call[0]:
        return True
    return "random_blocks" not in repr(mask) and fits[1] <= call[1] and fits[2] <= call[2]


@pytest.mark.parametrize("mask, call, patterns, fits", [case for case in UNFIT if shows_in_a_view(*case)])
def test_views_refuse_it_too(raises, mask, call, patterns, fits):
    """Where the last head and sample of the call are looked at."""
    (seqlen_q, seqlen_k), heads, batch = call
    place = {"batch": batch - 1, "head": heads - 1}
    for m in wrapped(mask):
        for method in (m.materialize, m.num_tiles, m.tile_status, m.density):
            raises(ValueError, lambda method=method: method(seqlen_q, seqlen_k, **place), patterns[0])


@pytest.mark.parametrize("mask, call, patterns, fits", UNFIT)
def test_calls_with_gradients_and_calls_under_a_tracer_refuse_it_too(raises, mask, call, patterns, fits):
    q, k, v = (t.requires_grad_() for t in qkv(*call))
    raises(ValueError, lambda: ck_fmha.attention(q, k, v, mask), *patterns)
    from torch.utils._python_dispatch import TorchDispatchMode

    class Passing(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    def call_under_a_mode():
        with Passing():
            ck_fmha.attention(q, k, v, mask)

    raises(ValueError, call_under_a_mode, *patterns)


def test_leading_dimensions_of_the_drop_in_are_samples(raises):
    q, k, v = (torch.randn(2, 3, 4, 9, 8) for _ in range(3))
    mask = masks.Lengths([9, 1, 2, 3, 4, 5])
    out = ck_fmha.scaled_dot_product_attention(q, k, v, mask)
    flat = ck_fmha.attention(*(t.flatten(0, 1) for t in (q, k, v)), mask)
    assert torch.equal(out.flatten(0, 1), flat)
    raises(ValueError, lambda: ck_fmha.scaled_dot_product_attention(q, k, v, masks.Lengths([9, 1])), "2", "6")


def test_an_empty_call_still_has_its_numbers_of_heads_and_samples():
    q, k, v = qkv((0, 9), 2, 2)
    assert ck_fmha.attention(q, k, v, masks.per_head([masks.Full()] * 2)).shape == (2, 2, 0, 8)
    assert ck_fmha.attention(q, k, v, masks.Lengths(lengths_k=[3, 9])).shape == (2, 2, 0, 8)
    with pytest.raises(ValueError):
        ck_fmha.attention(q, k, v, masks.per_head([masks.Full()] * 3))
    with pytest.raises(ValueError):
        ck_fmha.attention(q, k, v, masks.Lengths(lengths_k=[3]))


def test_a_refused_mask_leaves_the_library_working():
    mask = masks.Documents([0, 12])
    with pytest.raises(ValueError):
        ck_fmha.attention(*qkv((11, 11), 1, 1), mask)
    assert ck_fmha.attention(*qkv((12, 12), 1, 1), mask).isfinite().all()
