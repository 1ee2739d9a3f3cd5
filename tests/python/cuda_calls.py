"""Calls of backend="cuda" on an NVIDIA GPU."""

import pytest
import torch
from torch import Tensor

import ck_fmha
from calls import Call, Results, Tensors, assert_matches_reference, make_tensors, run


def why_not() -> str:
    if torch.version.cuda is None or not torch.cuda.is_available():
        return "no NVIDIA GPU here, or a PyTorch without CUDA"
    if torch.cuda.get_device_capability() < (8, 0):
        return f"{torch.cuda.get_device_name()} is older than sm_80"
    return ""


needs_gpu = pytest.mark.skipif(bool(why_not()), reason=why_not())


def on_gpu(tensors: Tensors) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v on the GPU, dense where they were not there."""
    q, k, v, *_ = tensors
    return q.cuda(), k.cuda(), v.cuda()


def on_cuda(call: Call, tensors: Tensors) -> tuple[Tensor, Tensor]:
    """out and lse, on the CPU."""
    q, k, v = on_gpu(tensors)
    out, lse = ck_fmha.attention(q, k, v, call.mask, return_lse=True, **call.options())
    return out.cpu(), lse.cpu()


def gradients_on_cuda(call: Call, tensors: Tensors, **options: bool) -> Results:
    """All results of a call, on the CPU; q, k and v may be on the GPU already."""
    results = run(call, tensors.map(torch.Tensor.cuda), **options)
    return Results(*(t.cpu() for t in results))


def explain(call: Call, tensors: Tensors) -> ck_fmha.Explanation:
    return ck_fmha.explain(*on_gpu(tensors), call.mask, **call.options())


def assert_right(call: Call, tensors: Tensors | None = None) -> tuple[Tensor, Tensor]:
    """Hold a call against the float64 reference; `tensors` may be on the GPU already."""
    tensors = make_tensors(call) if tensors is None else tensors
    out, lse = on_cuda(call, tensors)
    assert_matches_reference(call, tensors.map(torch.Tensor.cpu), {"out": out, "lse": lse})
    return out, lse
