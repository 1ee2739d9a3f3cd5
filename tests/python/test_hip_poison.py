"""The poison rule for AMD GPUs: the kernels read no tile that the mask leaves empty, and no gap between rows.

The emulator also refuses every access outside of the tensors' elements.
"""

import itertools
import math
from dataclasses import replace

import pytest
import torch

import hip_calls
import hip_emulator
from calls import Call, Tensors, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import masks
from guard_bands import guarded_allocations, guarded_copy
from hip_calls import ARCHS, DTYPES, MASKS, explain, on_hip
from mask_cases import materialized, random_mask

pytestmark = hip_emulator.needs_emulator

# Masks with empty tiles of 128 x 64 elements, ragged last tiles, two query heads on a key head.
SEQLENS = (430, 300)
POISONED: dict[str, masks.Mask] = {
    "causal": masks.Causal(),
    "window": masks.Window(50, 3, "bottom-right", num_sinks=2),
    "prefix_lm": masks.PrefixLM(70),
    "longformer": masks.Longformer(16, global_tokens=3, causal=True),
    "longformer_tokens": masks.Longformer(4, global_tokens=[1, 250], causal=True),
    "big_bird": masks.BigBird(block_size=64, num_random_blocks=1, num_window_blocks=1, seed=1),
    "fixed": masks.Fixed(128, 0),
    "documents": masks.Documents([0, 128, 140, 390], [0, 30, 30, 210]),
    "lengths": masks.Lengths([9, 256], [200, 5]),
    "neighborhood": masks.Neighborhood((20, 15), (3, 5), border="clip"),
    "block_list": masks.BlockList.from_tensor(random_mask(*SEQLENS, 128, seed=3), 40),
    "deepspeed_variable": masks.DeepSpeedVariable(64, [1, 2], [3], attention="unidirectional"),
    "and": masks.BigBird(block_size=64, num_random_blocks=1, seed=1) & masks.Causal(),
    "or, not": masks.Window(5, 5) | ~masks.Causal() & masks.Window(-1, 90),
    "transpose, shift": masks.Causal().T.shift(130, 70) | masks.Window(0, 0),
    "per_head": masks.per_head([masks.Causal(), masks.Causal().T, masks.Window(3, 3), ~masks.Full()]),
    "per_sample": masks.per_sample([masks.Window(64, 0), masks.Documents([0, 90])]),
}


def statuses(call: Call, tensors: Tensors) -> tuple[int, dict[tuple[int, int], tuple[int, torch.Tensor]]]:
    """Columns of the tiles; by sample and head, their rows and which of them are live."""
    plan = explain(call, tensors).gpu.native
    found = {}
    for sample, head in itertools.product(range(call.batch), range(call.heads[0])):
        rows, columns = plan.tile_of(sample, head)
        status = call.mask.tile_status(*call.seqlens, (rows, columns), batch=sample, head=head)
        found[sample, head] = rows, status != 0
    return columns, found


def assert_keys_of_empty_tiles_are_not_read(call: Call, value: float) -> None:
    tensors = make_tensors(call)
    clean, attended = on_hip(call, tensors), materialized(call.mask, call.batch, call.heads[0], call.seqlens)
    columns, found = statuses(call, tensors)
    num_empty = 0
    for column in range(-(-call.seqlens[1] // columns)):
        here = slice(column * columns, (column + 1) * columns)
        k, v = tensors.k.clone(), tensors.v.clone()
        k[:, :, here], v[:, :, here] = value, value
        poisoned = on_hip(call, tensors._replace(k=k, v=v))
        for at, (rows, live) in found.items():
            blind = ~live[:, column].repeat_interleave(rows)[: call.seqlens[0]]
            num_empty += int(blind.sum())
            for name, a, b in zip(("out", "lse"), poisoned, clean, strict=True):
                assert bits_equal(a[at][blind], b[at][blind]), f"{name}, sample and head {at}, column tile {column}"
        shows = attended[..., here].any(-1)
        assert not poisoned[0][shows].isfinite().any(), "the poison itself does not show"
    assert num_empty, "no tile is empty: nothing was tested"


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
