"""Forward results against the reference, over pairs of everything that a call can vary."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import ck_fmha
from calls import FEATURES, MEMORY, Call, assert_matches_reference, bits_equal, forward, make_tensors, place
from ck_fmha import masks
from mask_cases import materialized
from pairwise import pairwise
from random_calls import DTYPES, draw_call
from scripts import run_script

# In blocks and windows small enough for every kind of tile to occur in a few hundred tokens.
MASKS = [
    None,
    masks.Full(),
    masks.Causal(),
    masks.Causal("bottom-right"),
    masks.Window(20, 7),
    masks.Window(33, 0, "bottom-right", num_sinks=4),
    masks.Longformer(16, global_tokens=5),
    masks.Longformer(6, global_tokens=2, dilation=3, causal=True),
    masks.BigBird(block_size=8, num_random_blocks=1),
    masks.BigBird(block_size=20, seed=4) & masks.Causal(),
    ~masks.Causal(),
    ~masks.Full(),
    masks.Window(9, 0) | masks.Longformer(4, global_tokens=3) & ~masks.Window(2, 2),
    masks.Longformer(8, global_tokens=[3, 60]),
    masks.Strided(6, 20).T,
    masks.Neighborhood((9, 11), (3, 5), causal=(True, False)).shift(3, -4),
    masks.DeepSpeedFixed(8, num_different_global_patterns=4),
]
PARAMETERS = {
    "mask": MASKS,
    "dtype": DTYPES,
    "head_dim": [1, 3, 8, 31, 32, 64, 65, 96, 128, 200, 256],
    "head_dim_v": [None, 1, 40, 72, 256],
    "seqlens": [(1, 1), (64, 64), (130, 130), (77, 200), (200, 77), (1, 150), (150, 1), (63, 65)],
    "heads": [(2, 2), (4, 2), (6, 1), (1, 1)],
    "scale": [None, 0.0, -0.3, 2.0],
    "memory": MEMORY,
    "layout": ["bhsd", "bshd"],
    "feature": FEATURES,
}


def calls_of_pairs(seed: int) -> list[Call]:
    return [Call(**(case.pop("feature") | case), seed=seed) for case in pairwise(PARAMETERS)]


CASES = calls_of_pairs(seed=0)


@pytest.mark.parametrize("call", CASES, ids=range(len(CASES)))
def test_pairs_of_parameters(call):
    tensors = make_tensors(call)
    out, lse = forward(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "mask",
    [
        None,
        masks.Causal(),
        masks.Longformer(128, global_tokens=16),
        masks.BigBird(block_size=64),
        masks.BigBird(block_size=32) & masks.Causal(),
        masks.Window(100, 0, num_sinks=4),
    ],
)
def test_a_thousand_tokens(mask, dtype):
    call = Call(mask, dtype, head_dim=64, seqlens=(1000, 1000), heads=(4, 2), batch=1)
    tensors = make_tensors(call)
    out, lse = forward(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


@given(data=st.data())
def test_random_shapes_and_masks(data):
    check_random_call(data, st.integers(0, 80), st.integers(1, 48), depth=3)


@pytest.mark.slow
@given(data=st.data())
def test_larger_random_shapes_and_masks(data):
    check_random_call(data, st.integers(0, 400), st.integers(1, 256), depth=4)


def check_random_call(data, lengths, head_dims, depth) -> None:
    call, allowed = draw_call(data, lengths, head_dims, depth)
    tensors = make_tensors(call)
    out, lse = forward(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse}, allowed)


EMPTY_ROWS = [
    (masks.Window(3, 0, "bottom-right"), (90, 70)),
    (masks.Causal("bottom-right"), (150, 70)),
    (masks.Window(5, 0), (150, 70)),
    (~masks.Full(), (70, 70)),
    (~masks.Causal(), (100, 70)),
    (None, (70, 0)),
    (masks.BigBird(block_size=16) & masks.Window(8, 0, "bottom-right"), (130, 100)),
    (masks.Documents([0, 40, 60], [0, 70, 70]), (70, 70)),
    (masks.Lengths([70, 5]), (70, 80)),
    (masks.Lengths(lengths_k=[0, 9], padding="left"), (70, 80)),
    (masks.Neighborhood((4, 16), 3), (150, 100)),
    (masks.per_sample([masks.Full(), masks.Causal().shift(20, 0)]), (70, 80)),
    (masks.per_head([masks.Causal(), masks.Causal().shift(1, 0)]), (70, 80)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask, seqlens", EMPTY_ROWS)
def test_rows_without_keys_are_zero(mask, seqlens, dtype):
    call = Call(mask, dtype, seqlens=seqlens)
    tensors = make_tensors(call)
    out, lse = forward(call, tensors)
    empty = ~materialized(mask, 2, 2, seqlens).any(3)
    assert empty.any()
    assert (out[empty] == 0).all() and (lse[empty] == -math.inf).all() and (lse[~empty] > -math.inf).all()
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("batch, seqlens", [(0, (5, 5)), (2, (0, 5)), (2, (5, 0)), (2, (0, 0)), (0, (0, 0))])
def test_nothing_to_do(batch, seqlens, layout):
    call = Call(masks.Causal(), seqlens=seqlens, head_dim_v=7, batch=batch, layout=layout)
    tensors = make_tensors(call)
    out, lse = forward(call, tensors)
    assert out.shape == ((batch, 2, seqlens[0], 7) if layout == "bhsd" else (batch, seqlens[0], 2, 7))
    assert lse.shape == (batch, 2, seqlens[0]) and lse.dtype == torch.float32
    assert (out == 0).all() and (lse == -math.inf).all()


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_result_is_a_tensor_or_a_pair(layout):
    call = Call(masks.Causal(), heads=(4, 2), layout=layout, head_dim_v=24)
    q, k, v, *_ = make_tensors(call)
    out = ck_fmha.attention(q, k, v, masks.Causal(), enable_gqa=True, layout=layout)
    assert isinstance(out, torch.Tensor) and out.shape == (*q.shape[:3], 24)
    pair = ck_fmha.attention(q, k, v, mask=masks.Causal(), enable_gqa=True, layout=layout, return_lse=True)
    assert isinstance(pair, tuple) and len(pair) == 2
    assert bits_equal(pair[0], out) and pair[1].shape == (2, 4, 40)


def test_layouts_agree_bit_for_bit():
    call = Call(masks.Causal(), seqlens=(70, 90), heads=(4, 2))
    q, k, v, *_ = make_tensors(call)
    out, lse = ck_fmha.attention(q, k, v, masks.Causal(), enable_gqa=True, return_lse=True)
    swapped = [t.transpose(1, 2) for t in (q, k, v)]
    out2, lse2 = ck_fmha.attention(*swapped, masks.Causal(), enable_gqa=True, return_lse=True, layout="bshd")
    assert bits_equal(out, out2.transpose(1, 2)) and bits_equal(lse, lse2)


def test_backend_cpu_is_what_auto_takes():
    q, k, v, *_ = make_tensors(Call())
    assert bits_equal(ck_fmha.attention(q, k, v, backend="cpu"), ck_fmha.attention(q, k, v, backend="auto"))


@pytest.mark.parametrize("dimension", [0, 1, 2])
def test_expanded_keys(dimension):
    """One key row standing for all of them, in each dimension that can be expanded."""
    call = Call(masks.Window(9, 3), seqlens=(50, 50))
    tensors = make_tensors(call)
    k, v = (t.narrow(dimension, 0, 1).expand_as(t) for t in (tensors.k, tensors.v))
    tensors = tensors._replace(k=k, v=v)
    assert k.stride(dimension) == 0
    out, lse = forward(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


def test_inputs_are_left_alone():
    for memory in MEMORY:
        call = Call(masks.Causal(), memory=memory, bias="bhqk", alibi="h", softcap=2.0, dropout_p=0.3)
        tensors = make_tensors(call)
        before = tensors.map(torch.Tensor.clone)
        versions = [t._version for t in tensors]
        forward(call, tensors)
        assert all(bits_equal(t, b) for t, b in zip(tensors, before, strict=True))
        assert [t._version for t in tensors] == versions


@pytest.mark.parametrize("scale", [0.0, -3.0, 50.0])
def test_large_scores_do_not_overflow(scale):
    """exp of the raw scores would be infinite; a negative scale turns the row maximum into the minimum."""
    call = Call(masks.Window(30, 30), head_dim=64, seqlens=(100, 100), scale=scale)
    tensors = make_tensors(call)
    tensors = tensors._replace(q=tensors.q * 10)
    out, lse = forward(call, tensors)
    assert out.isfinite().all() and lse.isfinite().all()
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


def test_scale_zero_is_the_mean():
    mask = masks.Window(4, 2)
    q, k, v, *_ = make_tensors(Call(seqlens=(30, 30)))
    out, lse = ck_fmha.attention(q, k, v, mask, scale=0.0, return_lse=True)
    attended = mask.materialize(30, 30).float()
    torch.testing.assert_close(out, attended / attended.sum(1, keepdim=True) @ v)
    torch.testing.assert_close(lse, attended.sum(1).log().expand_as(lse))


@pytest.mark.parametrize("scale", [3.4e38, -3.4e38])
def test_the_largest_scales(scale):
    """What they multiply is zero, and must stay so."""
    q, (k, v) = torch.zeros(1, 1, 70, 16), torch.randn(2, 1, 1, 90, 16)
    out, lse = ck_fmha.attention(q, k, v, scale=scale, return_lse=True)
    torch.testing.assert_close(out, v.mean(2, keepdim=True).expand_as(out))
    torch.testing.assert_close(lse, torch.full_like(lse, math.log(90)))


@pytest.mark.parametrize("scale", [1e6, 1e12, 1e30, -1e30])
def test_huge_scores_that_are_alike_share(scale):
    """Keys repeat every 30, so the largest score of a row is there three times, in more than one tile."""
    q, k, v = make_tensors(Call(head_dim=16, seqlens=(70, 90), batch=1))[:3]
    k[:, :, 30:60] = k[:, :, 60:] = k[:, :, :30]
    out = ck_fmha.attention(q, k, v, scale=scale)
    best = (q @ k.mT * math.copysign(1, scale)).argmax(-1) % 30
    means = v.unflatten(2, (3, 30)).mean(2)
    torch.testing.assert_close(out, means.gather(2, best[..., None].expand_as(out)))


def test_infinite_scores_of_masked_keys_do_not_show():
    q, k, v, *_ = make_tensors(Call(seqlens=(20, 20)))
    expected = ck_fmha.attention(q[:, :, :10], k[:, :, :10], v[:, :, :10], masks.Causal())
    k[:, :, 10:], v[:, :, 10:] = 1e30, 1e30
    out = ck_fmha.attention(q, k, v, masks.Causal())
    torch.testing.assert_close(out[:, :, :10], expected)


MEMORY_SCRIPT = """
import resource, torch, ck_fmha
n = 65536
q, k, v = (torch.randn(1, 1, n, 16, requires_grad=True) for _ in range(3))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
ck_fmha.attention(q[:, :, :64], k[:, :, :64], v[:, :, :64], ck_fmha.masks.Window(32, 0)).sum().backward()
before = peak()
ck_fmha.attention(q, k, v, ck_fmha.masks.Window(32, 0)).sum().backward()
print(peak() - before)
"""


def test_memory_grows_with_the_length_not_its_square():
    """At 65,536 tokens a dense bool mask alone would take 4,096 MiB; q, k, v and gradients take 24 MiB."""
    assert float(run_script(MEMORY_SCRIPT)) < 300


def test_place_keeps_values_and_covers_strides():
    values = torch.randn(2, 3, 4, 5)
    for memory in MEMORY:
        placed = place(values, memory)
        assert placed.shape == values.shape and not placed.isnan().any()
        if "expanded" not in memory:
            assert torch.equal(placed, values)
    assert place(values, "batch expanded").stride(0) == 0 and place(values, "heads expanded").stride(1) == 0
    assert place(values, "last stride 2").stride(3) == 2 and place(values, "row gaps").stride(2) == 10


def test_an_empty_row_is_zero_whatever_the_values_are():
    """The tile is live, so V is read; a row of it that attends nothing must not see V's infinities."""
    q, k, v = torch.randn(1, 1, 10, 8), torch.randn(1, 1, 4, 8), torch.randn(1, 1, 4, 8)
    v[0, 0, 2] = float("inf")
    out, lse = ck_fmha.attention(q, k, v, masks.Causal("bottom-right"), return_lse=True)
    assert torch.equal(out[0, 0, :6], torch.zeros(6, 8)) and torch.isneginf(lse[0, 0, :6]).all()
