"""Clang, and what calls one, as the compiler for AMD GPUs."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence

from ck_fmha._compiler_base import INCLUDE, VENDORS, CommandCompiler, Compiler, find_programs, say_version, user_flags

_OLDEST_CLANG = 17  # that of ROCm 6.0
# Of every clang, hiprtc's too. Clang 21, and ROCm's of its time, keep half of the address of an object that is returned
# and that a lambda captures, unless it is copied (pull request 154380 of LLVM). No copy is left in the code.
CODE_FLAGS = ("-O3", "-std=c++17", "-mcode-object-version=5", "-fno-elide-constructors")
FLAGS = ("-x", "hip", "--offload-device-only", "--no-gpu-bundle-output", *CODE_FLAGS)
_WITHOUT_ROCM = ("-nogpulib", "-nogpuinc")  # kernels of ours need neither its headers nor its libraries


class Clang(CommandCompiler):
    """A clang, or what calls one."""

    suffix = ".hip"

    def __init__(self, path: str, version: str, rocm: Sequence[str] = _WITHOUT_ROCM) -> None:
        super().__init__(path, version)
        self._rocm = rocm

    def with_rocm(self, flags: Sequence[str]) -> Clang:
        """Return the same one for sources that include ROCm's headers, with flags that these need."""
        return Clang(self.path, self.version, flags)

    def flags(self, arch: str) -> list[str]:
        """As `Compiler.flags`."""
        return [*FLAGS, *self._rocm, *shlex.split(user_flags(arch)), f"--offload-arch={arch}", f"-I{INCLUDE}"]


def _candidates() -> Iterator[str]:
    asked = os.environ.get(VENDORS["amd"].compiler_variable)
    if asked:
        yield asked  # and no other: what is asked for is not replaced in silence
        return
    rocm = [os.environ[name] for name in ("ROCM_PATH", "ROCM_HOME", "HIP_PATH") if os.environ.get(name)]
    yield "amdclang++"
    for folder in [*rocm, "/opt/rocm"]:
        yield f"{folder}/llvm/bin/clang++"
    yield from ("clang++-22", "clang++-20", "clang++-19", "clang++-21", "clang++", "hipcc")  # 21 spills registers


def find(arch: str) -> Iterator[Compiler | str]:
    """As `find_programs`: the compilers of this machine for `arch`, or why one will not do."""
    return find_programs(_candidates(), _probe, arch)


@functools.cache
def _probe(path: str, arch: str, _mtime: int, _size: int) -> Compiler | str:
    """Return the compiler, or why it will not do; asked again only where the file has changed."""
    try:
        said = say_version(path)
        clang = re.search(r"clang version (\d+)", said)
        if clang is None:
            return f"{path}: not a clang"
        if int(clang[1]) < _OLDEST_CLANG:
            return f"{path}: clang {clang[1]}, older than {_OLDEST_CLANG}"
        command = [path, *FLAGS, *_WITHOUT_ROCM, f"--offload-arch={arch}", "-fsyntax-only", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{path}: {error}"
    if done.returncode:
        return f"{path}: {(done.stderr.strip().splitlines() or ['it failed'])[0]}"
    return Clang(path, said)
