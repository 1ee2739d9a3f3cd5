"""NVRTC and hiprtc, by a library that stands in for both; and NVRTC itself, where it is."""

import functools
import shutil
from pathlib import Path

import pytest

import cuda_stand_in
from ck_fmha import _compiler, _instance, _nvcc, _runtime_compiler
from ck_fmha._compiler_base import INCLUDE

STAND_IN = str(cuda_stand_in.RUNTIME_COMPILERS)
VARIABLES = {"sm_90a": "CK_FMHA_CUDA_COMPILER", "gfx942": "CK_FMHA_HIP_COMPILER"}

needs_stand_ins = cuda_stand_in.needs_stand_ins


@pytest.fixture
def no_library(monkeypatch):
    """A machine without such libraries."""
    monkeypatch.setattr(_runtime_compiler, "_libraries", lambda api: iter(()))


@needs_stand_ins
@pytest.mark.parametrize(
    "arch, version, arguments",
    [
        (
            "sm_90a",
            "NVRTC 12.3",
            ["-std=c++17", "--device-as-default-execution-space", "-DMORE", "--gpu-architecture=sm_90a"],
        ),
        (
            "gfx942",
            "hiprtc 6.3",
            [
                *("-O3", "-std=c++17", "-mcode-object-version=5", "-fno-elide-constructors"),
                *("-DMORE", "--offload-arch=gfx942"),
            ],
        ),
    ],
)
def test_what_a_library_is_asked(arch, version, arguments, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLES[arch], STAND_IN)
    monkeypatch.setenv(VARIABLES[arch].replace("COMPILER", "FLAGS"), "-DMORE")
    compiler = _compiler.find_compiler(arch)
    assert compiler.path == STAND_IN and compiler.version.startswith(version)
    code = compiler.compile("int source;", arch, tmp_path, ("further",))
    assert code.decode().splitlines() == ["\177ELF", *arguments, f"-I{INCLUDE}", "further", "int source;"]


@needs_stand_ins
@pytest.mark.parametrize("arch", VARIABLES)
def test_its_words_are_heard(arch, monkeypatch, raises, tmp_path):
    monkeypatch.setenv(VARIABLES[arch], STAND_IN)
    compiler = _compiler.find_compiler(arch)
    compile_it = functools.partial(compiler.compile, "#error", arch, tmp_path)
    raises(RuntimeError, compile_it, "could not compile", "_ERROR_COMPILATION", "it was asked for", VARIABLES[arch])
    assert compiler.compile("int x;", arch, tmp_path)  # the next one is not disturbed


@needs_stand_ins
def test_a_library_that_does_not_know_the_architecture_is_no_compiler_for_it(monkeypatch, raises):
    monkeypatch.setenv("CK_FMHA_CUDA_COMPILER", STAND_IN)
    raises(RuntimeError, lambda: _compiler.find_compiler("sm_120"), "kernels for sm_120", f"{STAND_IN}: does not know")


@needs_stand_ins
def test_libraries_come_before_programs(monkeypatch):
    monkeypatch.delenv("CK_FMHA_HIP_COMPILER", raising=False)
    monkeypatch.setattr(_runtime_compiler, "_libraries", lambda api: iter([STAND_IN]))
    for arch in VARIABLES:
        assert _compiler.find_compiler(arch).path == STAND_IN


@needs_stand_ins
def test_libraries_are_looked_for_where_torch_s_wheels_bring_them(monkeypatch, tmp_path):
    folder = tmp_path / "nvidia/cu13/lib"
    folder.mkdir(parents=True)
    for name in ("libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.alt.so.13"):
        shutil.copy(STAND_IN, folder / name)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = list(_runtime_compiler._libraries(_runtime_compiler._INTERFACES["nvidia"]))
    assert [Path(path).name for path in found if path.startswith(str(folder))] == ["libnvrtc.so.13"]


@pytest.mark.parametrize("asked", ["/no/such/libnvrtc.so.13", "libc.so.6"])
def test_what_is_no_such_library_is_refused_by_name(asked, monkeypatch, raises):
    monkeypatch.setenv("CK_FMHA_CUDA_COMPILER", asked)
    raises(RuntimeError, lambda: _compiler.find_compiler("sm_80"), asked, "nvidia-cuda-nvrtc", "CK_FMHA_CUDA_COMPILER")


def test_without_any_the_error_says_how_to_get_one(no_library, monkeypatch, raises):
    monkeypatch.delenv("CK_FMHA_CUDA_COMPILER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    find = functools.partial(_compiler.find_compiler, "sm_80")
    raises(RuntimeError, find, "NVRTC: not found", "nvcc: not found", "pip install nvidia-cuda-nvrtc")


@pytest.mark.parametrize("find", [_runtime_compiler.find, lambda vendor, arch: _nvcc.find(arch)], ids=["NVRTC", "nvcc"])
def test_a_forward_compiles(find, tmp_path):
    """That device code needs no header but its own."""
    found = list(find("nvidia", "sm_80"))
    compilers = [compiler for compiler in found if isinstance(compiler, _compiler.Compiler)]
    if not compilers:
        pytest.skip("; ".join(map(str, found)))
    instance = _instance.Instance("and_<big_bird,diagonal>", "bf16", 64, 4, "sm_80")
    code = compilers[0].compile(instance.source, instance.arch, tmp_path)
    assert code.startswith(b"\177ELF") and b"ck_fmha_fwd_combine" in code
