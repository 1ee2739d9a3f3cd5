"""The poison rule for AMD GPUs: the kernels read no tile that the mask leaves empty, and no gap between rows.

The emulator also refuses every access outside of the tensors' elements.
"""

import math
from dataclasses import replace

import pytest
import torch

import hip_calls
import hip_emulator
from calls import Call, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import masks
from gpu_calls import DTYPES, MASKS, POISONED, SEQLENS
from gpu_calls import assert_keys_of_empty_tiles_are_not_read as assert_not_read
from guard_bands import guarded_allocations, guarded_copy
from hip_calls import ARCHS, explain, on_hip
from mask_cases import materialized

pytestmark = hip_emulator.needs_emulator


def assert_keys_of_empty_tiles_are_not_read(call: Call, value: float) -> None:
    assert_not_read(call, value, on_hip, explain)


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("name", POISONED)
def test_keys_of_empty_tiles_are_not_read(name, arch, monkeypatch):
    hip_calls.use(monkeypatch, arch)
    number = list(POISONED).index(name) + ARCHS.index(arch)
    call = Call(POISONED[name], DTYPES[number % 2], 56, 40, seqlens=SEQLENS, heads=(4, 2), batch=2)
    assert_keys_of_empty_tiles_are_not_read(call, (math.nan, math.inf)[number // 2 % 2])


@pytest.mark.parametrize(
    "call",
    [
        Call(masks.Causal("bottom-right"), torch.float16, 256, 64, seqlens=(260, 700), heads=(2, 1), batch=1),
        Call(masks.Longformer(30, 40), torch.float16, 64, seqlens=(200, 1300), heads=(1, 1), batch=1),
    ],
    ids=["head_dim 256", "cut rows"],
)
def test_those_of_large_heads_and_cut_rows_are_not_either(call, monkeypatch):
    hip_calls.use(monkeypatch, "gfx942")
    assert explain(call, make_tensors(call)).gpu.num_merges > 0
    assert_keys_of_empty_tiles_are_not_read(call, math.nan)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("head_dims", [(32, 32), (64, 64), (128, 120), (256, 200)])
@pytest.mark.parametrize("name", POISONED)
def test_no_kernel_reads_empty_tiles(name, head_dims, dtype, arch, monkeypatch):
    hip_calls.use(monkeypatch, arch)
    call = Call(POISONED[name], dtype, *head_dims, seqlens=SEQLENS, heads=(4, 2), batch=2)
    for value in (math.nan, math.inf):
        assert_keys_of_empty_tiles_are_not_read(call, value)


def test_heads_and_samples_do_not_read_each_other(monkeypatch):
    hip_calls.use(monkeypatch, "gfx942")
    call = Call(masks.Causal("bottom-right"), torch.float16, 64, seqlens=(150, 700), heads=(4, 2), batch=3)
    tensors = make_tensors(call)
    clean = on_hip(call, tensors)
    poisoned = tensors.map(torch.Tensor.clone)
    poisoned.k[1, 1], poisoned.v[1, 1], poisoned.q[2, 0] = math.nan, math.nan, math.nan
    touched = torch.zeros(3, 4, dtype=torch.bool)
    touched[1, 2:], touched[2, 0] = True, True
    for a, b in zip(on_hip(call, poisoned), clean, strict=True):
        assert bits_equal(a[~touched], b[~touched])
        assert a[touched].isnan().any(-1).all()


# Strides that the kernels take as they are. Rows begin at multiples of 16 bytes.
STRIDES = {
    "contiguous": lambda b, h, s, d: (h * s * d, s * d, d, 1),
    "rows 8 apart": lambda b, h, s, d: (h * s * (d + 8), s * (d + 8), d + 8, 1),
    "heads inside, 16 apart": lambda b, h, s, d: (s * h * (d + 16) + 8, d + 16, h * (d + 16), 1),
    "batch inside": lambda b, h, s, d: (d + 8, s * b * (d + 8), b * (d + 8), 1),
}


@pytest.mark.parametrize("arch, dtype", [("gfx942", torch.bfloat16), ("gfx90a", torch.float16)])
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("head_dim, head_dim_v", [(64, 64), (24, 40), (256, 200)])
def test_stride_gaps_and_guard_bands(strides, head_dim, head_dim_v, dtype, arch, monkeypatch):
    """Gaps and bands of NaN round inputs, outputs and the workspace, which themselves start as NaN."""
    hip_calls.use(monkeypatch, arch)
    mask = masks.Longformer(30, 140)  # its first rows are cut
    call = Call(mask, dtype, head_dim, head_dim_v, seqlens=(330, 610), heads=(2, 1), batch=2)
    plain = make_tensors(call)
    guarded = [guarded_copy(t, STRIDES[strides](*t.shape)) for t in plain[:3]]
    tensors = plain._replace(**dict(zip("qkv", (g.tensor for g in guarded), strict=True)))
    gpu = explain(call, tensors).gpu
    assert not gpu.copies and gpu.num_merges > 0
    with guarded_allocations() as made:
        out, lse = on_hip(call, tensors)
    for g in guarded:
        g.assert_intact()
    assert {t.data_ptr() for t in (out, lse)} <= {g.tensor.data_ptr() for g in made}
    assert len(made) == 3, "out, lse and the workspace"
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


@pytest.mark.parametrize("name", ["empty", "lengths", "documents", "per_sample"])
@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
def test_every_output_element_is_written(name, layout, monkeypatch):
    """Also in rows that no work-group computes anything for."""
    hip_calls.use(monkeypatch, "gfx942")
    call = Call(None, torch.float16, 64, 56, seqlens=(300, 130), layout=layout)
    call = replace(call, mask=MASKS[name](call))
    assert not materialized(call.mask, 2, 2, call.seqlens).any(3).all(), "every row attends something"
    tensors = make_tensors(call)
    with guarded_allocations():
        out, lse = on_hip(call, tensors)
    assert not out.isnan().any() and not lse.isnan().any()
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})
