"""Bias, softcap, ALiBi and dropout of backend="cuda", on an NVIDIA GPU."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import ck_fmha
import cuda_calls
from calls import Call, Tensors, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks
from ck_fmha.functional import compute
from cuda_calls import gradients_on_cuda
from gpu_calls import DTYPES, EXTRAS, HEAD_DIMS
from guard_bands import guarded_allocations, guarded_copy
from pairwise import pairwise

pytestmark = cuda_calls.needs_gpu

bf16, fp16 = torch.bfloat16, torch.float16

# (130, 90): ragged tiles, and rows that attend nothing under the bottom-right causal mask; (400, 400): half work-groups
# with the blocks.
MASKS = {
    "causal": masks.Causal("bottom-right"),
    "window": masks.Window(50, 30),
    "blocks": masks.BigBird(64, num_global_blocks=0, num_random_blocks=1, seed=2),
}
PARAMETERS: dict[str, list[Any]] = {
    "extras": list(EXTRAS),
    "dtype": DTYPES,
    "head_dim": HEAD_DIMS,
    "mask": list(MASKS),
    "heads": [(2, 2), (4, 2), (3, 1)],
    "seqlens": [(130, 90), (64, 150), (400, 400)],
    "deterministic": [False, True],
}
SMALL = Call(masks.Window(40, 30), fp16, 32, seqlens=(70, 90), heads=(2, 1), batch=2)


def assert_right(call: Call, tensors: Tensors | None = None, **options: bool) -> None:
    tensors = make_tensors(call) if tensors is None else tensors
    assert_matches_reference(call, tensors, gradients_on_cuda(call, tensors, **options)._asdict())


def name_of(case: dict) -> str:
    return " ".join(str(value).replace("torch.", "").replace(", ", ",") for value in case.values())


@pytest.mark.parametrize("case", pairwise(PARAMETERS), ids=name_of)
def test_pairs_of_parameters(case):
    sizes = {name: case[name] for name in ("dtype", "head_dim", "heads", "seqlens")}
    call = Call(MASKS[case["mask"]], batch=2, **sizes, **EXTRAS[case["extras"]])
    assert_right(call, deterministic=case["deterministic"])


@pytest.mark.parametrize("bias", ["h1k", "b1q1", "k", ""])
def test_bias_that_queries_or_keys_share(bias):
    assert_right(replace(SMALL, bias=bias))


@pytest.mark.parametrize("softcap, scale", [(0.01, None), (2.0, -0.5), (1e4, None), (1e30, 2.0)])
def test_softcaps_of_any_size(softcap, scale):
    assert_right(replace(SMALL, softcap=softcap, scale=scale))


@pytest.mark.parametrize("slope", [-0.25, 0.0, 1e4, 1e30])
def test_slopes_of_any_size_and_sign(slope):
    assert_right(SMALL, make_tensors(SMALL)._replace(slopes=torch.tensor([slope, 0.125])))


def test_rows_that_are_cut():
    call = Call(masks.Causal("bottom-right"), fp16, 32, 40, (70, 1300), (2, 1), batch=1, dropout_p=0.3, dropout_seed=9)
    assert_right(replace(call, bias="hqk", bias_holes=0.5, softcap=5.0))
    assert_right(replace(call, alibi="h"))


def test_dropout_has_the_bits_of_the_cpu():
    call = replace(SMALL, mask=masks.Window(-1, -1), dropout_p=0.4, dropout_seed=2**63 - 1, scale=0.0)
    tensors = make_tensors(call)
    kept = ck_fmha.dropout_mask(2, 2, 70, 90, call.dropout_p, call.dropout_seed)
    for first in (0, 32, 64):  # V tells the keys apart, 32 at a time
        v = torch.zeros(2, 1, 90, 32, dtype=fp16)
        rows = torch.arange(first, min(first + 32, 90))
        v[:, :, rows, rows - first] = 1
        out = gradients_on_cuda(call, tensors._replace(v=v)).out
        assert torch.equal(out[..., : len(rows)] != 0, kept[..., rows])


def test_attn_mask_of_bool():
    """Together with a mask; K and V of what nobody attends are not looked at."""
    q, k, v, dout, *_ = make_tensors(replace(SMALL, heads=(2, 2)))
    attended = torch.rand(2, 1, 70, 90, generator=torch.Generator().manual_seed(1)) < 0.5
    attended[:, :, 7] = False
    results = []
    for device in ("cuda", "cpu"):
        leaves = [t.to(device).requires_grad_() for t in (q, k, v)]
        names = ("query", "key", "value", "attn_mask")
        out, _ = compute(names, *leaves, masks.Causal(), None, False, "bhsd", "auto", attended=attended.to(device))
        results.append((out.cpu(), *(t.cpu() for t in torch.autograd.grad(out, leaves, dout.to(device)))))
    assert (results[0][0][:, :, 7] == 0).all()
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-2, atol=4e-3)


def test_the_gradient_of_a_shared_bias_is_deterministic_on_request():
    call = replace(SMALL, mask=masks.Window(-1, -1), heads=(4, 2), bias="qk", bias_dtype=torch.float32)
    tensors = make_tensors(call).map(torch.Tensor.cuda)
    expected = run(call, tensors, deterministic=True).dbias
    assert all(bits_equal(run(call, tensors, deterministic=True).dbias, expected) for _ in range(20))


@pytest.mark.parametrize("bias", ["bhqk", "hqk"])
def test_nothing_is_touched_outside_of_the_tensors(bias):
    call = replace(SMALL, bias=bias, alibi="bh", softcap=2.0)
    guarded = [guarded_copy(t, device="cuda") for t in make_tensors(call)]
    with guarded_allocations():
        run(call, Tensors(*(g.tensor for g in guarded)))
    for g in guarded:
        g.assert_intact()
