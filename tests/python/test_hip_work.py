"""The forward kernels for AMD GPUs execute what the mask's live tiles need, and no more: the emulator counts it."""

import ctypes
import json
import shutil

import pytest
import torch

import hip_calls
import hip_emulator
from calls import Call, make_tensors
from ck_fmha import _instances, masks
from ck_fmha._compiler_base import VENDORS
from hip_calls import assert_right, explain

pytestmark = hip_emulator.needs_emulator

BAND = 32  # rows of a wave
SIZES = {"seqlens": (420, 700), "heads": (2, 1), "batch": 1}
CALLS = {
    "causal": Call(masks.Causal("bottom-right"), torch.float16, 64, **SIZES),
    "window": Call(masks.Window(40, 10), torch.float16, 64, **SIZES),
    "sinks": Call(masks.Window(20, 0, num_sinks=4), torch.float16, 64, **SIZES),
    "head_dim 256": Call(masks.Window(40, 200), torch.bfloat16, 256, **SIZES),
    "big_bird": Call(masks.BigBird(block_size=64, num_random_blocks=1, seed=3), torch.float16, 64, **SIZES),
}


def counters() -> dict[str, dict[str, int]]:
    """Executed instructions since the last time, by kernel and mnemonic."""
    emulator = ctypes.CDLL(str(hip_emulator.library()))
    emulator.ck_fmha_emulator_counters.restype = ctypes.c_char_p
    kernels = json.loads(emulator.ck_fmha_emulator_counters())["kernels"]
    assert emulator.ck_fmha_emulator_reset_counters() == 0
    return {kernel["name"]: kernel["mnemonics"] for kernel in kernels if kernel["launches"]}


def num_live(call: Call, tile: tuple[int, int]) -> int:
    heads = range(call.heads[0])
    return call.batch * sum(int((call.mask.tile_status(*call.seqlens, tile, head=h) != 0).sum()) for h in heads)


@pytest.mark.parametrize("name", CALLS)
def test_work_is_that_of_live_tiles(name, monkeypatch):
    hip_calls.use(monkeypatch, "gfx942")
    call = CALLS[name]
    rows, columns = explain(call, make_tensors(call)).tile
    counters()
    assert_right(call)
    executed = counters()["ck_fmha_fwd"]
    products = {mnemonic: count for mnemonic, count in executed.items() if "mfma" in mnemonic}
    # S = K Q^T and O = V^T P^T, in products of 32 x 32 x 8
    products_of_tile = 2 * (columns // 32) * (call.head_dim // 8)
    assert sum(products.values()) == products_of_tile * num_live(call, (BAND, columns))
    # Every wave of a work-group waits twice for the others in a tile.
    assert executed["s_barrier"] == 2 * rows // BAND * num_live(call, (rows, columns))


@pytest.mark.skipif(shutil.which("llvm-symbolizer-19") is None, reason="no llvm-symbolizer-19, of Debian's llvm-19")
@pytest.mark.parametrize("mask", [masks.BigBird(block_size=64), masks.Window(127, 0)], ids=["big_bird", "window"])
def test_finding_tiles_takes_a_twentieth_of_the_instructions(mask, monkeypatch):
    """At most, branches of the loop included; at head_dim 64, where a tile has fewest of them: ten a wave and tile."""
    monkeypatch.syspath_prepend(hip_emulator.ROOT / "benchmarks")
    import amd_instructions

    hip_calls.use(monkeypatch, "gfx942")
    monkeypatch.setenv(VENDORS["amd"].flags_variable, "-gline-tables-only")
    case = amd_instructions.Case("", mask, torch.bfloat16, 64, 1024, 1)
    kernel, instance = amd_instructions.executed(case, amd_instructions.Emulator(hip_emulator.library()))
    shares = amd_instructions.purposes(_instances.code_object(instance), kernel)
    waves, tiles = kernel["mnemonics"]["s_endpgm"], kernel["mnemonics"]["s_barrier"] // 2
    assert 9 * tiles < shares["finding tiles"] <= min(10 * tiles + 20 * waves, shares.total() // 20)
