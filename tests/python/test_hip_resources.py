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
from test_hip_backward_pairs import kernels_of_mask
from test_hip_forward import kernels_of_pairs

READELF = "llvm-readelf-19"
CLANG_OF_GFX950 = "clang++-22"
OBJDUMP = "llvm-objdump-19"

pytestmark = [
    hip_emulator.needs_emulator,
    pytest.mark.skipif(shutil.which(READELF) is None, reason=f"no {READELF}: it is in Debian's llvm-19"),
]

# By what is compiled at once, its kernels.
BACKWARD = {f"ck_fmha_bwd_{name}" for name in ("plan", "dot_do_o", "dq_dk_dv", "convert", "combine")}
KERNELS = {
    "fwd": {"ck_fmha_fwd_plan", "ck_fmha_fwd", "ck_fmha_fwd_combine"},
    "bwd": BACKWARD,
    "bwd_deterministic": BACKWARD,
    "bwd_dq": {"ck_fmha_bwd_dq_plan", "ck_fmha_bwd_dq", "ck_fmha_bwd_dq_combine"},
}
DEFINITIONS = [
    "full", "diagonal", "prefix_lm", "longformer", "longformer_tokens", "big_bird", "big_bird_table", "strided",
    "fixed", "documents", "lengths", "neighborhood", "block_list", "deepspeed_fixed", "deepspeed_variable",
    "deepspeed_longformer", "deepspeed_big_bird", "deepspeed_big_bird_table",
]  # fmt: skip
COMPOSITIONS = [
    "and_<big_bird, diagonal>",
    "and_<documents, diagonal>",
    "and_<big_bird, deepspeed_variable>",
    "or_<longformer_tokens, not_<strided>>",
    "or_<shift<and_<not_<diagonal>, transpose<strided>>>, longformer>",
    "or_<and_<block_list, neighborhood>, not_<documents>>",
]
# What changes scores, alone and together; a bias, with its gradient in the backward.
EXTRAS = ["softcap", "alibi", "dropout", "attended", "bias", "bias_fp32", "softcap bias_fp32 alibi attended dropout"]
GRADIENTS = {"bias": ["dbias", "dbias_keys"], "bias_fp32": ["dbias_sum"], EXTRAS[-1]: ["dbias_sum"]}
# Of each, forward and backward at head_dim 128 and 256; dQ by rows where registers are scarcest. Together they have the
# float32 bias.
OFTEN = [
    *product([extras for extras in EXTRAS if extras != "bias_fp32"], ["fwd", "bwd"], [128, 256]),
    *product(["softcap", EXTRAS[-1]], ["bwd_dq"], [64, 128]),
]
DTYPE_NAMES = ["fp16", "bf16"]
VARIANTS = list(product(ARCHS, DTYPE_NAMES, HEAD_DIMS))
MUST_BE_ZERO = ("vgpr_spill_count", "sgpr_spill_count", "private_segment_fixed_size")
MOST_REGISTERS = 512  # of a lane, vector and accumulation registers together


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


def assert_nothing_is_spilled(instance: Instance, folder: Path) -> None:
    kernels = resources(code_object(instance), folder / "kernel.co")
    assert set(kernels) == KERNELS[instance.kernels]
    for name, numbers in kernels.items():
        assert not any(numbers[what] for what in MUST_BE_ZERO), f"{name} of {instance}: {numbers}"
        assert 0 < numbers["vgpr_count"] <= MOST_REGISTERS, f"{name} of {instance}"  # the sum, on these processors
        assert numbers["group_segment_fixed_size"] <= 65536, f"{name} of {instance}"
        assert numbers["max_flat_workgroup_size"] == 256, f"{name} of {instance}"
    if instance.kernels == "fwd" and instance.head_dim == 256:
        # Those of O and S: no vector register was moved to an accumulation register to make room. clang 19 does that
        # at the head of blocks where lanes that a branch had switched off are not back yet, and these lose the value.
        accumulators = kernels["ck_fmha_fwd"]["agpr_count"]
        assert accumulators <= 256 // 2 + 16, f"{accumulators} accumulation registers of {instance}"


def instances_of(mask: str, arch: str, dtype, head_dim: int) -> list[Instance]:
    """The kernels that a call of some size takes."""
    call = Call(seqlens=(200, 200), batch=2)
    sizes = (call.batch, *call.heads, *call.seqlens, head_dim, head_dim)
    plan = _native.FwdPlan(MASKS[mask](call).native, sizes, 304)
    name = {"float16": "fp16", "bfloat16": "bf16"}[str(dtype).removeprefix("torch.")]
    return [Instance(structure, name, head_dim, *rest, arch) for structure, *rest in plan.groups]


@pytest.mark.parametrize("mask", MASKS)
def test_nothing_is_spilled(mask, tmp_path, monkeypatch):
    """The kernels that test_hip_forward.py and test_hip_backward_pairs.py take, which compile them."""
    for kernel in kernels_of_pairs()[mask]:
        hip_calls.use(monkeypatch, kernel["arch"])
        for instance in instances_of(mask, **kernel):
            assert_nothing_is_spilled(instance, tmp_path)
    for kernel in kernels_of_mask(mask):
        hip_calls.use(monkeypatch, kernel["arch"])
        deterministic = kernel.pop("deterministic")
        for instance in instances_of(mask, **kernel):
            for kernels in ("bwd_deterministic", "bwd_dq") if deterministic else ("bwd",):
                assert_nothing_is_spilled(instance._replace(kernels=kernels), tmp_path)


@pytest.mark.parametrize("structure", DEFINITIONS + COMPOSITIONS)
def test_nothing_is_spilled_by_others(structure, tmp_path, monkeypatch):
    """Of single definitions a forward or a backward. Of compositions both, and a forward at head_dim 128, where two
    waves share a SIMD's registers.
    """
    number = (DEFINITIONS + COMPOSITIONS).index(structure)
    arch, dtype, head_dim = VARIANTS[number * 5 % len(VARIANTS)]
    hip_calls.use(monkeypatch, arch)
    backward = list(KERNELS)[1:][number % 3]
    single = structure in DEFINITIONS
    if not single or number % 2:
        assert_nothing_is_spilled(Instance(structure, dtype, head_dim, 4, arch, backward), tmp_path)
    if not single or number % 2 == 0:
        assert_nothing_is_spilled(Instance(structure, dtype, head_dim, 4, arch), tmp_path)
    if not single:
        assert_nothing_is_spilled(Instance(structure, dtype, 128, 4, arch), tmp_path)


def instances_with(extras: str, structure: str, kernels: str, head_dim: int, dtype: str, arch: str) -> list[Instance]:
    """Those that a call with extras may take."""
    has_gradients = kernels.startswith("bwd") and kernels != "bwd_dq"
    gradients = [f" {name}" for name in GRADIENTS.get(extras, ())] if has_gradients else []
    return [Instance(structure, dtype, head_dim, 4, arch, kernels, extras + gradient) for gradient in gradients or [""]]


@pytest.mark.parametrize("extras, kernels, head_dim", OFTEN)
def test_nothing_is_spilled_by_extras(extras, kernels, head_dim, tmp_path, monkeypatch):
    arch, dtype, _ = VARIANTS[OFTEN.index((extras, kernels, head_dim)) * 5 % len(VARIANTS)]
    hip_calls.use(monkeypatch, arch)
    for instance in instances_with(extras, "diagonal", kernels, head_dim, dtype, arch):
        assert_nothing_is_spilled(instance, tmp_path)


@pytest.mark.skipif(
    shutil.which(CLANG_OF_GFX950) is None, reason=f"no {CLANG_OF_GFX950}: Debian's clang 19 does not know gfx950"
)
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    "structure, dtype, head_dim",
    [("neighborhood", "fp16", 128), pytest.param("and_<big_bird, diagonal>", "bf16", 256, marks=pytest.mark.slow)],
)
def test_nothing_is_spilled_on_gfx950(structure, dtype, head_dim, kernels, tmp_path, monkeypatch):
    hip_calls.use(monkeypatch, ARCHS[0])
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", CLANG_OF_GFX950)
    assert_nothing_is_spilled(Instance(structure, dtype, head_dim, 4, "gfx950", kernels), tmp_path)


@pytest.mark.skipif(shutil.which(CLANG_OF_GFX950) is None, reason=f"no {CLANG_OF_GFX950}, whose code this is about")
def test_clang_22_does_not_move_sums_back_and_forth(tmp_path, monkeypatch):
    """It needs no accumulation registers for them, and moves them there if it is told to, where older ones do not."""
    hip_calls.use(monkeypatch, "gfx942")
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", CLANG_OF_GFX950)
    file = tmp_path / "kernel.co"
    file.write_bytes(code_object(Instance("diagonal", "bf16", 128, 4, "gfx942", "bwd")))
    code = subprocess.run([OBJDUMP, "--disassemble", file], capture_output=True, text=True, check=True).stdout
    assert "v_mfma_f32_32x32x8" in code and "v_accvgpr" not in code


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("arch, dtype, head_dim", VARIANTS)
@pytest.mark.parametrize("structure", DEFINITIONS + COMPOSITIONS)
def test_no_kernel_spills(structure, arch, dtype, head_dim, kernels, tmp_path, monkeypatch):
    hip_calls.use(monkeypatch, arch)
    assert_nothing_is_spilled(Instance(structure, dtype, head_dim, 4, arch, kernels), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("arch, dtype, head_dim", VARIANTS)
@pytest.mark.parametrize("structure", ["diagonal", "and_<big_bird, diagonal>"])
@pytest.mark.parametrize("extras", EXTRAS)
def test_no_kernel_with_extras_spills(extras, structure, arch, dtype, head_dim, kernels, tmp_path, monkeypatch):
    hip_calls.use(monkeypatch, arch)
    for instance in instances_with(extras, structure, kernels, head_dim, dtype, arch):
        assert_nothing_is_spilled(instance, tmp_path)


def test_every_definition_is_among_them():
    groups = [instance.structure for mask in MASKS for instance in instances_of(mask, ARCHS[0], DTYPES[0], 64)]
    assert {name for structure in groups for name in re.findall(r"\w+", structure)} - {
        "and_", "or_", "not_", "transpose", "shift"
    } == set(DEFINITIONS)  # fmt: skip
