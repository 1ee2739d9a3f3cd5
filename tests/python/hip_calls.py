"""Calls of backend="hip" on the emulator: their masks and memory, and the kernels that they are computed with."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

import ck_fmha
import hip_emulator
from calls import Call, Tensors, assert_matches_reference, make_tensors
from ck_fmha import _instances
from ck_fmha._compiler_base import VENDORS
from ck_fmha.masks import _native_masks

ARCHS = list(hip_emulator.ARCHS)

_headers: Path | None = None  # what kernels are made of; None: those of the package


@contextlib.contextmanager
def plans_made_anew() -> Iterator[None]:
    """While open, masks are new to the runtime, which keeps what a kernel found of a mask's live tiles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_native_masks, "_recent", type(_native_masks._recent)(max_masks=256, max_bytes=2**20))
        yield


@contextlib.contextmanager
def kernels_made_of(headers: Path) -> Iterator[None]:
    """While open, `use` takes kernels compiled from these headers."""
    global _headers
    _headers = headers
    try:
        with plans_made_anew():
            yield
    finally:
        _headers = None


@functools.lru_cache(2)
def _modules(_headers: Path | None) -> _instances._Modules:
    return _instances._Modules(most=64)


def use(monkeypatch: pytest.MonkeyPatch, arch: str) -> None:
    """Compute on the emulator's device of this architecture."""
    hip_emulator.set_environment(monkeypatch, arch)
    monkeypatch.setenv(VENDORS["amd"].flags_variable, "" if _headers is None else f"-I{_headers}")
    # Loaded modules are found by what they are compiled for, not by what they are made of.
    monkeypatch.setattr(_instances, "_modules", _modules(_headers))


def on_hip(call: Call, tensors: Tensors) -> tuple[Tensor, Tensor]:
    q, k, v, *_ = tensors
    if _headers is not None and call.mask is not None:
        call = replace(call, mask=replace(call.mask))  # see plans_made_anew
    return ck_fmha.attention(q, k, v, call.mask, return_lse=True, backend="hip", **call.options())


def explain(call: Call, tensors: Tensors) -> ck_fmha.Explanation:
    q, k, v, *_ = tensors
    return ck_fmha.explain(q, k, v, call.mask, backend="hip", **call.options())


def assert_right(call: Call, tensors: Tensors | None = None) -> tuple[Tensor, Tensor]:
    tensors = make_tensors(call) if tensors is None else tensors
    out, lse = on_hip(call, tensors)
    assert_matches_reference(call, tensors, {"out": out, "lse": lse})
    return out, lse
