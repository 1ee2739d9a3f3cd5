"""The compiler that makes code objects for AMD GPUs on this machine."""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

INCLUDE = Path(__file__).parent / "include"  # the headers that kernels are made of, installed with the package

COMPILER_VARIABLE = "CK_FMHA_HIP_COMPILER"
FLAGS_VARIABLE = "CK_FMHA_HIP_FLAGS"

_OLDEST_CLANG = 17  # that of ROCm 6.0
_FLAGS = (
    "-x", "hip", "--offload-device-only", "--no-gpu-bundle-output", "-nogpulib", "-nogpuinc",
    "-O3", "-std=c++17", "-mcode-object-version=5",
)  # fmt: skip


class Compiler(NamedTuple):
    """A clang (or what calls one) that compiles for the architecture it was looked for."""

    path: str
    version: str

    def compile(self, source: str, arch: str, folder: Path, further: Sequence[str] = ()) -> bytes:
        """Return the code object of `source` for `arch`; `folder` is there for temporary files,
        `further` are flags of this source.

        Raises:
            RuntimeError: The compiler failed; the message has its words and the command.
        """
        (folder / "kernel.hip").write_text(source)
        command = [self.path, *flags(arch), *further, "kernel.hip", "-o", "kernel.co"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        code = folder / "kernel.co"
        if done.returncode or not code.is_file():
            raise RuntimeError(
                f"ck_fmha: {self.path} could not compile a kernel for {arch} (exit status {done.returncode}):\n"
                f"{done.stderr.strip()[-4000:]}\nthe command was: {shlex.join(command)}\nof the source:\n{source}\n"
                f"Another compiler can be chosen by {COMPILER_VARIABLE}."
            )
        return code.read_bytes()


def flags(arch: str) -> list[str]:
    """Return the compiler's arguments; what the user adds comes first, so that its include folders do."""
    user = shlex.split(os.environ.get(FLAGS_VARIABLE, ""))
    return [*_FLAGS, *user, f"--offload-arch={arch}", f"-I{INCLUDE}"]


def _candidates() -> Iterator[str]:
    asked = os.environ.get(COMPILER_VARIABLE)
    if asked:
        yield asked  # and no other: what is asked for is not replaced in silence
        return
    rocm = [os.environ[name] for name in ("ROCM_PATH", "ROCM_HOME", "HIP_PATH") if os.environ.get(name)]
    yield "amdclang++"
    for folder in [*rocm, "/opt/rocm"]:
        yield f"{folder}/llvm/bin/clang++"
    yield from ("clang++-22", "clang++-21", "clang++-20", "clang++-19", "clang++", "hipcc")


def find_compiler(arch: str) -> Compiler:
    """Return the first compiler of this machine that compiles for `arch`.

    Raises:
        RuntimeError: There is none; the message says what was tried and how to get one.
    """
    reasons = []
    for name in _candidates():
        path = shutil.which(name)
        if path is None:
            reasons.append(f"{name}: not found")
            continue
        stat = Path(path).stat()
        found, reason = _probe(path, arch, stat.st_mtime_ns, stat.st_size)
        if found is not None:
            return found
        reasons.append(f"{path}: {reason}")
    raise RuntimeError(
        f"ck_fmha: kernels for {arch} have to be compiled, and no compiler for it was found:\n  "
        + "\n  ".join(reasons)
        + "\nInstall ROCm's compiler (amdclang++), or Debian's clang-19 and lld-19 (apt-get install clang-19 lld-19), "
        f"or name one by the environment variable {COMPILER_VARIABLE}."
    )


@functools.cache
def _probe(path: str, arch: str, _mtime: int, _size: int) -> tuple[Compiler | None, str]:
    """Return the compiler, or why it will not do; asked again only where the file has changed."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", check=True).stdout
        clang = re.search(r"clang version (\d+)", said)
        if clang is None:
            return None, "not a clang"
        if int(clang[1]) < _OLDEST_CLANG:
            return None, f"clang {clang[1]}, older than {_OLDEST_CLANG}"
        command = [path, *_FLAGS, f"--offload-arch={arch}", "-fsyntax-only", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except (OSError, subprocess.CalledProcessError) as error:
        return None, str(error)
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["it failed"])[0]
    return Compiler(path, " ".join(said.split())), ""
