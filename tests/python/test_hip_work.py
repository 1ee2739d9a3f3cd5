"""The kernels for AMD GPUs execute what the mask's live tiles need, and no more: the emulator counts it."""

import ctypes
import json
import os
import shutil

import pytest
import torch

import hip_calls
import hip_emulator
from calls import Call, make_tensors, run
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


def num_products(kernel: dict[str, int]) -> int:
    """Of 32 x 32 x 8."""
    return sum(count for mnemonic, count in kernel.items() if "mfma" in mnemonic)


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
    # S = K Q^T and O = V^T P^T
    products_of_tile = 2 * (columns // 32) * (call.head_dim // 8)
    assert num_products(executed) == products_of_tile * num_live(call, (BAND, columns))
    # Every wave of a work-group waits twice for the others in a tile.
    assert executed["s_barrier"] == 2 * rows // BAND * num_live(call, (rows, columns))


@pytest.mark.parametrize("name", [name for name in CALLS if "256" not in name])
def test_work_of_the_backward_is_that_of_live_tiles(name, monkeypatch):
    hip_calls.use(monkeypatch, "gfx942")
    call = CALLS[name]
    tensors = make_tensors(call)
    by_columns = num_live(call, (BAND, BAND)) * call.head_dim // 8  # of one product of a tile of 32 x 32
    by_rows = num_live(call, (BAND, 64)) * 2 * call.head_dim // 8
    for deterministic in (False, True):
        counters()
        run(call, tensors, backend="hip", deterministic=deterministic)
        executed = counters()
        # S, dP, dV, dK, and dQ where it is not computed by rows, from S and dP once more
        assert num_products(executed["ck_fmha_bwd_dq_dk_dv"]) == (4 if deterministic else 5) * by_columns
        if deterministic:
            assert num_products(executed["ck_fmha_bwd_dq"]) == 3 * by_rows


# Of what CK Tile executes, instructions and modelled cycles. Those of now are 0.79 and 0.87 forward, 0.49 and 0.66
# backward, by clang 19.
COUNT = """
import json, sys
from pathlib import Path
import amd_instructions
emulator = amd_instructions.Emulator(Path(sys.argv[1]))
results = []
for cases, run in (
    (amd_instructions.cases(), lambda case: amd_instructions.executed(case, emulator)[0]),
    (amd_instructions.backward_cases(), lambda case: amd_instructions.executed_backward(case, emulator)),
):
    case = next(case for case in cases if case.name == "causal")
    kernel = run(case)
    busy = amd_instructions.cycles(kernel, "gfx942")
    results.append(kernel["wave_instructions"] / case.reference.total)
    results.append((busy["products"] + busy["vector"]) / case.reference.cycles())
print(json.dumps(results))
"""


def test_fewer_instructions_and_cycles_than_ck_tile():
    """Causal, head_dim 128. In a process of its own, whose device has one compute unit: no line is cut."""
    environment = {
        **hip_emulator.environment(),
        "CK_FMHA_EMULATOR_COMPUTE_UNITS": "1",
        "PYTHONPATH": os.pathsep.join([str(hip_emulator.ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]),
    }
    done = hip_emulator.run_python(COUNT, environment, str(hip_emulator.library()))
    assert done.returncode == 0, done.stderr
    assert all(share <= most for share, most in zip(json.loads(done.stdout), (0.85, 0.95, 0.55, 0.75), strict=True)), (
        done.stdout
    )


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
