"""The compiler that makes code objects for GPUs on this machine: run-time compilers first, then those on the PATH."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from ck_fmha import _clang, _nvcc, _runtime_compiler
from ck_fmha._compiler_base import INCLUDE, VENDORS, Compiler, user_flags, vendor_of

__all__ = ["INCLUDE", "Compiler", "find_compiler", "user_flags", "vendor_of"]

_COMMANDS: dict[str, Callable[[str], Iterator[Compiler | str]]] = {"amd": _clang.find, "nvidia": _nvcc.find}


def find_compiler(arch: str, with_rocm: Sequence[str] | None = None) -> Compiler:
    """Return the first compiler of this machine that compiles for `arch`.

    With `with_rocm` it is one for sources that include ROCm's headers and the standard library, which run-time
    compilers have none of; these are the flags that such sources need.

    Raises:
        RuntimeError: There is none; the message says what was tried and how to get one.
    """
    vendor = vendor_of(arch)
    about = VENDORS[vendor]
    asked = os.environ.get(about.compiler_variable)
    reasons = []
    for found in _candidates(vendor, arch, asked):
        if isinstance(found, _clang.Clang) and with_rocm is not None:
            return found.with_rocm(with_rocm)
        if isinstance(found, Compiler):
            if with_rocm is None:
                return found
            found = f"{found.path}: not a clang"
        reasons.append(found)
    raise RuntimeError(
        f"ck_fmha: kernels for {arch} have to be compiled, and no compiler for it was found:\n  "
        + "\n  ".join(reasons)
        + f"\n{about.how_to_get_one}, or name one by the environment variable {about.compiler_variable}."
    )


def _candidates(vendor: str, arch: str, asked: str | None) -> Iterator[Compiler | str]:
    """Compilers for `arch`, or why one that was looked at will not do; of those asked for no other."""
    if asked and ".so" in os.path.basename(asked):
        yield _runtime_compiler.open_library(vendor, asked, arch)
        return
    if not asked:
        yield from _runtime_compiler.find(vendor, arch)
    yield from _COMMANDS[vendor](arch)
