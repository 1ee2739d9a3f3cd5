"""nvcc, the compiler of CUDA's toolkit, for NVIDIA GPUs."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator

from ck_fmha._compiler_base import INCLUDE, VENDORS, CommandCompiler, Compiler, find_programs, say_version, user_flags

_OLDEST = 12  # CUDA's major version
FLAGS = ("-cubin", "-O3", "-std=c++17")


class Nvcc(CommandCompiler):
    """nvcc."""

    suffix = ".cu"

    def flags(self, arch: str) -> list[str]:
        """As `Compiler.flags`."""
        return [*FLAGS, *shlex.split(user_flags(arch)), f"-arch={arch}", f"-I{INCLUDE}"]


def _candidates() -> Iterator[str]:
    asked = os.environ.get(VENDORS["nvidia"].compiler_variable)
    if asked:
        yield asked  # and no other: what is asked for is not replaced in silence
        return
    yield "nvcc"
    toolkits = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    for folder in [*toolkits, "/usr/local/cuda"]:
        yield f"{folder}/bin/nvcc"


def find(arch: str) -> Iterator[Compiler | str]:
    """As `find_programs`: the compilers of this machine for `arch`, or why one will not do."""
    return find_programs(_candidates(), _probe, arch)


@functools.cache
def _probe(path: str, arch: str, _mtime: int, _size: int) -> Compiler | str:
    """Return the compiler, or why it will not do; asked again only where the file has changed."""
    try:
        said = say_version(path)
        release = re.search(r"release (\d+)\.", said)
        if "nvcc" not in said or release is None:
            return f"{path}: not an nvcc"
        if int(release[1]) < _OLDEST:
            return f"{path}: of CUDA {release[1]}, older than {_OLDEST}"
        known = subprocess.run([path, "--list-gpu-code"], capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{path}: {error}"
    if arch.rstrip("a") not in known.stdout.split():
        return f"{path}: does not know {arch}"
    return Nvcc(path, said)
