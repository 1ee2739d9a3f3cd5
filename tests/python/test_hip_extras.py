"""Bias, softcap, ALiBi and dropout of backend="hip": the package's own kernels, executed in the emulator."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from typing import Any

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, Tensors, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from ck_fmha.functional import compute
from gpu_calls import DTYPES, EXTRAS
from guard_bands import guarded_allocations, guarded_copy
from hip_calls import ARCHS
from pairwise import pairwise

pytestmark = hip_emulator.needs_emulator

bf16, fp16, fp32 = torch.bfloat16, torch.float16, torch.float32


@pytest.fixture(autouse=True)
def emulated(monkeypatch) -> Iterator[None]:
    hip_emulator.set_environment(monkeypatch)
    yield
    hip_emulator.configure("")


# (130, 90): ragged tiles, and rows that attend nothing under the bottom-right causal mask.
PARAMETERS: dict[str, list[Any]] = {
    "extras": list(EXTRAS),
    "arch": ARCHS,
    "dtype": DTYPES,
    "head_dim": [64, 128, 256],
    "mask": ["causal", "window"],
    "heads": [(2, 2), (4, 2), (3, 1)],
    "seqlens": [(130, 90), (64, 150), (1, 70)],
    "deterministic": [False, True],
}
MASKS = {"causal": masks.Causal("bottom-right"), "window": masks.Window(50, 30)}  # of one structure
CASES = pairwise(PARAMETERS)


def assert_right(call: Call, tensors: Tensors | None = None, **options) -> None:
    tensors = make_tensors(call) if tensors is None else tensors
    assert_matches_reference(call, tensors, run(call, tensors, backend="hip", **options)._asdict())


def name_of(case: dict) -> str:
    return " ".join(str(value).replace("torch.", "").replace(", ", ",") for value in case.values())


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_pairs_of_parameters(case, monkeypatch):
    hip_emulator.set_environment(monkeypatch, case["arch"])
    sizes = {name: case[name] for name in ("dtype", "head_dim", "heads", "seqlens")}
    call = Call(MASKS[case["mask"]], batch=2, **sizes, **EXTRAS[case["extras"]])
    assert_right(call, deterministic=case["deterministic"])


def test_every_pair_of_parameters_is_among_the_cases():
    met = {(a, str(case[a]), b, str(case[b])) for case in CASES for a, b in combinations(PARAMETERS, 2)}
    for a, b in combinations(PARAMETERS, 2):
        for x, y in product(PARAMETERS[a], PARAMETERS[b]):
            assert (a, str(x), b, str(y)) in met


# Calls of few kernels: head_dim 32, the masks of one structure.
SMALL = Call(masks.Window(40, 30), fp16, 32, seqlens=(70, 90), heads=(2, 1), batch=2)


@pytest.mark.parametrize("softcap, scale", [(0.01, None), (2.0, -0.5), (1e4, None), (1e30, 2.0)])
def test_softcaps_of_any_size(softcap, scale):
    assert_right(replace(SMALL, softcap=softcap, scale=scale))


def test_tanh_is_accurate_from_tiny_to_huge():
    """With one key, LSE is the capped score: a formula that cancels near 0 shows here."""
    x = torch.cat([torch.logspace(-4, 4, 500), torch.linspace(0.2, 0.8, 300), torch.zeros(1)]).to(bf16)
    q = torch.zeros(1, 1, 2 * len(x), 8, dtype=bf16)
    q[0, 0, :, 0] = torch.cat([x, -x])
    one, everything = torch.ones(1, 1, 1, 8, dtype=bf16), masks.Window(-1, -1)
    for softcap in (0.37, 1.0, 50.0, 4096.0):
        options = {"scale": 1.0, "softcap": softcap, "return_lse": True, "backend": "hip"}
        _, lse = ck_fmha.attention(q, one, one, everything, **options)
        expected = softcap * torch.tanh(q[..., 0].double() / softcap)
        assert ((lse.double() - expected).abs() <= 8 * 2**-23 * expected.abs()).all()


@pytest.mark.parametrize("slope", [-0.25, 0.0, 1e4, 1e30])
def test_slopes_of_any_size_and_sign(slope):
    tensors = make_tensors(SMALL)._replace(slopes=torch.tensor([slope, 0.125]))
    assert_right(SMALL, tensors)


def test_a_reference_that_comes_from_far_below():
    """A slope puts the first tile's scores near -1e10; what the second tile adds to that is not lost beside it.

    A reference of 0 in the place of 160 - 10 would do as well in exact arithmetic, but halves end at e^11.
    """
    q = torch.ones(1, 1, 70, 32, dtype=fp16)
    k, v = 5 * torch.ones(1, 1, 90, 32, dtype=fp16), torch.randn(1, 1, 90, 32).half()
    options = {"scale": 1.0, "alibi_slopes": torch.tensor([1e10]), "return_lse": True, "backend": "hip"}
    out, lse = ck_fmha.attention(q, k, v, SMALL.mask, **options)
    assert torch.equal(out, v[:, :, 20:])  # of the one key at distance 0
    assert (lse == 160).all()


@pytest.mark.parametrize("bias", ["h1k", "b1q1", "k", ""])
def test_bias_that_queries_or_keys_share(bias):
    assert_right(replace(SMALL, bias=bias))


@pytest.mark.parametrize("memory", ["last stride 2", "offset", "expanded"])
def test_bias_may_lie_anywhere(memory):
    assert_right(replace(SMALL, bias="bhqk", bias_memory=memory))


def test_bias_that_masks_whole_rows():
    """By -inf they are empty; by the lowest number there is they attend everything alike, as on the CPU."""
    call = replace(SMALL, dtype=bf16, bias="bhqk", mask=masks.Window(-1, -1))
    tensors = make_tensors(call)
    tensors.bias[:, :, 3] = -math.inf
    tensors.bias[:, 1, 33:66] = -math.inf
    tensors.bias[:, :, 10:20] = torch.finfo(bf16).min
    tensors.bias[:, :, 20:30, :45] = torch.finfo(bf16).min
    results = run(call, tensors, backend="hip")
    assert (results.out[:, :, 3] == 0).all() and (results.lse[:, :, 3] == -math.inf).all()
    v = tensors.v.float().mean(2, keepdim=True).expand(2, 2, 10, 32)
    torch.testing.assert_close(results.out[:, :, 10:20].float(), v, rtol=0, atol=4e-3)
    assert_matches_reference(call, tensors, results._asdict())


def test_rows_that_are_cut():
    call = Call(masks.Causal("bottom-right"), fp16, 32, 40, (70, 1300), (2, 1), batch=1, dropout_p=0.3, dropout_seed=9)
    assert_right(replace(call, bias="hqk", bias_holes=0.5, softcap=5.0))
    assert_right(replace(call, alibi="h"))


@pytest.mark.parametrize("dropout_p", [1.0, 2**-16])
def test_dropout_of_everything_and_of_almost_nothing(dropout_p):
    assert_right(replace(SMALL, dropout_p=dropout_p, dropout_seed=1))


# A probability of 2^-16 drops those whose bits are all 0; with this seed that is three elements of the 25,200.
@pytest.mark.parametrize("dropout_p, seed", [(0.4, 2**63 - 1), (2**-16, 91)])
def test_dropout_keeps_what_dropout_mask_shows(dropout_p, seed):
    call = replace(SMALL, mask=masks.Window(-1, -1), dropout_p=dropout_p, dropout_seed=seed, scale=0.0)
    tensors = make_tensors(call)
    kept = ck_fmha.dropout_mask(2, 2, 70, 90, dropout_p, seed)
    assert not kept.all()
    eye = torch.zeros(2, 1, 90, 32, dtype=fp16)
    for first in (0, 32, 64):  # V tells the keys apart, 32 at a time
        v = eye.clone()
        rows = torch.arange(first, min(first + 32, 90))
        v[:, :, rows, rows - first] = 1
        out = run(call, tensors._replace(v=v), backend="hip").out
        assert torch.equal(out[..., : len(rows)] != 0, kept[..., rows])


def test_attn_mask_of_bool():
    """Together with a mask; K and V of what nobody attends are not looked at."""
    q, k, v, dout, *_ = make_tensors(replace(SMALL, heads=(2, 2)))
    attended = torch.rand(2, 1, 70, 90, generator=torch.Generator().manual_seed(1)) < 0.5
    attended[:, :, 7] = False
    q, k, v = (t.requires_grad_() for t in (q, k, v))
    results = []
    names = ("query", "key", "value", "attn_mask")
    for backend in ("hip", "cpu"):
        out, _ = compute(names, q, k, v, masks.Causal(), None, False, "bhsd", backend, attended=attended)
        results.append((out, *torch.autograd.grad(out, (q, k, v), dout)))
    assert (results[0][0][:, :, 7] == 0).all()
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-2, atol=4e-3)


ORDERS = ["work_groups=reverse", "work_groups=random waves=random interleave=7 completion=random seed=5"]


def test_the_gradient_of_a_shared_bias_is_deterministic_on_request():
    call = replace(SMALL, mask=masks.Window(-1, -1), heads=(4, 2), bias="qk", bias_dtype=fp32)
    tensors = make_tensors(call)

    def in_order(order: str, deterministic: bool) -> torch.Tensor:
        hip_emulator.configure(order)
        return run(call, tensors, backend="hip", deterministic=deterministic).dbias

    expected, added = in_order("", True), in_order("", False)
    assert all(bits_equal(in_order(order, True), expected) for order in ORDERS)
    assert not bits_equal(in_order(ORDERS[0], False), added)
    hip_emulator.configure("")
    assert_right(call, tensors, deterministic=True)


@pytest.mark.parametrize("bias", ["h1k", "q1"])
def test_an_order_that_is_not_covered_is_refused(raises, bias):
    call = replace(SMALL, bias=bias)
    tensors = make_tensors(call)
    raises(NotImplementedError, lambda: run(call, tensors, backend="hip", deterministic=True), "shape", r"bias\.expand")
    out = ck_fmha.attention(
        *tensors[:3], call.mask, enable_gqa=True, bias=tensors.bias, deterministic=True, backend="hip"
    )
    assert out.shape == (2, 2, 70, 32)  # without its gradient


@pytest.mark.parametrize("bias", ["bhqk", "hqk"])
def test_nothing_is_touched_outside_of_the_tensors(bias):
    call = replace(SMALL, bias=bias, alibi="bh", softcap=2.0)
    plain = make_tensors(call)
    guarded = [guarded_copy(t) for t in plain]
    with guarded_allocations():
        run(call, Tensors(*(g.tensor for g in guarded)), backend="hip")
    for g in guarded:
        g.assert_intact()


def test_explain_names_what_instances_compute():
    call = replace(SMALL, bias="hqk", bias_dtype=fp32, alibi="h", softcap=2.0, dropout_p=0.5)
    tensors = make_tensors(call)
    q, k, v, *_ = tensors
    told = ck_fmha.explain(q, k, v, call.mask, backend="hip", **call.options(), **tensors.extras())
    (launch,) = told.gpu.launches
    assert launch.instance == "fwd diagonal fp16 head_dim 32 4 waves softcap bias_fp32 alibi dropout gfx942"
