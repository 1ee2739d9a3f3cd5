"""How evenly the work of a call is cut: the longest-running work-group beside the mean, by clocks in the kernels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

import ck_fmha
from ck_fmha import _native
from ck_fmha._compiler_base import VENDORS
from ck_fmha._gpu_driver import load_driver
from ck_fmha._instances import modules
from ck_fmha.masks import Mask

_CLOCKS = "ck_fmha_clocks"  # csrc/gpu/tile/group_clock.hpp


@contextmanager
def _kernels_with_clocks() -> Iterator[None]:
    variable = VENDORS["nvidia"].flags_variable
    before = os.environ.get(variable)
    os.environ[variable] = f"{before or ''} -DCK_FMHA_CLOCKS".strip()
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def balance(mask: Mask, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, backend: str = "auto") -> dict[str, float]:
    """Return longest / mean clocks of the work-groups of the forward's and the backward's products.

    Args:
        mask: One whose heads have masks of one structure.
        q: (batch, num_heads, seqlen, head_dim), bfloat16.
        k: Of q's shape.
        v: Of q's shape.
        backend: ``"auto"`` or ``"cuda"``.
    """
    batch, heads, seqlen_q, head_dim = q.shape
    sizes = (batch, heads, heads, seqlen_q, k.shape[2], head_dim, head_dim)
    driver, device = load_driver("cuda"), max(q.get_device(), 0)
    find: dict[str, Callable[..., _native.GpuPlan]] = {"fwd": _native.GpuPlan.find, "bwd": _native.GpuPlan.find_columns}
    with _kernels_with_clocks():
        leaves = [t.detach().clone().requires_grad_() for t in (q, k, v)]
        out = ck_fmha.attention(leaves[0], leaves[1], leaves[2], mask, backend=backend)
        torch.autograd.grad(out, leaves, torch.ones_like(out))
        found = {}
        for kernels, plan in find.items():
            groups = plan(driver, device, mask.native, sizes).groups
            (module,) = modules(driver, device, groups, "bf16", _native.instance_head_dim(head_dim, head_dim), kernels)
            clocks = torch.frombuffer(bytearray(module.read_variable(_CLOCKS)), dtype=torch.int64)
            clocks = clocks[clocks > 0].double()
            found[kernels] = float(clocks.max() / clocks.mean())
    return found
