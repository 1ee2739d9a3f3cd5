"""backend="cuda" where there is no NVIDIA GPU: libraries of tests/gpu_stand_ins in the places of libcuda and NVRTC."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FOLDER = Path(os.environ.get("CK_FMHA_STAND_INS", ROOT / "build/native/tests/gpu_stand_ins"))
DRIVER = _FOLDER / "libck_fmha_cuda_stand_in.so"
RUNTIME_COMPILERS = _FOLDER / "libck_fmha_runtime_compilers_stand_in.so"
DEVICES = {"sm_90a": "0", "sm_80": "1", "sm_75": "2"}  # the stand-in's

needs_stand_ins = pytest.mark.skipif(
    not DRIVER.is_file() or not RUNTIME_COMPILERS.is_file(),
    reason=f"no {DRIVER.name} or {RUNTIME_COMPILERS.name} in {_FOLDER}: `make cpp-test` builds them",
)


def environment(cache: Path, arch: str = "sm_90a") -> dict[str, str]:
    """The variables under which backend="cuda" takes tensors on the CPU and computes nothing."""
    return {
        "CK_FMHA_CUDA_LIBRARY": str(DRIVER),
        "CK_FMHA_CUDA_DEVICE": DEVICES[arch],
        "CK_FMHA_CUDA_COMPILER": str(RUNTIME_COMPILERS),
        "CK_FMHA_CACHE_DIR": str(cache),
    }


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(DRIVER))
    library.ck_fmha_stand_in_calls.restype = ctypes.c_char_p
    return library


def forget() -> None:
    """Forget the calls that were written down."""
    _library().ck_fmha_stand_in_forget()


def calls(first_word: str = "") -> list[str]:
    """What the driver was asked since then, or what of it begins with a word."""
    lines = _library().ck_fmha_stand_in_calls().decode().splitlines()
    return [line for line in lines if line.startswith(first_word)]


def num_contexts() -> int:
    """How many contexts this thread has pushed and not popped."""
    return int(_library().ck_fmha_stand_in_num_contexts())


@contextmanager
def capture(stream: int) -> Iterator[None]:
    """While open, the stream is captured."""
    _library().ck_fmha_stand_in_capture(ctypes.c_uint64(stream), 1)
    try:
        yield
    finally:
        _library().ck_fmha_stand_in_capture(ctypes.c_uint64(stream), 0)


@contextmanager
def pending_events() -> Iterator[None]:
    """While open, no event is over."""
    _library().ck_fmha_stand_in_keep_events_pending(1)
    try:
        yield
    finally:
        _library().ck_fmha_stand_in_keep_events_pending(0)
