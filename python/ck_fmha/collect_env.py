"""What a bug report needs to say about this installation: `python -m ck_fmha.collect_env`.

Every line is found on its own: what is missing is reported as missing and never stops the rest.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path

# Of all the flags that a kernel lists, those that matter to numerical code.
_INSTRUCTION_SETS = re.compile(r"^(sse4_[12]|avx\w*|fma|f16c|bf16|amx_\w+|asimd\w*|neon|sve\w*|i8mm)$")
_ENVIRONMENT = re.compile(r"^(OMP_|GOMP_|KMP_|MKL_NUM|MKL_DYN|CK_FMHA_)")


def _cpuinfo(*keys: str) -> str | None:
    """Value of the first of these keys in /proc/cpuinfo."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return None


def _cpu_model() -> str:
    name = _cpuinfo("model name", "Model", "cpu model") or platform.processor() or platform.machine()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name} ({usable} of {os.cpu_count()} logical CPUs usable)"


def _instruction_sets() -> str:
    flags = (_cpuinfo("flags", "Features") or "").split()
    return " ".join(sorted(filter(_INSTRUCTION_SETS.match, flags))) or "not listed by the system"


def _libgomp() -> str:
    """Whether torch and ck_fmha share one OpenMP runtime; with two, they fight over the cores."""
    importlib.import_module("torch")
    importlib.import_module("ck_fmha._native")
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    paths = sorted(set(re.findall(r"(/\S*lib(?:gomp|omp|iomp5)[\w.-]*\.so\S*)$", maps, re.MULTILINE)))
    if len(paths) == 1:
        return f"one, shared: {paths[0]}"
    return f"{len(paths)} runtimes loaded, threads are not shared: {', '.join(paths) or 'none'}"


def _environment() -> str:
    found = [f"{name}={value}" for name, value in sorted(os.environ.items()) if _ENVIRONMENT.match(name)]
    return " ".join(found) or "none set"


def _native(function: str) -> object:
    return getattr(importlib.import_module("ck_fmha._native"), function)()


def _available_isas() -> str:
    available = _native("available_isas")
    return " ".join(map(str, available)) if isinstance(available, (list, tuple)) else str(available)


def _devices(backend: str) -> str:
    from ck_fmha import _gpu_driver

    driver = _gpu_driver.load_driver(backend)
    devices = [driver.device(n) for n in range(driver.num_devices)]
    return f"{driver.path}: {', '.join(f'{arch} ({units} compute units)' for arch, units in devices) or 'no device'}"


def _compiler(arch: str) -> str:
    from ck_fmha._compiler import find_compiler

    found = find_compiler(arch)
    return f"{found.path}: {found.version}"


def _code_cache() -> str:
    from ck_fmha._code_cache import CodeCache

    return str(CodeCache.of_user().folder)


def _packaged_code() -> str:
    from ck_fmha._packaged import packaged

    archs = sorted({str(entry["arch"]) for entry in packaged().entries.values()})
    return f"{len(packaged().entries)} for {', '.join(archs)}" if archs else "none"


def _torch(ask: Callable[..., object]) -> object:
    return ask(importlib.import_module("torch"))


def _report(find: Callable[[], object]) -> str:
    try:
        return str(find())
    except Exception as error:  # a report about a broken installation must not break on it
        return f"not available ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"


def collect() -> list[tuple[str, str]]:
    """Rows (label, value) of the report, in the order they are printed.

    Returns:
        One row for each fact. Where it cannot be found, the value starts with "not available" and says why;
        nothing is raised.
    """
    questions: list[tuple[str, Callable[[], object]]] = [
        ("ck_fmha", lambda: importlib.metadata.version("ck_fmha")),
        ("ck_fmha folder", lambda: Path(__file__).parent),
        ("Python", lambda: f"{platform.python_version()} ({sys.executable})"),
        ("platform", platform.platform),
        ("CPU", _cpu_model),
        ("instruction sets", _instruction_sets),
        ("ISA chosen", lambda: _native("isa_name")),
        ("ISAs available", _available_isas),
    ]
    rows = [(label, _report(find)) for label, find in questions]

    build = None
    try:
        build = _native("build_info")
    except Exception as error:
        rows.append(("build", f"not available ({type(error).__name__}: {error})"))
    if isinstance(build, dict):
        rows += [(f"build: {key}", str(value)) for key, value in build.items()]

    questions = [
        ("torch", lambda: _torch(lambda torch: torch.__version__)),
        ("torch threads", lambda: _torch(lambda torch: torch.get_num_threads())),
        ("torch CPU capability", lambda: _torch(lambda torch: torch.backends.cpu.get_cpu_capability())),
        ("OpenMP runtime", _libgomp),
        ("HIP driver", lambda: _devices("hip")),
        ("HIP compiler", lambda: _compiler("gfx942")),
        ("CUDA driver", lambda: _devices("cuda")),
        ("CUDA compiler", lambda: _compiler("sm_90a")),
        ("packaged code objects", _packaged_code),
        ("code objects", _code_cache),
        ("environment", _environment),
    ]
    return rows + [(label, _report(find)) for label, find in questions]


def main() -> None:
    """Print the report as a table of two columns."""
    rows = collect()
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        print(f"{label:<{width}}  {value}")


if __name__ == "__main__":
    main()
