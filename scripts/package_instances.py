"""Compiles a default set of instances into the package, for the GPUs of CK_FMHA_GPU_ARCHS. CMake's install calls it.

    package_instances.py ARCHS --check
    package_instances.py ARCHS --include FOLDER --to FOLDER [--jobs N]

ARCHS is a list like "gfx942;sm_90a", with the features that ROCm reports or without. `--check` says whether they can be
compiled for, and nothing else. Code that is there already and would be compiled the same way is kept.

Runs in an isolated build: it needs neither torch nor the native module, only a compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
import types
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1] / "python/ck_fmha"
if "ck_fmha" not in sys.modules:  # in the place of its __init__, which imports torch
    sys.modules["ck_fmha"] = types.ModuleType("ck_fmha")
    sys.modules["ck_fmha"].__path__ = [str(_PACKAGE)]

from ck_fmha import _clang, _nvcc, _packaged  # noqa: E402
from ck_fmha._compiler_base import VENDORS, Compiler, user_flags, vendor_of  # noqa: E402
from ck_fmha._default_instances import default_instances  # noqa: E402
from ck_fmha._instance import Instance, headers_digest, plain_arch  # noqa: E402

VARIABLE = "CK_FMHA_GPU_ARCHS"
# With the matrix products that kernels are made of, and what finds programs that compile for them. NVIDIA's have the
# names that its driver's numbers give: see cuda_driver.cpp.
SUPPORTED = {
    "gfx90a": "MI200",
    "gfx942": "MI300",
    "gfx950": "MI350",
    "sm_80": "A100",
    "sm_86": "A40",
    "sm_89": "L40S",
    "sm_90a": "H100, H200",
    "sm_100": "B200",
    "sm_120": "RTX 5090",
}
_FIND = {"amd": _clang.find, "nvidia": _nvcc.find}


def parse_archs(text: str) -> list[str]:
    """Return the plain names of a list of architectures, each once.

    Raises:
        ValueError: One of them is no name that kernels are compiled for.
    """
    archs = []
    for name in re.split(r"[;,\s]+", text.strip(";, \t\n")):
        arch = plain_arch(name)
        if arch not in SUPPORTED or not re.fullmatch(r"\w+(:\w+[+-])*", name):
            known = ", ".join(f"{arch} ({gpu})" for arch, gpu in SUPPORTED.items())
            raise ValueError(
                f"{VARIABLE} must be a list of architectures such as gfx942;gfx90a, got {name!r} in {text!r}; there "
                f"are kernels for {known}. Leave it unset to compile kernels when they are first used."
            )
        archs.append(arch)
    return list(dict.fromkeys(archs))


def find_compilers(archs: Iterable[str]) -> dict[str, Compiler]:
    """Return the compiler for each architecture.

    Raises:
        ValueError: The environment adds flags, which packaged code is not looked for with.
        RuntimeError: There is none for one of them.
    """
    return {arch: _find_compiler(arch) for arch in archs}


def _find_compiler(arch: str) -> Compiler:
    vendor = VENDORS[vendor_of(arch)]
    if user_flags(arch).strip():
        raise ValueError(
            f"{vendor.flags_variable} is set, but packaged kernels are compiled with the package's own flags: unset it "
            f"or {VARIABLE}"
        )
    reasons = []
    for found in _FIND[vendor_of(arch)](arch):
        if isinstance(found, Compiler):
            return found
        reasons.append(found)
    raise RuntimeError(
        f"ck_fmha: {VARIABLE} asks for kernels for {arch}, and no compiler for it was found:\n  "
        + "\n  ".join(reasons)
        + f"\n{vendor.how_to_get_one}, or name one by the environment variable {vendor.compiler_variable}."
    )


def _is_kept(folder: Path, name: str, entry: dict[str, object] | None) -> bool:
    file = folder / f"{name}.code"
    return entry is not None and file.is_file() and _packaged.digest(file.read_bytes()) == entry["digest"]


def package(compilers: dict[str, Compiler], include: Path, folder: Path, jobs: int) -> tuple[int, int]:
    """Compile the default instances for these architectures into `folder`; return how many, and how many were there."""
    headers = headers_digest(include)
    wanted = {_packaged.key(instance, headers): instance for arch in compilers for instance in default_instances(arch)}
    made_by = {arch: {"path": one.path, "version": one.version} for arch, one in compilers.items()}
    before = _packaged.Packaged.of(folder)
    same = {name for name, instance in wanted.items() if before.made_by(instance.arch) == made_by[instance.arch]}
    kept = {name for name in same if _is_kept(folder, name, before.entries.get(name))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _packaged.INDEX).unlink(missing_ok=True)  # an installation that is broken off leaves no index

    def compile_one(name: str, instance: Instance) -> dict[str, object]:
        file = folder / f"{name}.code"
        if name not in kept:
            with tempfile.TemporaryDirectory(prefix="ck_fmha-") as scratch:
                flags = (f"-I{include}",)  # the package's own folder has none yet
                compiler = compilers[instance.arch]
                file.write_bytes(compiler.compile(instance.source, instance.arch, Path(scratch), flags))
        code = file.read_bytes()
        return {**instance._asdict(), "digest": _packaged.digest(code), "size": len(code)}

    with ThreadPoolExecutor(jobs) as pool:
        entries = dict(zip(wanted, pool.map(compile_one, wanted, wanted.values()), strict=True))
    for file in folder.glob("*.code"):
        if file.stem not in entries:
            file.unlink()
    index = {"headers": headers, "compilers": made_by, "instances": entries}
    (folder / _packaged.INDEX).write_text(json.dumps(index, indent=1) + "\n")
    return len(entries), len(kept)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archs")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--include", type=Path, help="the folder of the kernels' headers, as it is installed")
    parser.add_argument("--to", type=Path, help="the package's folder of instances")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    try:
        compilers = find_compilers(parse_archs(options.archs))
        if not options.check:
            start = time.monotonic()
            count, kept = package(compilers, options.include.resolve(), options.to.resolve(), options.jobs)
            took = time.monotonic() - start
            print(f"ck_fmha: {count} instances for {', '.join(compilers)}, {kept} of them kept, in {took:.0f} s")
    except (ValueError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
