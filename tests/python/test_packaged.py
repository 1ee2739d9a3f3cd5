"""Code objects that the installation compiles: which ones, when they are used, and that no compiler is needed then."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ck_fmha
import hip_emulator
from calls import Call, assert_matches_reference, make_tensors, run
from ck_fmha import _default_instances, _instances, _native, _packaged, masks
from ck_fmha._compiler import find_compiler
from ck_fmha._compiler_base import lanes_of
from ck_fmha._instance import Instance

SCRIPT = hip_emulator.ROOT / "scripts/package_instances.py"
FEW = [Instance("diagonal", "bf16", 64, 4, "gfx942", kernels) for kernels in ("fwd", "bwd")]
CALL = Call(masks.Window(60, 50), torch.bfloat16, 64, seqlens=(150, 130), heads=(1, 1), batch=1)

# Stands for clang: what it "compiles" is the source itself.
COMPILER = """#!/bin/sh
case "$*" in
*--version*) echo "clang version 19.0.0" ;;
*-fsyntax-only*) ;;
*) cat kernel.hip > kernel.co ;;
esac
"""

NVCC = """#!/bin/sh
case "$*" in
*--version*) echo "nvcc: release 13.0" ;;
*--list-gpu-code*) echo "sm_80 sm_90" ;;
*-arch=sm_90a*) cat kernel.cu > kernel.co ;;
*) exit 1 ;;
esac
"""


def load_script():
    spec = importlib.util.spec_from_file_location("package_instances", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_compiler(tmp_path, monkeypatch) -> Path:
    compiler = tmp_path / "clang"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setenv("CK_FMHA_HIP_COMPILER", str(compiler))
    monkeypatch.delenv("CK_FMHA_HIP_FLAGS", raising=False)
    monkeypatch.setenv("CK_FMHA_CACHE_DIR", str(tmp_path / "cache"))
    return compiler


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Take this folder for the package's."""
    monkeypatch.setattr(_packaged, "FOLDER", folder)
    monkeypatch.setattr(_packaged, "_of", _packaged.Packaged.of)  # each time anew
    monkeypatch.setattr(_instances, "_modules", _instances._Modules(most=8))


def package_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script()
    monkeypatch.setattr(script, "default_instances", lambda arch: [one._replace(arch=arch) for one in FEW])
    assert script.package({"gfx942": find_compiler("gfx942")}, _instances.INCLUDE, folder, 1) == (len(FEW), 0)


# --- What is packaged -------------------------------------------------------------------------------------------------

MASKS = [
    masks.Full(),
    masks.Causal("bottom-right"),
    masks.Window(128, 0, num_sinks=4),
    masks.PrefixLM(70),
    masks.Longformer(256, 16),
    masks.Longformer(256, [0, 7]),
    masks.BigBird(block_size=64, seed=1),
    masks.BigBird(64, num_global_blocks=0, num_random_blocks=1, random_blocks=torch.zeros(1, 16, 1, dtype=torch.int64)),
    masks.Strided(128, 128),
    masks.Fixed(128, 8),
    masks.Documents([0, 100, 1000], causal="top-left"),
    masks.Lengths([900, 1000]),
    masks.Neighborhood((32, 32), (5, 7)),
    masks.BlockList.from_tensor(torch.ones(1024, 1024, dtype=torch.bool), (64, 64)),
    masks.Longformer(256, 16) & masks.Causal(),
    masks.BigBird(block_size=64, seed=1) & masks.Causal(),
    masks.Strided(128, 128) & masks.Causal(),
    masks.Documents([0, 100, 1000]) & masks.Window(128, 0),
    masks.Lengths([900, 1000]) & masks.Causal(),
    masks.BigBird(block_size=64, seed=1) & masks.Lengths([900, 1000]),
    masks.Longformer(256, 16) & masks.Lengths([900, 1000]),
]


def test_the_default_set_is_what_plans_ask_for():
    packaged, asked = set(_default_instances.default_instances("gfx942")), set()
    for mask in MASKS:
        for head_dim in _default_instances.HEAD_DIMS:
            plan = _native.FwdPlan(mask.native, (2, 2, 2, 1024, 1024, head_dim, head_dim), 304)
            asked |= {
                Instance(structure, dtype, head_dim, num_waves, "gfx942", kernels)
                for structure, num_waves in plan.groups
                for dtype in ("fp16", "bf16")
                for kernels in _default_instances.KERNELS
            }
    assert packaged == asked


@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_the_default_set_has_what_plans_for_nvidia_ask_for(arch):
    """Forward, and dQ by rows; columns have twice the waves."""
    packaged, waves = set(_default_instances.default_instances(arch)), set()
    for mask in MASKS:
        for head_dim in _default_instances.HEAD_DIMS:
            plan = _native.FwdPlan(mask.native, (2, 2, 2, 1024, 1024, head_dim, head_dim), 132, lanes_of(arch))
            for structure, num_waves in plan.groups:
                waves.add(num_waves)
                for kernels in ("fwd", "bwd_dq"):
                    assert Instance(structure, "bf16", head_dim, num_waves, arch, kernels) in packaged
                for kernels in ("bwd", "bwd_deterministic"):
                    assert Instance(structure, "bf16", head_dim, 2 * num_waves, arch, kernels) in packaged
    assert waves == {2, 4}


def test_an_installation_compiles_for_nvidia_by_nvcc(tmp_path, monkeypatch):
    compiler = tmp_path / "nvcc"
    compiler.write_text(NVCC)
    compiler.chmod(0o755)
    monkeypatch.setenv("CK_FMHA_CUDA_COMPILER", str(compiler))
    monkeypatch.delenv("CK_FMHA_CUDA_FLAGS", raising=False)
    folder = tmp_path / "instances"
    command = [sys.executable, SCRIPT, "sm_90a", "--include", _instances.INCLUDE, "--to", folder]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    default = list(_default_instances.default_instances("sm_90a"))
    assert f"{len(default)} instances for sm_90a, 0 of them kept" in said
    found = _packaged.Packaged.of(folder)
    assert all(found.load(one) == one.source.encode() for one in default)


def test_an_installation_compiles_the_default_set_and_keeps_it(fake_compiler, tmp_path):
    folder = tmp_path / "instances"

    def install(archs: str) -> str:
        command = [sys.executable, SCRIPT, archs, "--include", _instances.INCLUDE, "--to", folder]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    count = len(list(_default_instances.default_instances("gfx942")))
    assert f"{count} instances for gfx942, 0 of them kept" in install("gfx942:sramecc+:xnack-")
    found = _packaged.Packaged.of(folder)
    assert all(found.load(one) == one.source.encode() for one in _default_instances.default_instances("gfx942"))
    changed = next(folder.glob("*.code"))
    changed.write_text("other code")
    (folder / "of another version.code").write_text("old code")
    assert f"{2 * count} instances for gfx942, gfx90a, {count - 1} of them kept" in install("gfx942;gfx90a")
    assert changed.read_text() != "other code" and len(list(folder.glob("*.code"))) == 2 * count
    fake_compiler.write_text(COMPILER.replace("19.0.0", "19.0.1"))
    assert "0 of them kept" in install("gfx90a")


@pytest.mark.parametrize("archs", ["gfx1100", "gfx942;sm_75", "sm_90", "gfx942:xnack", "$(id)", ";"])
def test_an_installation_refuses_other_architectures(archs):
    done = subprocess.run([sys.executable, SCRIPT, archs, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for part in ("CK_FMHA_GPU_ARCHS", "gfx942;gfx90a", repr(archs), "Leave it unset"):
        assert part in done.stderr


def test_an_installation_refuses_what_it_cannot_compile(fake_compiler, monkeypatch):
    script = load_script()
    monkeypatch.setenv("CK_FMHA_HIP_FLAGS", "-O1")
    with pytest.raises(ValueError, match=r"CK_FMHA_HIP_FLAGS is set.*unset it"):
        script.find_compilers(["gfx942"])
    monkeypatch.delenv("CK_FMHA_HIP_FLAGS")
    fake_compiler.write_text(COMPILER.replace("*-fsyntax-only*)", "*-fsyntax-only*) exit 1"))
    with pytest.raises(RuntimeError, match="no compiler for it was found"):
        script.find_compilers(["gfx942"])


# --- When it is used --------------------------------------------------------------------------------------------------


@pytest.fixture
def few(fake_compiler, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "instances"
    package_few(folder, monkeypatch)
    use(monkeypatch, folder)
    return folder


def test_packaged_code_comes_first(few):
    code, origin = _instances.find_code(FEW[0])
    assert (code, origin) == (FEW[0].source.encode(), f"packaged in {few}")
    assert _instances.where_found(FEW[0], 0) == origin
    other = FEW[0]._replace(dtype="fp16")
    assert "to be compiled by" in _instances.where_found(other, 0)
    assert "compiled by" in _instances.find_code(other)[1]
    assert "in the cache" in _instances.find_code(other)[1]


def test_packaged_code_is_not_used_where_other_code_is_asked_for(few, fake_compiler, tmp_path, monkeypatch):
    asked = tmp_path / "another clang"
    asked.write_text(COMPILER)
    asked.chmod(0o755)
    for name, value in (("CK_FMHA_HIP_FLAGS", "-O1"), ("CK_FMHA_HIP_COMPILER", str(asked))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert _instances.find_code(FEW[0])[1].startswith("compiled by")
    assert _instances.find_code(FEW[0])[1].startswith("packaged in")


def test_packaged_code_of_other_headers_is_not_used(few, tmp_path, monkeypatch):
    headers = tmp_path / "include"
    headers.mkdir()
    (headers / "other.hpp").touch()
    monkeypatch.setattr(_packaged, "INCLUDE", headers)
    assert _instances.find_code(FEW[0])[1].startswith("compiled by")


def tamper(folder: Path, how: str) -> None:
    file = folder / f"{_packaged.key(FEW[0], _instances.headers_digest(_instances.INCLUDE))}.code"
    if how == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    elif how == "removed":
        file.unlink()
    else:
        (folder / _packaged.INDEX).write_text(how)


@pytest.mark.parametrize("how", ["changed", "removed", "", "{}", "[]", '{"instances": {}, "compilers"'])
def test_tampered_code_is_not_loaded(few, how):
    tamper(few, how)
    with pytest.warns(RuntimeWarning, match="install the package again"):
        assert "compiled by" in _instances.find_code(FEW[0])[1]


def test_an_index_of_nothing_is_as_good_as_none(few):
    (few / _packaged.INDEX).write_text(json.dumps({"instances": {}, "compilers": {}}))
    assert "compiled by" in _instances.find_code(FEW[0])[1]


# --- The kernels themselves -------------------------------------------------------------------------------------------


@pytest.fixture
def without_a_compiler(monkeypatch, tmp_path) -> Iterator[None]:
    hip_emulator.set_environment(monkeypatch, cache=tmp_path / "cache")
    package_few(tmp_path / "instances", monkeypatch)
    use(monkeypatch, tmp_path / "instances")
    monkeypatch.delenv("CK_FMHA_HIP_COMPILER")
    monkeypatch.setenv("PATH", str(tmp_path))
    yield
    hip_emulator.configure("")


@hip_emulator.needs_emulator
def test_packaged_kernels_run_where_no_compiler_is(without_a_compiler, raises):
    tensors = make_tensors(CALL)
    assert_matches_reference(CALL, tensors, run(CALL, tensors, backend="hip")._asdict())
    launches = ck_fmha.explain(*tensors[:3], CALL.mask, backend="hip").gpu.launches
    assert [launch.code for launch in launches] == [f"loaded, packaged in {_packaged.FOLDER}"]
    q, k, v = (t.half() for t in tensors[:3])
    raises(RuntimeError, lambda: ck_fmha.attention(q, k, v, CALL.mask, backend="hip"), "no compiler for it was found")
