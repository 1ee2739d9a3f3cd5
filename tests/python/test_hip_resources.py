"""Registers and memory of the kernels for AMD GPUs, from their code objects: nothing is spilled, no scratch is used."""

import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

import hip_calls
import hip_emulator
from calls import Call
from ck_fmha import _native
from ck_fmha._instance import Instance
from ck_fmha._instances import code_object
from gpu_calls import DTYPES, HEAD_DIMS, MASKS
from hip_calls import ARCHS
from test_hip_forward import kernels_of_pairs

READELF = "llvm-readelf-19"

pytestmark = [
    hip_emulator.needs_emulator,
    pytest.mark.skipif(shutil.which(READELF) is None, reason=f"no {READELF}: it is in Debian's llvm-19"),
]

MUST_BE_ZERO = ("vgpr_spill_count", "sgpr_spill_count", "private_segment_fixed_size")
MOST_REGISTERS = 512  # of a lane, vector and accumulation registers together
# At head_dim 256 the allocator moves so many vector registers to accumulation registers and back: no memory.
MOST_MOVED = 48
# Structures that spill: how many scalars, how many bytes of scratch at most, and why that is put up with.
KNOWN: dict[str, tuple[int, int, str]] = {
    "neighborhood": (80, 208, "rows of up to three axes; the kernel that finds windows keeps them in an array"),
    "and_<big_bird, diagonal>": (20, 0, "the numbers of two masks in the kernel that finds windows"),
    "block_list": (8, 0, "addresses of six arrays in the kernel that finds windows"),
}


def resources(code: bytes, file: Path) -> dict[str, dict[str, int]]:
    """By kernel the numbers of its metadata."""
    file.write_bytes(code)
    notes = subprocess.run([READELF, "--notes", file], capture_output=True, text=True, check=True).stdout
    kernels = {}
    for entry in notes.split("  - .agpr_count:")[1:]:
        numbers = {name: int(value) for name, value in re.findall(r"^    \.(\w+): +(\d+)$", entry, re.MULTILINE)}
        numbers["agpr_count"] = int(entry.split()[0])
        kernels[re.search(r"\.name: +(ck_\w+)", entry)[1]] = numbers
    return kernels


def instances_of(mask: str, arch: str, dtype, head_dim: int) -> list[Instance]:
    """The kernels that a call of some size takes."""
    call = Call(seqlens=(200, 200), batch=2)
    sizes = (call.batch, *call.heads, *call.seqlens, head_dim, head_dim)
    plan = _native.FwdPlan(MASKS[mask](call).native, sizes, 304)
    name = {"float16": "fp16", "bfloat16": "bf16"}[str(dtype).removeprefix("torch.")]
    return [Instance(structure, name, head_dim, *rest, arch) for structure, *rest in plan.groups]


def assert_nothing_is_spilled(instance: Instance, folder: Path) -> None:
    kernels = resources(code_object(instance), folder / "kernel.co")
    assert set(kernels) == {"ck_fmha_fwd_plan", "ck_fmha_fwd", "ck_fmha_fwd_combine"}
    scalars, scratch, _ = KNOWN.get(instance.structure, (0, 0, ""))
    moved = MOST_MOVED if instance.head_dim > 128 else 0
    limits = dict(zip(MUST_BE_ZERO, (moved, scalars, scratch), strict=True))
    for name, numbers in kernels.items():
        over = {what: numbers[what] for what, most in limits.items() if numbers[what] > most}
        assert not over, f"{name} of {instance}"
        assert 0 < numbers["vgpr_count"] <= MOST_REGISTERS, f"{name} of {instance}"  # the sum, on these processors
        assert numbers["group_segment_fixed_size"] <= 65536, f"{name} of {instance}"
        assert numbers["max_flat_workgroup_size"] == 256, f"{name} of {instance}"


@pytest.mark.parametrize("mask", MASKS)
def test_nothing_is_spilled(mask, tmp_path, monkeypatch):
    """The kernels that test_hip_forward.py takes, which compiles them."""
    for kernel in kernels_of_pairs()[mask]:
        hip_calls.use(monkeypatch, kernel["arch"])
        for instance in instances_of(mask, **kernel):
            assert_nothing_is_spilled(instance, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("arch, dtype, head_dim", list(product(ARCHS, DTYPES, HEAD_DIMS)))
@pytest.mark.parametrize("mask", MASKS)
def test_no_kernel_spills(mask, arch, dtype, head_dim, tmp_path, monkeypatch):
    hip_calls.use(monkeypatch, arch)
    for instance in instances_of(mask, arch, dtype, head_dim):
        assert_nothing_is_spilled(instance, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("structure", KNOWN)
def test_known_structures_still_spill(structure, tmp_path, monkeypatch):
    """Else KNOWN has one too many."""
    hip_calls.use(monkeypatch, ARCHS[0])
    found = []
    for head_dim, arch in product((64, 128), ARCHS):
        code = code_object(Instance(structure, "fp16", head_dim, 4, False, arch))
        found += resources(code, tmp_path / "kernel.co").values()
    assert any(numbers[what] > 0 for numbers in found for what in MUST_BE_ZERO)
