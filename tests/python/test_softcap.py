"""Softcap: softcap * tanh(scale q k^T / softcap), before bias and mask."""

import math

import pytest
import torch

import ck_fmha
from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from gradients import assert_gradients_are_numerical
from random_calls import DTYPES


def check(call: Call) -> None:
    tensors = make_tensors(call)
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


@pytest.mark.parametrize("softcap", [0.01, 0.5, 2.0, 30.0, 1e4, 1e30])
@pytest.mark.parametrize("scale", [None, -0.5, 2.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_against_the_reference(dtype, scale, softcap):
    """At 1e30 and beyond it is no cap at all, and must not cost any accuracy."""
    check(Call(masks.Window(40, 9), dtype, seqlens=(90, 77), heads=(4, 2), scale=scale, softcap=softcap))


@pytest.mark.parametrize(
    "mask", [None, masks.Causal(), masks.Causal("bottom-right"), masks.BigBird(block_size=16), ~masks.Full()]
)
def test_masked_elements_stay_masked(mask):
    """-inf is put in after the cap; the cap of it would be a number."""
    check(Call(mask, seqlens=(130, 100), softcap=0.25))


def test_bias_and_slopes_are_not_capped():
    check(Call(masks.Window(40, 40), seqlens=(80, 80), softcap=0.1, bias="hqk", bias_holes=0.2, alibi="h"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("softcap", [0.37, 1.0, 50.0, 4096.0])
def test_tanh_is_accurate_from_tiny_to_huge(dtype, softcap):
    """With one key, lse is the capped score: a formula that cancels near 0 shows here."""
    x = torch.cat([torch.logspace(-12, 5, 4000), torch.tensor([0.0])]).to(dtype)
    q = torch.cat([x, -x]).view(1, 1, -1, 1)
    one = torch.ones(1, 1, 1, 1, dtype=dtype)
    _, lse = ck_fmha.attention(q, one, one, scale=1.0, softcap=softcap, return_lse=True)
    expected = softcap * torch.tanh(q[..., 0].double() / softcap)
    error = (lse.double() - expected).abs()
    eps = torch.finfo(dtype).eps
    worst = int((error - 8 * eps * expected.abs()).argmax())
    assert (error <= 8 * eps * expected.abs()).all(), (
        f"softcap({float(q.flatten()[worst])}) is {float(lse.flatten()[worst])}, not {float(expected.flatten()[worst])}"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivative_of_the_cap(dtype):
    """With one key and dLSE of one, dq is 1 - tanh^2."""
    x = torch.linspace(-6, 6, 999, dtype=dtype)
    q = x.view(1, 1, -1, 1).clone().requires_grad_()
    one = torch.ones(1, 1, 1, 1, dtype=dtype)
    _, lse = ck_fmha.attention(q, one, one, scale=1.0, softcap=1.5, return_lse=True)
    (dq,) = torch.autograd.grad(lse.sum(), q)
    expected = 1 / torch.cosh(x.double() / 1.5) ** 2
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(dq.flatten().double(), expected, rtol=0, atol=8 * eps)


def test_saturated_scores_give_numbers_and_pass_nothing_on():
    q, k, v = (torch.randn(1, 2, 50, 16, requires_grad=True) for _ in range(3))
    out, lse = ck_fmha.attention(q, k, v, softcap=1e-3, scale=1e30, return_lse=True)
    torch.testing.assert_close(out, v.mean(2, keepdim=True).expand_as(out), rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(lse, torch.full_like(lse, math.log(50)), rtol=0, atol=2e-3)
    dq, dk, dv = torch.autograd.grad(out.square().sum(), (q, k, v))
    assert all(t.isfinite().all() for t in (dq, dk, dv))


def test_zero_is_off():
    call = Call(masks.Causal(), seqlens=(70, 80))
    tensors = make_tensors(call)
    plain = run(call, tensors)
    for off in (0.0, 0):
        assert all(bits_equal(a, b) for a, b in zip(run(call, tensors, softcap=off), plain, strict=True))


def test_an_int_is_a_number():
    call = Call(masks.Causal(), seqlens=(70, 80))
    tensors = make_tensors(call)
    one, two = run(call, tensors, softcap=30), run(call, tensors, softcap=30.0)
    assert all(bits_equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("softcap", [0.3, 2.0, 40.0])
@pytest.mark.parametrize("mask", [None, masks.Window(3, 1, "bottom-right")])
def test_gradients_are_numerical(mask, softcap):
    call = Call(mask, torch.float64, head_dim=2, seqlens=(6, 5), heads=(2, 1), scale=1.3, softcap=softcap)
    assert_gradients_are_numerical(call)
