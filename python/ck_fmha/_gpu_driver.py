"""The GPU drivers of this process, and which of their devices a tensor is for."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

import torch

from ck_fmha import _native


class _Backend(NamedTuple):
    """What differs between the vendors' back ends."""

    library_variable: str  # names the driver library
    device_variable: str  # which device computes on tensors on the CPU, for a driver that takes them
    gpus: str
    needs: str
    torch_build: str


_BACKENDS = {
    "hip": _Backend(
        "CK_FMHA_HIP_LIBRARY",
        "CK_FMHA_HIP_DEVICE",
        "AMD GPUs",
        "an AMD GPU with ROCm 6.0 or newer, and PyTorch's build for ROCm",
        "ROCm",
    ),
    "cuda": _Backend(
        "CK_FMHA_CUDA_LIBRARY",
        "CK_FMHA_CUDA_DEVICE",
        "NVIDIA GPUs",
        "an NVIDIA GPU with a driver for CUDA 12.0 or newer, and PyTorch's build for CUDA",
        "CUDA",
    ),
}

BACKENDS = tuple(_BACKENDS)
_OLDEST_SM = 80  # mma.sync.m16n8k16 and cp.async


def backend_of_torch() -> str | None:
    """Return the back end of this PyTorch's GPU tensors, or None if it is built for none."""
    if torch.version.hip is not None:
        return "hip"
    return None if torch.version.cuda is None else "cuda"


@functools.cache
def load_driver(backend: str) -> _native.GpuDriver:
    """Load the driver library, if it is not loaded yet.

    Raises:
        RuntimeError: There is none; the message says what was tried and how to get one.
    """
    about = _BACKENDS[backend]
    torch_folder = Path(torch.__file__).parent / "lib"
    try:
        return _native.GpuDriver.load(backend, os.environ.get(about.library_variable, ""), [str(torch_folder)])
    except RuntimeError as error:
        raise RuntimeError(
            f'{error}\nbackend="{backend}" needs {about.needs}. A driver library elsewhere can be named by the '
            f'environment variable {about.library_variable}. Or use backend="cpu".'
        ) from None


def accesses_host_memory(driver: _native.GpuDriver) -> bool:
    """Do kernels of this driver compute on tensors on the CPU?"""
    return driver.accesses_host_memory()


_served: set[tuple[str, torch.device]] = set()  # back ends and GPUs that nothing stands in the way of


def check_device(backend: str, device: torch.device, name: str) -> None:
    """Raise what stands in the way of kernels of this back end on a tensor called `name`."""
    if (backend, device) in _served:
        return
    about = _BACKENDS[backend]
    if device.type == "meta":
        return
    if device.type == "cuda":
        if backend_of_torch() != backend:
            built = "CUDA" if torch.version.hip is None else "ROCm"
            raise NotImplementedError(
                f'{name} is on device "{device}" of a PyTorch built for {built}: backend="{backend}" needs PyTorch\'s '
                f"build for {about.torch_build}"
            )
        if not torch.compiler.is_compiling():  # the operator asks again when it runs
            _check_architecture(load_driver(backend), device, name)
            _served.add((backend, device))
        return
    if device.type != "cpu":
        raise NotImplementedError(
            f'{name} is on device "{device}": backend="{backend}" takes tensors on {about.gpus} ("cuda")'
        )
    if torch.compiler.is_compiling():
        return
    if not accesses_host_memory(load_driver(backend)):
        raise ValueError(
            f'{name} is on device "cpu", which {about.gpus} do not compute on: move it there, e.g. {name}.to("cuda")'
        )


def _check_architecture(driver: _native.GpuDriver, device: torch.device, name: str) -> None:
    if device.index is None:
        return
    arch, _ = driver.device(device.index)
    if arch.startswith("sm_") and int(arch[3:].rstrip("a")) < _OLDEST_SM:
        raise NotImplementedError(
            f'{name} is on device "{device}", an NVIDIA GPU of architecture {arch}: backend="cuda" needs '
            f"sm_{_OLDEST_SM} or newer (Ampere). Use torch's scaled_dot_product_attention, or move {name} with "
            f"{name}.cpu()"
        )


def device_index(backend: str, t: torch.Tensor) -> int:
    """Return the driver's number of the device that computes on `t`.

    A driver that takes tensors on the CPU (an emulator) computes on its first device, or the one that the environment
    variable CK_FMHA_HIP_DEVICE (CK_FMHA_CUDA_DEVICE) names.
    """
    if t.is_cuda:
        return t.get_device()
    variable = _BACKENDS[backend].device_variable
    asked = os.environ.get(variable, "0")
    if not asked.isdecimal():
        raise ValueError(f"{variable} must be the number of a device, got {asked!r}")
    return int(asked)


def stream_of(t: torch.Tensor) -> int:
    """Return the address of the stream on which torch computes on `t` now."""
    return torch._C._cuda_getCurrentRawStream(t.get_device()) if t.is_cuda else 0
