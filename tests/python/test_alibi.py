"""ALiBi slopes: FlashAttention's distances, for each head or each sample and head."""

import math

import pytest
import torch

import ck_fmha
from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from gradients import assert_gradients_are_numerical
from random_calls import DTYPES

SEQLENS = [(90, 90), (40, 130), (130, 40), (1, 150), (150, 1)]


def check(call: Call, slopes: torch.Tensor | None = None) -> None:
    tensors = make_tensors(call)
    if slopes is not None:
        tensors = tensors._replace(slopes=slopes)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


@pytest.mark.parametrize("seqlens", SEQLENS)
@pytest.mark.parametrize("alibi", ["h", "bh"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_the_reference(dtype, alibi, seqlens):
    layout = "bshd" if alibi == "bh" else "bhsd"
    check(Call(masks.Window(60, 3), dtype, seqlens=seqlens, heads=(4, 2), alibi=alibi, layout=layout))


@pytest.mark.parametrize(
    "mask",
    [
        None,
        masks.Causal(),
        masks.Causal("bottom-right"),
        masks.BigBird(block_size=16),
        masks.per_head([masks.Causal(), masks.Strided(4, 9), ~masks.Causal(), ~masks.Full()]),
        masks.Documents([0, 30, 75]),
    ],
)
@pytest.mark.parametrize("seqlens", [(90, 90), (80, 130)])
def test_masks(mask, seqlens):
    check(Call(mask, seqlens=seqlens, heads=(4, 1), alibi="h"))


@pytest.mark.parametrize("seqlens", SEQLENS)
def test_distances_are_counted_from_the_last_key(seqlens):
    """With scores of zero, lse says what was added."""
    seqlen_q, seqlen_k = seqlens
    q, k, v = torch.zeros(1, 2, seqlen_q, 8), torch.zeros(1, 2, seqlen_k, 8), torch.zeros(1, 2, seqlen_k, 8)
    slopes = torch.tensor([0.5, 0.03125])
    _, lse = ck_fmha.attention(q, k, v, alibi_slopes=slopes, return_lse=True)
    for head, slope in enumerate(slopes.tolist()):
        for i in range(seqlen_q):
            total = sum(math.exp(-slope * abs(i + seqlen_k - seqlen_q - j)) for j in range(seqlen_k))
            assert math.isclose(float(lse[0, head, i]), math.log(total), rel_tol=1e-5, abs_tol=1e-5), (head, i)


@pytest.mark.parametrize("slope", [-0.25, 0.0, 1.0, 1e4, 1e30])
def test_slopes_of_any_size_and_sign(slope):
    check(Call(None, seqlens=(50, 70)), torch.tensor([slope, 0.125]))


def test_steep_slopes_leave_the_nearest_key():
    q, k, v = (torch.randn(1, 1, 60, 8) for _ in range(3))
    out = ck_fmha.attention(q, k, v, alibi_slopes=torch.tensor([1e4]))
    torch.testing.assert_close(out, v)


def test_slopes_of_zero_change_nothing_visible():
    call = Call(masks.Causal(), seqlens=(70, 80))
    tensors = make_tensors(call)
    for a, b in zip(run(call, tensors), run(call, tensors, alibi_slopes=torch.zeros(2)), strict=True):
        torch.testing.assert_close(a, b)


def test_slopes_are_a_bias():
    call = Call(masks.Longformer(40, 2), torch.float64, seqlens=(90, 110), heads=(4, 2), alibi="bh")
    tensors = make_tensors(call)
    distance = (torch.arange(90)[:, None] + 20 - torch.arange(110)).abs()
    bias = -tensors.slopes.double()[..., None, None] * distance
    with_slopes = run(call, tensors)
    with_bias = run(call, tensors._replace(slopes=None, bias=bias))
    for a, b in zip(with_slopes[:5], with_bias[:5], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_far_keys(dtype):
    """Distances in the thousands, and rows that a schedule cuts into ranges."""
    check(Call(masks.Longformer(64, 4), dtype, seqlens=(1, 5000), heads=(2, 2), alibi="h"))
    check(Call(masks.Window(100, 0), dtype, seqlens=(3000, 1), heads=(2, 2), alibi="h"))


def test_slopes_may_lie_anywhere():
    call = Call(masks.Causal(), heads=(4, 2), alibi="bh")
    tensors = make_tensors(call)
    expected = run(call, tensors)
    spread = torch.full((2, 4, 3), math.nan)[..., 1].copy_(tensors.slopes)
    transposed = tensors.slopes.T.contiguous().T
    for slopes in (spread, transposed):
        assert not slopes.is_contiguous()
        results = run(call, tensors._replace(slopes=slopes))
        assert all(bits_equal(a, b) for a, b in zip(results, expected, strict=True))
    one_sample = tensors.slopes[0]
    expanded = run(call, tensors._replace(slopes=one_sample.expand(2, 4)))
    assert all(bits_equal(a, b) for a, b in zip(expanded, run(call, tensors._replace(slopes=one_sample)), strict=True))


@pytest.mark.parametrize("alibi", ["h", "bh"])
@pytest.mark.parametrize("seqlens", [(6, 5), (4, 7)])
def test_gradients_are_numerical(alibi, seqlens):
    mask = masks.Window(3, 1, "bottom-right")
    assert_gradients_are_numerical(Call(mask, torch.float64, head_dim=2, seqlens=seqlens, heads=(2, 1), alibi=alibi))
