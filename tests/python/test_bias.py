"""Additive bias: every way to broadcast and to lie in memory, -inf, its gradient."""

import math
from itertools import product

import pytest
import torch

import ck_fmha
from calls import BIAS_MEMORY, Call, assert_matches_reference, bits_equal, forward, make_tensors, run
from ck_fmha import masks
from gradients import assert_gradients_are_numerical
from random_calls import DTYPES
from scripts import run_script

BROADCASTS = [
    "".join(dimensions)
    for length in range(5)
    for dimensions in product(*((name, "1") for name in "bhqk"[4 - length :]))
]
HALVES = [torch.bfloat16, torch.float16]


def check(call: Call) -> None:
    tensors = make_tensors(call)
    results = run(call, tensors)
    assert results.dbias.shape == tensors.bias.shape
    assert_matches_reference(call, tensors, results._asdict())


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("bias", BROADCASTS, ids=lambda bias: bias or "scalar")
def test_every_broadcast(bias, layout):
    """The bias has its own order of dimensions, whatever the layout of q."""
    number = BROADCASTS.index(bias)
    check(
        Call(
            [None, masks.Longformer(20, 3), masks.Causal("bottom-right")][number % 3],
            DTYPES[number % 4],
            seqlens=(90, 77),
            heads=(4, 2),
            layout=layout,
            bias=bias,
            bias_dtype=torch.float32 if number % 5 == 0 else None,
        )
    )


@pytest.mark.parametrize("memory", BIAS_MEMORY)
@pytest.mark.parametrize("bias", ["bhqk", "h1k", "b1q1", "qk", "k"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_strides(dtype, bias, memory):
    check(Call(masks.Window(30, 9), dtype, seqlens=(70, 99), bias=bias, bias_memory=memory))


@pytest.mark.parametrize("dimension", range(4))
def test_expanded_bias_is_the_bias_written_out(dimension):
    call = Call(masks.Causal(), seqlens=(70, 80), heads=(4, 2), bias="bhqk")
    tensors = make_tensors(call)
    expanded = tensors.bias.narrow(dimension, 0, 1).expand_as(tensors.bias)
    assert expanded.stride(dimension) == 0
    results = run(call, tensors._replace(bias=expanded))
    written_out = run(call, tensors._replace(bias=expanded.contiguous()))
    assert all(bits_equal(a, b) for a, b in zip(results, written_out, strict=True))


@pytest.mark.parametrize("dtype", [*HALVES, torch.float64])
@pytest.mark.parametrize("bias_dtype", [None, torch.float32])
def test_dtype_of_the_gradient_is_that_of_the_bias(dtype, bias_dtype):
    check(Call(None, dtype, seqlens=(130, 90), bias="hqk", bias_dtype=bias_dtype))


@pytest.mark.parametrize("holes", [0.05, 0.5, 0.97])
@pytest.mark.parametrize("mask", [None, masks.Window(5, 5), masks.BigBird(block_size=16)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_minus_infinity_masks(dtype, mask, holes):
    check(Call(mask, dtype, seqlens=(90, 77), bias="1hqk", bias_holes=holes))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask", [None, masks.Causal(), masks.Longformer(8, 2)])
def test_rows_whose_elements_are_all_minus_infinity_are_empty(dtype, mask):
    """Single rows, a whole tile of them, and rows that mask and bias empty together."""
    call = Call(mask, dtype, seqlens=(200, 150), bias="bhqk")
    tensors = make_tensors(call)
    tensors.bias[:, :, 3] = -math.inf
    tensors.bias[:, 1, 60:140] = -math.inf
    tensors.bias[0, :, 150, :149] = -math.inf
    tensors.bias[:, :, 9, :10] = -math.inf
    results = run(call, tensors)
    attended = tensors.bias > -math.inf
    if mask is not None:
        attended = attended & mask.materialize(*call.seqlens)
    empty = ~attended.any(3)
    assert empty[:, :, 3].all() and empty[:, 1, 60:140].all()
    assert (results.out[empty] == 0).all() and (results.lse[empty] == -math.inf).all()
    assert (results.dq[empty] == 0).all() and (results.dbias[empty] == 0).all()
    assert (results.lse[~empty] > -math.inf).all()
    assert (results.dbias[~attended] == 0).all()
    assert_matches_reference(call, tensors, results._asdict())


@pytest.mark.parametrize("bias", ["", "b1q1", "h11"])
def test_everything_minus_infinity(bias):
    call = Call(masks.Causal(), seqlens=(70, 80), bias=bias, bias_holes=1.0)
    results = run(call, make_tensors(call))
    assert (results.lse == -math.inf).all()
    assert all((t == 0).all() for t in (results.out, *results[2:]))


def test_minus_infinity_says_what_a_mask_says():
    mask = masks.BigBird(block_size=16) & masks.Causal()
    call = Call(mask, seqlens=(150, 150))
    tensors = make_tensors(call)
    hidden = torch.stack([~mask.materialize(150, 150, head=head) for head in range(2)])
    as_bias = torch.zeros(2, 150, 150).masked_fill(hidden, -math.inf)
    q, k, v, *_ = tensors
    for mine, other in zip(
        ck_fmha.attention(q, k, v, bias=as_bias, return_lse=True),
        ck_fmha.attention(q, k, v, mask, return_lse=True),
        strict=True,
    ):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("bias", ["bhqk", "h1k", "q1", "k", ""])
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_gradients_are_numerical(bias, layout):
    call = Call(
        masks.Window(4, 1, "bottom-right"),
        torch.float64,
        head_dim=2,
        seqlens=(6, 5),
        heads=(2, 1),
        bias=bias,
        bias_holes=0.2 if bias else 0.0,
        layout=layout,
    )
    assert_gradients_are_numerical(call)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_bias_requires_grad(dtype):
    call = Call(masks.Causal(), dtype, seqlens=(70, 80), heads=(4, 2), bias="h1k")
    tensors = make_tensors(call)
    everything = run(call, tensors)
    q, k, v, dout, dlse, bias, _ = tensors
    bias.requires_grad_()
    out, lse = ck_fmha.attention(q, k, v, call.mask, enable_gqa=True, bias=bias, return_lse=True)
    (dbias,) = torch.autograd.grad((out, lse), bias, (dout, dlse))
    assert bits_equal(dbias, everything.dbias)


def test_gradients_without_that_of_the_bias():
    call = Call(masks.Causal(), seqlens=(70, 80), bias="1hqk")
    tensors = make_tensors(call)
    everything = run(call, tensors)
    q, k, v = (t.clone().requires_grad_() for t in tensors[:3])
    out, lse = ck_fmha.attention(q, k, v, call.mask, bias=tensors.bias, return_lse=True)
    grads = torch.autograd.grad((out, lse), (q, k, v), (tensors.dout, tensors.dlse))
    assert all(bits_equal(a, b) for a, b in zip(grads, everything[2:5], strict=True))


def test_a_bias_of_zero_changes_nothing_visible():
    call = Call(masks.Causal(), seqlens=(70, 80))
    tensors = make_tensors(call)
    plain, biased = run(call, tensors), run(call, tensors, bias=torch.zeros(()))
    for a, b in zip(plain, biased, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_for_a_row_moves_lse_alone(dtype):
    call = Call(masks.Causal(), dtype, seqlens=(70, 80))
    tensors = make_tensors(call)
    constant = torch.randint(-50, 50, (2, 2, 70, 1)).to(dtype)
    out, lse = forward(call, tensors)
    moved, moved_lse = forward(call, tensors._replace(bias=constant))
    torch.testing.assert_close(moved, out, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(moved_lse, lse + constant[..., 0], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("size", [1e4, -1e4, 1e30])
def test_large_biases_do_not_overflow(size):
    call = Call(masks.Window(30, 30), seqlens=(100, 100), bias="hqk")
    tensors = make_tensors(call)
    tensors = tensors._replace(bias=torch.where(torch.rand(2, 100, 100) < 0.1, size, tensors.bias))
    results = run(call, tensors)
    assert all(t.isfinite().all() for t in results)
    assert_matches_reference(call, tensors, {"out": results.out})


def test_the_bias_goes_through_autograd_to_what_it_is_made_of():
    """A table of relative positions, as T5 has it."""
    table = torch.randn(2, 40, requires_grad=True)
    distance = (torch.arange(40)[:, None] - torch.arange(40)).abs()
    q, k, v = (torch.randn(2, 2, 40, 16) for _ in range(3))
    grads = [
        torch.autograd.grad(out.square().sum(), table)[0]
        for out in (
            ck_fmha.attention(q, k, v, bias=table[:, distance]),
            torch.nn.functional.scaled_dot_product_attention(q, k, v, table[:, distance]),
        )
    ]
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


MEMORY_SCRIPT = """
import resource, torch, ck_fmha
n = 32768
q, k, v = (torch.randn(1, 1, n, 16, requires_grad=True) for _ in range(3))
bias = torch.randn({shape}, requires_grad=True)
mask = ck_fmha.masks.Window(32, 0)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
small = bias if bias.dim() == 0 else bias[..., :1]
ck_fmha.attention(q[:, :, :64], k[:, :, :64], v[:, :, :64], mask, bias=small[..., :1, :]
                  if bias.dim() > 1 else small).sum().backward()
before = peak()
ck_fmha.attention(q, k, v, mask, bias=bias).sum().backward()
print(peak() - before)
"""


@pytest.mark.parametrize("shape", ["n", "n, 1", "1, 1, 1, n"])
def test_broadcast_biases_are_not_written_out(shape):
    """Written out, the bias or its gradient would take 4,096 MiB at 32,768 tokens."""
    assert float(run_script(MEMORY_SCRIPT.format(shape=shape))) < 200
