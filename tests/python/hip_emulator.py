"""backend="hip" where there is no AMD GPU: the emulator of tests/amd_emulator as the driver."""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFERENCE_KERNEL = Path(__file__).with_name("reference_kernel")
ARCHS = {"gfx942": "0", "gfx90a": "1"}  # and which device of the emulator has it


def library() -> Path:
    """The emulator's library, as the environment names it or as the C++ tests build it."""
    built = ROOT / "build/native/tests/amd_emulator/libck_fmha_amd_emulator.so"
    return Path(os.environ.get("CK_FMHA_HIP_LIBRARY", built))


def why_not() -> str:
    if not library().is_file():
        return f"no AMD GPU emulator in {library()}: `make cpp-test` builds it where clang-19 and llvm-19-dev are"
    if shutil.which("clang++-19") is None and "CK_FMHA_HIP_COMPILER" not in os.environ:
        return "no clang++-19, and CK_FMHA_HIP_COMPILER is not set"
    return ""


needs_emulator = pytest.mark.skipif(bool(why_not()), reason=why_not())


_FOLDERS = Path(tempfile.gettempdir()) / f"ck_fmha-tests-{os.geteuid()}"  # one for each test run, named by its process


@functools.cache
def _cache_folder() -> str:
    """One folder of code objects for all workers of a test run."""
    # pytest-xdist's workers are children of one process.
    parent = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    folder = _FOLDERS / str(parent)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(folder)


def remove_cache_folder() -> None:
    """At the end of a test run; folders of runs that were killed go with it."""
    for folder in _FOLDERS.glob("*"):
        if folder.name == str(os.getpid()) or not Path("/proc", folder.name).exists():
            shutil.rmtree(folder, ignore_errors=True)


def environment(arch: str = "gfx942", *, reference_kernel: bool = False, cache: object = None) -> dict[str, str]:
    """The variables under which backend="hip" runs on the emulator."""
    chosen = {
        "CK_FMHA_HIP_LIBRARY": str(library()),
        "CK_FMHA_HIP_DEVICE": ARCHS[arch],
        "CK_FMHA_CACHE_DIR": str(cache or _cache_folder()),
        "CK_FMHA_HIP_FLAGS": f"-I{REFERENCE_KERNEL} -O1" if reference_kernel else "",
    }
    if "CK_FMHA_HIP_COMPILER" not in os.environ:
        chosen["CK_FMHA_HIP_COMPILER"] = "clang++-19"
    return chosen


def set_environment(monkeypatch: pytest.MonkeyPatch, *args, **options) -> None:
    for name, value in environment(*args, **options).items():
        monkeypatch.setenv(name, value)


def run_python(code: str, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    """A process of its own, for what happens once in a process."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def configure(options: str) -> None:
    """How the emulator of this process runs launches from now on; "" as at the start."""
    emulator = ctypes.CDLL(str(library()))
    assert emulator.ck_fmha_emulator_configure(options.encode()) == 0
