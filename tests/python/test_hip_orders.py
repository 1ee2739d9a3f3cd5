"""The forward on AMD GPUs gives the same bits in whatever order work-groups, waves and memory operations run."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import hip_calls
import hip_emulator
from calls import Call, assert_matches_reference, bits_equal, make_tensors
from ck_fmha import masks
from hip_calls import explain, on_hip

pytestmark = hip_emulator.needs_emulator

# Options of the emulator. Waves that run from barrier to barrier find a missing barrier that finer turns hide, and the
# other way round.
ORDERS = [
    "work_groups=reverse",
    "waves=reverse",
    "waves=reverse,completion=early",
    "work_groups=random,waves=random,completion=random,seed=1",
    "work_groups=random,waves=random,interleave=1,completion=late,seed=2",
    "work_groups=random,waves=random,interleave=5,completion=early,resident=3,seed=3",
    "work_groups=reverse,waves=reverse,interleave=7,completion=random,resident=2,seed=4",
    "waves=forward,interleave=13,completion=late,resident=4",
    "work_groups=random,waves=random,interleave=64,completion=random,resident=8,seed=5",
]


def _mixed() -> masks.Mask:
    return masks.per_head([masks.Causal(), masks.Window(30, 30), masks.BigBird(32, seed=2), masks.Full()])


CALLS: dict[str, tuple[str, Callable[[], masks.Mask], Call]] = {
    "causal": (
        "gfx942",
        masks.Causal,
        Call(dtype=torch.float16, head_dim=64, seqlens=(200, 330), heads=(1, 1), batch=1),
    ),
    "everything": (
        "gfx942",
        masks.Full,
        Call(dtype=torch.bfloat16, head_dim=128, seqlens=(140, 330), heads=(2, 1), batch=1),
    ),
    "big_bird": (
        "gfx90a",
        lambda: masks.BigBird(block_size=64, num_random_blocks=1, seed=3),
        Call(dtype=torch.float16, head_dim=64, seqlens=(300, 500), heads=(2, 2), batch=1),
    ),
    "cut rows": (
        "gfx942",
        lambda: masks.Causal("bottom-right"),
        Call(dtype=torch.float16, head_dim=32, seqlens=(150, 1300), heads=(2, 1), batch=2),
    ),
    "cut rows of head_dim 256": (
        "gfx90a",
        masks.Full,
        Call(dtype=torch.bfloat16, head_dim=200, seqlens=(70, 600), heads=(1, 1), batch=1),
    ),
    "heads that differ": (
        "gfx942",
        _mixed,
        Call(dtype=torch.float16, head_dim=64, seqlens=(140, 600), heads=(4, 2), batch=1),
    ),
    "documents": (
        "gfx90a",
        lambda: masks.Documents([0, 100, 101, 250], causal="top-left"),
        Call(dtype=torch.bfloat16, head_dim=64, seqlens=(250, 250), heads=(1, 1), batch=2),
    ),
}


@pytest.fixture(autouse=True)
def options_as_before():
    yield
    hip_emulator.configure("")


def results(name: str, order: str) -> tuple[Call, tuple[torch.Tensor, torch.Tensor]]:
    _, mask, call = CALLS[name]
    call = replace(call, mask=mask())
    hip_emulator.configure(order)
    with hip_calls.plans_made_anew():
        return call, on_hip(call, make_tensors(call))


@pytest.mark.parametrize("name", CALLS)
def test_orders_do_not_change_bits(name, monkeypatch):
    hip_calls.use(monkeypatch, CALLS[name][0])
    call, (out, lse) = results(name, "")
    assert_matches_reference(call, make_tensors(call), {"out": out, "lse": lse})
    for order in ORDERS:
        _, again = results(name, order)
        assert bits_equal(out, again[0]) and bits_equal(lse, again[1]), order


def test_the_calls_are_of_many_kinds(monkeypatch):
    for name, (arch, mask, call) in CALLS.items():
        hip_calls.use(monkeypatch, arch)
        call = replace(call, mask=mask())
        gpu = explain(call, make_tensors(call)).gpu
        assert (gpu.num_merges > 0) == ("cut" in name or "differ" in name), name
        assert len(gpu.launches) == (3 if "differ" in name else 1), name


def test_the_launch_is_what_the_options_say(monkeypatch):
    """That the orders do differ: a launch that may execute one instruction does not end."""
    hip_calls.use(monkeypatch, "gfx942")
    with pytest.raises(RuntimeError, match="max_instructions"):
        results("documents", "max_instructions=1")
