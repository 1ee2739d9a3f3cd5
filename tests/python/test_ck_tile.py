"""backend="ck_tile" against the stand-in of CK Tile: its kernels get our masks through the adapter, in the emulator.

CK Tile itself is not here: what is tested is the way there and back, and what the masks answer on a device.
"""

import shutil
from pathlib import Path

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, Tensors, assert_matches_reference, make_tensors, run
from ck_fmha import _ck_tile_headers, _instance, _instances, masks
from mask_cases import random_mask

STAND_IN = hip_emulator.ROOT / "tests/cpp/ck_tile_stand_in"
bf16, fp16 = torch.bfloat16, torch.float16


@pytest.fixture(autouse=True)
def stand_in(monkeypatch) -> None:
    hip_emulator.set_environment(monkeypatch)
    monkeypatch.setenv(_ck_tile_headers.INCLUDE_VARIABLE, str(STAND_IN))
    monkeypatch.setenv("CK_FMHA_HIP_FLAGS", "-nogpulib -nogpuinc")  # CK Tile itself needs ROCm's
    monkeypatch.setattr(_instances, "_modules", _instances._Modules(most=64))


def assert_right(call: Call, tensors: Tensors | None = None) -> None:
    tensors = make_tensors(call) if tensors is None else tensors
    assert_matches_reference(call, tensors, run(call, tensors, backend="ck_tile")._asdict())


_BLOCKS = masks.BlockList.from_tensor(random_mask(66, 50, 40, seed=1), (16, 24))
CALLS = [
    Call(masks.Causal(), bf16, 32, seqlens=(70, 90), heads=(2, 2), batch=1),
    Call(masks.Window(30, 4, "bottom-right", num_sinks=2), fp16, 64, 40, (140, 80), (4, 2), batch=1, layout="bshd"),
    Call(masks.Full(), bf16, 24, seqlens=(40, 70), heads=(1, 1)),  # without masking: CK Tile only looks at the ends
    Call(masks.BigBird(16, 3, 1, 1, seed=3) & masks.Causal(), bf16, 32, seqlens=(130, 100), heads=(1, 1), batch=1),
    Call(masks.Lengths([50, 0], [70, 9]), fp16, 32, seqlens=(60, 80), heads=(3, 1), scale=0.7),
    Call(masks.Lengths([50, 9], [40, 50]) & masks.Longformer(6, 0, (1, 3)), bf16, 32, seqlens=(50, 50), heads=(2, 1)),
    Call(masks.Longformer(8, [3, 60]), bf16, 32, seqlens=(65, 65), heads=(1, 1), batch=1, memory="heads inside"),
    Call(masks.Documents([0, 20, 20, 61], [0, 30, 41, 70]), bf16, 32, seqlens=(64, 70), memory="last stride 2"),
    # Masks of several structures: a launch for each, in which work-groups of other heads have nothing to do.
    Call(
        masks.per_head([masks.Causal(), masks.Full(), _BLOCKS]),
        bf16, 32, seqlens=(66, 50), heads=(3, 3), batch=1,
    ),
    Call(masks.per_sample([masks.Window(9, 9), masks.Strided(7, 9)]), bf16, 32, seqlens=(40, 40), heads=(2, 1)),
    Call(~masks.Full(), bf16, 32, seqlens=(20, 30), heads=(1, 1)),
]  # fmt: skip


@hip_emulator.needs_emulator
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_forward_and_gradients(call):
    assert_right(call)


@hip_emulator.needs_emulator
def test_head_dim_256():
    assert_right(Call(masks.Causal(), bf16, 256, seqlens=(20, 20), heads=(1, 1), batch=1))


@hip_emulator.needs_emulator
@pytest.mark.parametrize("seqlens", [(0, 5), (5, 0)], ids=str)
def test_without_queries_or_keys(seqlens):
    assert_right(Call(masks.Causal(), bf16, 32, seqlens=seqlens, heads=(1, 1)))


@hip_emulator.needs_emulator
@pytest.mark.parametrize("backward", [False, True])
def test_kernels_find_ranges_by_the_adapter(monkeypatch, tmp_path, backward):
    """A fault in the adapter on the device shows."""
    include = tmp_path / "include"
    shutil.copytree(_instances.INCLUDE, include)
    header = include / "ck_tile_masks/ck_tile/fmha_mask.hpp"
    code = header.read_text()
    search = "Interval range_along_y" if backward else "Interval range_along_x"
    begin = code.index(search)
    faulty = code[begin:].replace("return range(", "return Interval{0, 16} ; range(", 1)
    header.write_text(code[:begin] + faulty)
    monkeypatch.setenv("CK_FMHA_HIP_FLAGS", f"-nogpulib -nogpuinc -I{include} -Wno-unused-value")
    with pytest.raises(AssertionError, match="dk|dv|dq" if backward else "out|lse"):
        assert_right(CALLS[0])


@hip_emulator.needs_emulator
def test_code_from_other_headers_is_not_taken(monkeypatch, tmp_path):
    instance = _instance.Instance("diagonal", "bf16", 32, 0, "gfx942", "ck_tile_fwd")
    compiler = _instances._compiler(instance)
    key = _instances._key(instance, compiler)
    copy = tmp_path / "include"
    shutil.copytree(STAND_IN, copy)
    with (copy / "ck_tile/core.hpp").open("a") as core:
        core.write("// changed\n")
    monkeypatch.setenv(_ck_tile_headers.INCLUDE_VARIABLE, str(copy))
    changed = _instances._key(instance, compiler)
    assert key != changed
    assert _instances._key(instance, compiler) == changed


# --- What is refused -----------------------------------------------------------------------------------------------


def attention(mask: masks.Mask | None = None, dtype: torch.dtype = bf16, head_dim: int = 32, **options) -> torch.Tensor:
    q = torch.randn(1, 1, 10, head_dim, dtype=dtype)
    return ck_fmha.attention(q, q, q, mask, backend="ck_tile", **options)


@hip_emulator.needs_emulator
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": torch.float32}, "torch.float32"),
        ({"head_dim": 12}, "head_dim is 12, no multiple of 8"),
        ({"scale": 0.0}, "scale is 0.0"),
        ({"scale": -1.0}, "scale is -1.0"),
        ({"softcap": 2.0}, "softcap is not covered"),
        ({"dropout_p": 0.5}, "dropout_p is not covered"),
        ({"alibi_slopes": torch.ones(1)}, "alibi_slopes is not covered"),
        ({"bias": torch.zeros(10, 10, dtype=bf16)}, "bias is not covered"),
    ],
    ids=str,
)
def test_calls_that_are_not_covered(options, words):
    with pytest.raises(NotImplementedError, match=words):
        attention(**options)


@hip_emulator.needs_emulator
def test_no_deterministic_backward():
    q = torch.randn(1, 1, 10, 32, dtype=bf16, requires_grad=True)
    out = ck_fmha.attention(q, q, q, backend="ck_tile", deterministic=True)
    with pytest.raises(NotImplementedError, match=r'no deterministic backward.*backend="hip"'):
        out.sum().backward()


@hip_emulator.needs_emulator
def test_explain_is_not_covered():
    q = torch.randn(1, 1, 10, 32, dtype=bf16)
    with pytest.raises(NotImplementedError, match="explain does not cover"):
        ck_fmha.explain(q, q, q, backend="ck_tile")


def touch(folder: Path, *names: str) -> str:
    for name in names:
        file = folder / "ck_tile/ops/fmha" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return str(folder)


FORWARD, BACKWARD, NEWER = "kernel/fmha_fwd_kernel.hpp", "kernel/fmha_bwd_kernel.hpp", "block/variants.hpp"


@hip_emulator.needs_emulator
def test_headers_that_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv(_ck_tile_headers.INCLUDE_VARIABLE, str(tmp_path))
    with pytest.raises(NotImplementedError) as raised:
        attention()
    words = str(raised.value)
    assert (
        f"{tmp_path} (the environment variable CK_FMHA_CK_TILE_INCLUDE): ck_tile/ops/fmha/{FORWARD} is missing" in words
    )
    assert "composablekernel-dev" in words and 'backend="hip"' in words


def test_headers_of_a_version_without_backward(monkeypatch, tmp_path):
    monkeypatch.setenv(_ck_tile_headers.INCLUDE_VARIABLE, touch(tmp_path, FORWARD))
    assert _ck_tile_headers.find_headers(backward=False).include == tmp_path
    with pytest.raises(NotImplementedError, match=r"ROCm 6\.2 has no backward"):
        _ck_tile_headers.find_headers(backward=True)


def test_headers_of_a_newer_version(monkeypatch, tmp_path):
    monkeypatch.setenv(_ck_tile_headers.INCLUDE_VARIABLE, touch(tmp_path, FORWARD, BACKWARD, NEWER))
    with pytest.raises(NotImplementedError, match=r"newer than ROCm 6\.4's"):
        _ck_tile_headers.find_headers(backward=False)


def test_headers_are_looked_for_where_rocm_is(monkeypatch, tmp_path):
    monkeypatch.delenv(_ck_tile_headers.INCLUDE_VARIABLE)
    touch(tmp_path / "include", FORWARD, BACKWARD)
    monkeypatch.setenv("ROCM_PATH", str(tmp_path))
    assert _ck_tile_headers.find_headers(backward=True).include == tmp_path / "include"
    monkeypatch.setattr(_ck_tile_headers._native, "CK_TILE_INCLUDE", str(STAND_IN))
    assert _ck_tile_headers.find_headers(backward=True).include == STAND_IN  # as the build recorded it
