"""What the host hands to kernels on AMD GPUs, seen through a kernel that is the formula and no more."""

from collections.abc import Iterator

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import masks
from guard_bands import guarded_allocations, guarded_copy

pytestmark = hip_emulator.needs_emulator

TABLE = torch.randint(0, 6, (2, 6, 2), generator=torch.Generator().manual_seed(3))
LAYOUT = torch.rand(90, 100, generator=torch.Generator().manual_seed(4)) < 0.4

# Every definition, and every way to combine them.
MASKS = {
    "full": None,
    "diagonal": masks.Window(20, 7, "bottom-right", num_sinks=3),
    "prefix_lm": masks.PrefixLM(30),
    "longformer": masks.Longformer(16, 5, 2),
    "longformer_tokens": masks.Longformer(16, [3, 40, 41, 89]),
    "longformer by head": masks.Longformer(16, 0, (1, 3)),
    "big_bird": masks.BigBird(block_size=16, num_random_blocks=2, seed=42),
    "big_bird_table": masks.BigBird(block_size=16, num_global_blocks=0, random_blocks=TABLE),
    "strided": masks.Strided(9, 13),
    "fixed": masks.Fixed(24, 3),
    "documents": masks.Documents([0, 30, 31, 80], [0, 50, 60, 99], causal="bottom-right"),
    "lengths": masks.Lengths([70, 90], [100, 33], padding="left"),
    "neighborhood": masks.Neighborhood((9, 10), (5, 3), (1, 2), border="clip").shift(0, 10),
    "block_list": masks.BlockList.from_tensor(LAYOUT, (32, 24)),
    "deepspeed_fixed": masks.DeepSpeedFixed(num_local_blocks=4, num_different_global_patterns=2),
    "deepspeed_variable": masks.DeepSpeedVariable(local_window_blocks=[2, 3], global_block_indices=[0, 4]),
    "deepspeed_longformer": masks.DeepSpeedLongformer(global_block_indices=[1, 5]),
    "deepspeed_big_bird": masks.DeepSpeedBigBird(num_random_blocks=1, seed=7),
    "and": masks.BigBird(block_size=16, num_random_blocks=1) & masks.Causal(),
    "or, not": masks.Longformer(8, [60]) | ~masks.Strided(9, 13),
    "transpose": masks.Documents([0, 30, 80]).T,
    "nested": (~masks.Causal() & masks.Strided(5, 7).T).shift(-8, 4) | masks.Window(2, 2),
    "per_head": masks.per_head([masks.Causal(), masks.BlockList.from_tensor(LAYOUT, (32, 24))]),
    "per_sample": masks.per_sample([masks.Lengths([50, 60], [70, 80]), masks.Window(5, 5)]),
    "empty": ~masks.Full(),
}


@pytest.fixture(autouse=True)
def emulated(monkeypatch) -> Iterator[None]:
    hip_emulator.set_environment(monkeypatch, reference_kernel=True)
    yield
    hip_emulator.configure("")


def on_hip(call: Call, tensors=None) -> tuple[torch.Tensor, torch.Tensor]:
    q, k, v, *_ = make_tensors(call) if tensors is None else tensors
    return ck_fmha.attention(q, k, v, call.mask, return_lse=True, backend="hip", **call.options())


def assert_right(call: Call) -> None:
    tensors = make_tensors(call)
    out, lse = on_hip(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})


@pytest.mark.parametrize("name", MASKS)
def test_kernels_see_every_mask(name):
    assert_right(Call(MASKS[name], torch.bfloat16, head_dim=8, seqlens=(90, 100)))


@pytest.mark.parametrize("name", ["big_bird", "block_list", "nested", "per_head"])
def test_kernels_of_the_other_architecture_do_too(name, monkeypatch):
    hip_emulator.set_environment(monkeypatch, "gfx90a", reference_kernel=True)
    assert_right(Call(MASKS[name], torch.float16, head_dim=8, seqlens=(90, 100)))


CALLS = [
    Call(dtype=torch.float16, head_dim=24, head_dim_v=8, seqlens=(3, 70)),
    Call(dtype=torch.bfloat16, head_dim=8, heads=(4, 2), seqlens=(66, 10), layout="bshd"),
    Call(dtype=torch.bfloat16, head_dim=16, heads=(6, 1), seqlens=(20, 30), scale=-0.7),
    Call(dtype=torch.bfloat16, head_dim=16, seqlens=(20, 30), scale=0.0),
    Call(dtype=torch.float16, head_dim=8, head_dim_v=32, seqlens=(20, 30), memory="row gaps"),
    Call(dtype=torch.float16, head_dim=32, seqlens=(20, 30), memory="heads inside"),
    Call(dtype=torch.float16, head_dim=32, seqlens=(20, 30), memory="last stride 2"),
    Call(dtype=torch.float16, head_dim=32, seqlens=(20, 30), memory="offset"),
    Call(dtype=torch.float16, head_dim=32, seqlens=(20, 30), memory="batch expanded"),
    Call(dtype=torch.float16, head_dim=32, seqlens=(20, 30), memory="heads expanded"),
    Call(masks.Causal("bottom-right"), torch.bfloat16, head_dim=8, seqlens=(200, 40), batch=3),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_sizes_and_strides(call):
    assert_right(call)


@pytest.mark.parametrize("heads", [1, 2])
def test_cut_rows_are_merged(heads):
    # 24 tiles a row: three pieces of eight. Causal: pieces of some rows attend nothing of it.
    call = Call(masks.Causal("bottom-right"), torch.float16, 8, seqlens=(70, 1536), heads=(heads, 1), batch=1)
    tensors = make_tensors(call)
    plan = ck_fmha.explain(*tensors[:3], call.mask, enable_gqa=True, backend="hip").gpu
    assert plan.num_merges == heads and plan.workspace_bytes > 0
    out, lse = on_hip(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})
    hip_emulator.configure("work_groups=reverse")
    again = on_hip(call, tensors)
    assert bits_equal(out, again[0]) and bits_equal(lse, again[1])


def test_cut_rows_that_differ_by_head():
    mask = masks.per_head([masks.Full(), masks.Causal("bottom-right"), masks.Full()])
    call = Call(mask, torch.float16, 8, seqlens=(70, 1100), heads=(3, 3), batch=1)
    assert_right(call)


@pytest.mark.parametrize("batch, seqlens", [(0, (9, 9)), (2, (0, 9)), (2, (9, 0)), (0, (0, 0))])
def test_calls_without_scores_need_no_kernel(batch, seqlens, monkeypatch, tmp_path):
    hip_emulator.set_environment(monkeypatch, cache=tmp_path)
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", "none")
    call = Call(dtype=torch.float16, head_dim=8, seqlens=seqlens, batch=batch)
    assert_right(call)


def test_nothing_is_touched_outside_of_the_tensors():
    call = Call(masks.Causal("bottom-right"), torch.float16, 8, seqlens=(70, 1100), layout="bshd")
    plain = make_tensors(call)
    q, k, v = (guarded_copy(t) for t in plain[:3])
    with guarded_allocations() as made:
        on_hip(call, [q.tensor, k.tensor, v.tensor])
    assert len(made) == 3  # out, lse and the workspace
    for tensor in (q, k, v):
        tensor.assert_intact()


def test_several_devices_in_one_process(monkeypatch):
    call = Call(masks.BigBird(16, seed=1), torch.bfloat16, 8, seqlens=(90, 100))
    results = []
    for arch in ("gfx942", "gfx90a", "gfx942"):
        hip_emulator.set_environment(monkeypatch, arch, reference_kernel=True)
        results.append(on_hip(call))
    assert all(bits_equal(results[0][n], other[n]) for other in results[1:] for n in (0, 1))
