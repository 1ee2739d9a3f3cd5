"""Lists of live tiles that take too much memory to be kept: found anew in every call, part by part, with the same bits.

The emulator's device has one compute unit here, in a process of its own: else all work items of calls as small as these
are one part.
"""

import ctypes
import json
import os
from collections import Counter
from pathlib import Path

import pytest
import torch

import hip_emulator
from calls import Call, assert_matches_reference, bits_equal, make_tensors, run
from ck_fmha import masks

pytestmark = hip_emulator.needs_emulator

CALLS = {
    "empty rows": Call(masks.Causal("bottom-right"), torch.float16, 32, seqlens=(700, 520), heads=(1, 1), batch=1),
    "cut lines": Call(masks.Longformer(40, 3), torch.bfloat16, 32, seqlens=(520, 1100), heads=(2, 1), batch=1),
    "heads that differ": Call(
        masks.per_head([masks.Causal(), masks.BigBird(32, seed=2)]), torch.float16, 32, seqlens=(520, 520), heads=(2, 2)
    ),
}


def launches() -> Counter[str]:
    """How often kernels were launched since the last time."""
    emulator = ctypes.CDLL(str(hip_emulator.library()))
    emulator.ck_fmha_emulator_counters.restype = ctypes.c_char_p
    kernels = json.loads(emulator.ck_fmha_emulator_counters())["kernels"]
    assert emulator.ck_fmha_emulator_reset_counters() == 0
    counts = Counter[str]()
    for kernel in kernels:
        counts[kernel["name"]] += kernel["launches"]
    return counts


def compare(name: str) -> None:
    """Compute a call with lists that are kept, and with those that are not."""
    call = CALLS[name]
    tensors = make_tensors(call)
    for deterministic in (False, True):
        launches()
        kept = run(call, tensors, backend="hip", deterministic=deterministic)
        parts_of_kept = launches()
        os.environ["CK_FMHA_GPU_LIST_BYTES"] = "0"
        anew = run(call, tensors, backend="hip", deterministic=deterministic)
        parts = launches()
        searched = {"fwd": "fwd", "bwd": "bwd_dq_dk_dv"} | ({"bwd_dq": "bwd_dq"} if deterministic else {})
        for plan, kernel in searched.items():
            assert parts[f"ck_fmha_{plan}_plan"] == parts[f"ck_fmha_{kernel}"] > parts_of_kept[f"ck_fmha_{kernel}"]
        assert_matches_reference(call, tensors, anew._asdict())
        for what, a, b in zip(kept._fields, kept, anew, strict=True):
            assert bits_equal(a, b) or (what == "dq" and not deterministic), what
        del os.environ["CK_FMHA_GPU_LIST_BYTES"]


@pytest.mark.parametrize("name", CALLS)
def test_lists_that_are_not_kept_change_no_bit(name):
    environment = {
        **hip_emulator.environment(),
        "CK_FMHA_EMULATOR_COMPUTE_UNITS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
    }
    done = hip_emulator.run_python(f"import test_hip_lists; test_hip_lists.compare({name!r})", environment)
    assert done.returncode == 0, done.stderr
