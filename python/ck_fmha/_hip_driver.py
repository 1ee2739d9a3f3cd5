"""The HIP driver of this process, and which of its devices a tensor is for."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from ck_fmha import _native

LIBRARY_VARIABLE = "CK_FMHA_HIP_LIBRARY"
DEVICE_VARIABLE = "CK_FMHA_HIP_DEVICE"


def load_driver() -> str:
    """Load the driver library, if it is not loaded yet; return its path.

    Raises:
        RuntimeError: There is none; the message says what was tried and how to get one.
    """
    torch_folder = Path(torch.__file__).parent / "lib"
    try:
        return _native.hip_load(os.environ.get(LIBRARY_VARIABLE, ""), [str(torch_folder)])
    except RuntimeError as error:
        raise RuntimeError(
            f'{error}\nbackend="hip" needs an AMD GPU with ROCm 6.0 or newer, and PyTorch\'s build for ROCm. A driver '
            f'library elsewhere can be named by the environment variable {LIBRARY_VARIABLE}. Or use backend="cpu".'
        ) from None


def check_device(device: torch.device, name: str) -> None:
    """Raise what stands in the way of kernels of this back end on a tensor called `name`."""
    if device.type == "meta":
        return
    if device.type == "cuda":
        if torch.version.hip is None:
            raise NotImplementedError(
                f'{name} is on device "{device}" of a PyTorch built for CUDA: backend="hip" needs PyTorch\'s build for '
                "ROCm"
            )
        load_driver()
        return
    if device.type != "cpu":
        raise NotImplementedError(f'{name} is on device "{device}": backend="hip" takes tensors on AMD GPUs ("cuda")')
    if torch.compiler.is_compiling():  # the operator asks again when it runs
        return
    load_driver()
    if not _native.hip_accesses_host_memory():
        raise ValueError(
            f'{name} is on device "cpu", which AMD GPUs do not compute on: move it there, e.g. {name}.to("cuda")'
        )


def device_index(t: torch.Tensor) -> int:
    """Return the driver's number of the device that computes on `t`.

    A driver that takes tensors on the CPU (an emulator) computes on its first device, or the one that the environment
    variable CK_FMHA_HIP_DEVICE names.
    """
    if t.is_cuda:
        return t.get_device()
    asked = os.environ.get(DEVICE_VARIABLE, "0")
    if not asked.isdecimal():
        raise ValueError(f"{DEVICE_VARIABLE} must be the number of a device, got {asked!r}")
    return int(asked)


def stream_of(t: torch.Tensor) -> int:
    """Return the address of the stream on which torch computes on `t` now."""
    return int(torch.cuda.current_stream(t.device).cuda_stream) if t.is_cuda else 0
