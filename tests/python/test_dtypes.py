"""float16 and float64: gradients of every mask to numerical ones, exact conversions, the ends of the ranges."""

import math

import pytest
import torch

import ck_fmha
from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import _native, masks
from gradients import assert_gradients_are_numerical
from mask_cases import ALL, build, name_of
from random_calls import DTYPES

STATISTICS = {dtype: torch.float64 if dtype == torch.float64 else torch.float32 for dtype in DTYPES}


@pytest.mark.parametrize("case", [case for case in ALL if any(map(min, case.shapes))], ids=name_of)
def test_gradients_of_every_definition(case):
    """Of out and lse, by torch's own finite differences, at the smallest shape that shows something."""
    shape = min((shape for shape in case.shapes if min(shape) >= 5), key=sum, default=case.shapes[-1])
    batch = case.batch if case.name == "Lengths" else 1
    heads = (1, 1) if case.name.startswith("BlockList") else (case.heads, max(case.heads // 2, 1))
    call = Call(
        build(case),
        torch.float64,
        head_dim=2,
        head_dim_v=1,
        seqlens=shape,
        heads=heads,
        batch=batch,
    )
    assert_gradients_are_numerical(call)


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("scale", [0.0, -0.7])
@pytest.mark.parametrize(
    "mask",
    [
        None,
        ~masks.Full(),
        masks.Causal("bottom-right"),
        masks.per_head([masks.Causal(), masks.Window(2, 1).T]) & ~masks.Window(0, 0),
        masks.per_sample([masks.Causal().shift(2, 1), masks.Documents([0, 4, 7])]),
    ],
)
def test_gradients_of_combinations(mask, scale, layout):
    assert_gradients_are_numerical(
        Call(mask, torch.float64, head_dim=3, head_dim_v=2, seqlens=(9, 8), heads=(2, 1), scale=scale, layout=layout)
    )


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_of_the_results(dtype, layout):
    call = Call(masks.Causal(), dtype, heads=(4, 2), layout=layout)
    results = run(call, make_tensors(call))
    assert results.lse.dtype == STATISTICS[dtype]
    assert {t.dtype for t in (results.out, results.dq, results.dk, results.dv)} == {dtype}


@pytest.mark.parametrize("seqlens", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_of_nothing(dtype, seqlens):
    call = Call(masks.Causal(), dtype, seqlens=seqlens)
    results = run(call, make_tensors(call))
    assert results.out.dtype == dtype and results.lse.dtype == STATISTICS[dtype]
    assert (results.out == 0).all() and (results.lse == -math.inf).all()


def test_float64_never_passes_through_float32():
    """Powers of two that float32 does not hold move the exponents of the results and nothing else."""
    call = Call(masks.Longformer(20, 2), torch.float64, seqlens=(90, 70), heads=(4, 2))
    tensors = make_tensors(call)
    results = run(call, tensors)
    up = 2.0**400
    scaled = run(call, tensors._replace(q=tensors.q * up, k=tensors.k / up, v=tensors.v * up, dout=tensors.dout / up))
    assert bits_equal(scaled.out, results.out * up) and bits_equal(scaled.lse, results.lse)
    assert bits_equal(scaled.dq, results.dq / up)
    assert bits_equal(scaled.dk, results.dk * up)
    assert bits_equal(scaled.dv, results.dv / up)


def test_float64_keeps_differences_that_float32_loses():
    q = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    k = torch.tensor([1000.0, 1000.0 + 1e-9], dtype=torch.float64).view(1, 1, 2, 1)
    v = torch.tensor([1.0, 1.0 + 2e-12], dtype=torch.float64).view(1, 1, 2, 1)
    out, lse = ck_fmha.attention(q, k, v, scale=1.0, return_lse=True)
    assert abs(float(out) - 1 - 1e-12) < 5e-16
    assert abs(float(lse) - 1000 - math.log(2) - 0.5e-9) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_number_passes_through_unchanged(dtype):
    """One key: out is v, and dv is dout, over all finite numbers of the dtype, subnormal ones included.

    But for the processor's products of bfloat16, which take subnormal numbers for zero.
    """
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype).view(1, 256, 1, 256)
    every = every.masked_fill(~every.isfinite(), 0)
    if dtype == torch.bfloat16 and _native.isa_name().startswith(("avx512_bf16", "avx512_amx")):
        every = every.masked_fill(every.abs() < torch.finfo(dtype).smallest_normal, 0)
    v = every.clone().requires_grad_()
    q, k = torch.zeros(1, 256, 1, 8, dtype=dtype), torch.zeros(1, 256, 1, 8, dtype=dtype)
    out = ck_fmha.attention(q, k, v)
    (dv,) = torch.autograd.grad(out, v, every)
    assert torch.equal(out, every) and torch.equal(dv, every)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("exponents", [(-24, -10), (-4, 4), (10, 14)])
def test_results_are_rounded_to_nearest_even(dtype, exponents):
    """Two keys alike: out is their values' mean, exact before it is stored."""
    size = 2.0 ** torch.randint(*exponents, (1, 16, 2, 256))
    v = (size * torch.randn(1, 16, 2, 256)).to(dtype)
    zeros = torch.zeros(1, 16, 2, 8, dtype=dtype)
    expected = v.float().mean(2, keepdim=True).to(dtype)
    assert torch.equal(ck_fmha.attention(zeros[:, :, :1], zeros, v), expected)


def test_scores_beyond_float16_are_numbers():
    """q k^T reaches millions, which float16 does not hold; the scale brings them back."""
    call = Call(masks.Window(20, 20), torch.float16, head_dim=64, seqlens=(90, 90), scale=1e-5)
    tensors = make_tensors(call)
    tensors = tensors._replace(q=tensors.q * 200, k=tensors.k * 200)
    assert (tensors.q.float() @ tensors.k.float().mT).abs().max() > 1e6
    assert_matches_reference(call, tensors, run(call, tensors)._asdict())


def test_values_at_the_end_of_float16_do_not_overflow():
    """The sum of P V is past the range before it is divided; the result is not."""
    v = torch.full((1, 1, 300, 16), 65504.0, dtype=torch.float16)
    q, k = torch.randn(1, 1, 100, 16).half(), torch.randn(1, 1, 300, 16).half()
    out = ck_fmha.attention(q, k, v)
    assert (out - v[:, :, :1]).abs().max() <= 32  # one unit in the last place


def test_float16_gradients_past_the_range_are_infinite():
    v = torch.ones(1, 1, 1, 8, dtype=torch.float16, requires_grad=True)
    q, k = torch.zeros(1, 1, 4, 8, dtype=torch.float16), torch.zeros(1, 1, 1, 8, dtype=torch.float16)
    signs = torch.tensor([1.0, -1.0] * 4, dtype=torch.float16)
    (dv,) = torch.autograd.grad(ck_fmha.attention(q, k, v), v, (60000 * signs).expand(1, 1, 4, 8))
    assert torch.equal(dv, (math.inf * signs).view(1, 1, 1, 8))


def test_subnormal_float16_inputs_count():
    """Keys of a few times 2^-24 against queries of 2^14 make scores of order one."""
    call = Call(masks.Causal(), torch.float16, head_dim=8, seqlens=(70, 70), scale=64.0)
    tensors = make_tensors(call)
    q = torch.full_like(tensors.q, 2.0**14)
    k = (torch.randint(-9, 10, tensors.k.shape) * 2.0**-24).half()
    tensors = tensors._replace(q=q, k=k, dout=tensors.dout / 64)
    assert (k != 0).any() and k.abs().max() < torch.finfo(torch.float16).smallest_normal
    results = run(call, tensors)
    assert results.lse.std() > 0.1
    assert_matches_reference(call, tensors, {name: getattr(results, name) for name in ("out", "lse", "dq", "dv")})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_probabilities_of_many_keys_add_up(dtype):
    """Four thousand keys of 1/4096 each: P itself is small, its sum is one."""
    call = Call(None, dtype, head_dim=16, seqlens=(5, 4096), heads=(1, 1), batch=1, scale=0.1)
    tensors = make_tensors(call)
    tensors = tensors._replace(v=torch.ones_like(tensors.v))
    results = run(call, tensors)
    torch.testing.assert_close(results.out, torch.ones_like(results.out), rtol=0, atol=torch.finfo(dtype).eps)
    assert_matches_reference(call, tensors, results._asdict())
