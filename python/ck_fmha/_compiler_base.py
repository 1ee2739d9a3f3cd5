"""What compilers of GPU kernels have in common."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

INCLUDE = Path(__file__).parent / "include"  # the headers that kernels are made of, installed with the package


class Vendor(NamedTuple):
    """What differs between the makers of GPUs."""

    compiler_variable: str  # names the compiler
    flags_variable: str  # further flags for it
    how_to_get_one: str


VENDORS = {
    "amd": Vendor(
        "CK_FMHA_HIP_COMPILER",
        "CK_FMHA_HIP_FLAGS",
        "Install ROCm's compiler (amdclang++), or Debian's clang-19 and lld-19 (apt-get install clang-19 lld-19)",
    ),
    "nvidia": Vendor(
        "CK_FMHA_CUDA_COMPILER",
        "CK_FMHA_CUDA_FLAGS",
        "Install NVRTC (pip install nvidia-cuda-nvrtc; PyTorch's wheels for CUDA bring it), or CUDA's toolkit (nvcc)",
    ),
}


def vendor_of(arch: str) -> str:
    """Return the key of VENDORS for an architecture: "sm_90a" is NVIDIA's, "gfx942" AMD's."""
    return "nvidia" if arch.startswith("sm_") else "amd"


def lanes_of(arch: str) -> int:
    """Return how many threads of an architecture multiply together: a wave, a warp or, on sm_90a, a warpgroup."""
    return 128 if arch == "sm_90a" else 32 if vendor_of(arch) == "nvidia" else 64


def user_flags(arch: str) -> str:
    """Return the flags that the user adds for an architecture."""
    return os.environ.get(VENDORS[vendor_of(arch)].flags_variable, "")


def user_headers(arch: str) -> str:
    """Return the digest of the headers that the user's flags add, or "".

    Those are the files named like headers below the folders of -I, -isystem and -iquote, and the files of -include.
    """
    found: set[Path] = set()
    arguments = iter(shlex.split(user_flags(arch)))
    for argument in arguments:
        for option in ("-include", "-isystem", "-iquote", "-I"):
            if argument.startswith(option):
                path = Path(argument.removeprefix(option) or next(arguments, "")).absolute()
                found |= {path} if option == "-include" else {*path.rglob("*.h"), *path.rglob("*.hpp")}
                break
    digest = hashlib.blake2b(digest_size=16)
    files = sorted(file for file in found if file.is_file())
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file} {len(content)}\n".encode() + content)
    return digest.hexdigest() if files else ""


class Compiler(ABC):
    """Compiles for the architecture it was looked for."""

    def __init__(self, path: str, version: str) -> None:
        self.path = path
        self.version = version

    @abstractmethod
    def flags(self, arch: str) -> list[str]:
        """Return its arguments; what the user adds comes early, so that its include folders do."""

    @abstractmethod
    def compile(self, source: str, arch: str, folder: Path, further_flags: Sequence[str] = ()) -> bytes:
        """Return the code object of `source` for `arch`.

        `folder` is there for temporary files, `further_flags` come last.

        Raises:
            RuntimeError: The compiler failed; the message has its words and the command.
        """

    def _failed(self, arch: str, how: str, words: str, arguments: Sequence[str], source: str) -> RuntimeError:
        return RuntimeError(
            f"ck_fmha: {self.path} could not compile a kernel for {arch} ({how}):\n"
            f"{words.strip()[-4000:]}\nthe arguments were: {shlex.join(arguments)}\nof the source:\n{source}\n"
            f"Another compiler can be chosen by {VENDORS[vendor_of(arch)].compiler_variable}."
        )


class CommandCompiler(Compiler):
    """A compiler that is a program."""

    suffix: str  # of source files

    def compile(self, source: str, arch: str, folder: Path, further_flags: Sequence[str] = ()) -> bytes:
        """As `Compiler.compile`."""
        file, code = folder / f"kernel{self.suffix}", folder / "kernel.co"
        file.write_text(source)
        command = [self.path, *self.flags(arch), *further_flags, file.name, "-o", code.name]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode or not code.is_file():
            raise self._failed(arch, f"exit status {done.returncode}", done.stderr + done.stdout, command, source)
        return code.read_bytes()


def find_programs(
    names: Iterable[str], probe: Callable[[str, str, int, int], Compiler | str], arch: str
) -> Iterator[Compiler | str]:
    """Yield the compiler of each name, or why it will not do.

    `probe` is given the path, `arch`, and when the file was changed and how long it is: it may keep what it found.
    """
    for name in names:
        path = shutil.which(name)
        if path is None:
            yield f"{name}: not found"
            continue
        stat = Path(path).stat()
        yield probe(path, arch, stat.st_mtime_ns, stat.st_size)


def say_version(path: str) -> str:
    """Return what a program prints when it is asked for its version."""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, errors="replace", check=True)
    return " ".join(done.stdout.split())
