"""The integers that a mask carries: checked, copied once, and compared by content."""

from __future__ import annotations

import ctypes
import hashlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes

from ck_fmha._arguments import INDEX_MAX, check_int

_SHOWN = 64  # a repr writes out up to this many numbers
_INTEGERS = (
    torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64
)  # fmt: skip


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Make plain tensors and compute with them, whatever torch modes are active where a mask is made."""
    with torch.inference_mode(False), _disable_current_modes():
        yield


class Snapshot:
    """Immutable int32 numbers in one or more dimensions: equal and hashed by content, picklable.

    The numbers were copied when the mask was made, so writing to what they were copied from changes nothing. The repr
    is a list literal of up to 64 numbers, and a count and digest of more.

    Attributes:
        shape: The dimensions of what was given.
        tensor: The numbers, one dimension, int32, contiguous, on the CPU. Not to be written to.
        digest: Of the numbers' bytes.
    """

    shape: tuple[int, ...]
    tensor: torch.Tensor
    digest: bytes

    def __init__(self, shape: tuple[int, ...], numbers: bytes | bytearray) -> None:
        content = bytearray(numbers)
        self.shape = shape
        self.digest = hashlib.blake2b(content, digest_size=16).digest()
        with plain_tensors():
            self.tensor = (
                torch.frombuffer(content, dtype=torch.int32)
                if content
                else torch.empty(0, dtype=torch.int32, device="cpu")
            )

    def __reduce__(self) -> tuple[type[Snapshot], tuple[tuple[int, ...], bytes]]:
        return Snapshot, (self.shape, content_of(self.tensor))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self.shape == other.shape and self.digest == other.digest

    def __hash__(self) -> int:
        return hash((self.shape, self.digest))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __repr__(self) -> str:
        return self.summary() if self.is_long else repr(self.tolist())

    @property
    def is_long(self) -> bool:
        """Are the numbers too many for a repr to write them out?"""
        return self.tensor.numel() > _SHOWN

    def summary(self) -> str:
        """Return the count and digest of the numbers."""
        return f"<{self.tensor.numel()} int32, digest {self.digest.hex()[:8]}>"

    def tolist(self) -> list[Any]:
        """Return the numbers as a list, nested as they were given."""
        with plain_tensors():
            return self.tensor.view(self.shape).tolist()


Integers: TypeAlias = "Sequence[int] | torch.Tensor | Snapshot"
Table: TypeAlias = "Sequence[Sequence[Sequence[int]]] | torch.Tensor | Snapshot"


def stored(numbers: object) -> Snapshot:
    """Return a mask's field as the snapshot that the checks of its constructor have made of it."""
    assert isinstance(numbers, Snapshot)
    return numbers


def content_of(t: torch.Tensor) -> bytes:
    """Return a copy of the bytes of a contiguous CPU tensor."""
    return ctypes.string_at(t.data_ptr(), t.numel() * t.element_size()) if t.numel() else b""


def leave_graph(name: str) -> None:
    """Where torch.compile traces, end the graph: the numbers of a mask are only known when it runs."""
    if torch.compiler.is_dynamo_compiling():
        from torch._dynamo import graph_break

        graph_break(msg=f"{name} is data of a mask, which no graph can copy: make the mask outside and pass it in")


def snapshot(name: str, values: object, low: int = 0, high: int = INDEX_MAX, *, dims: int = 1) -> Snapshot:
    """Check integers of any form and copy them.

    Args:
        name: What the user calls the argument.
        values: List, tuple or range (nested for more dimensions), or a tensor of any integer dtype on any device, or
            anything that torch.tensor takes as an array.
        low: Smallest accepted number.
        high: Largest accepted number, at most 2**31 - 1.
        dims: Number of dimensions.

    Raises:
        TypeError: `values` or one of its numbers has the wrong type.
        ValueError: A number or the number of dimensions is not accepted.
    """
    leave_graph(name)
    if isinstance(values, Snapshot):
        _check_tensor(name, values.tensor.view(values.shape), low, high, dims)
        return values
    if hasattr(values, "__array__") and not isinstance(values, torch.Tensor):
        with plain_tensors():
            values = torch.tensor(values, device="cpu")
    if isinstance(values, torch.Tensor):
        wide = _check_tensor(name, values, low, high, dims)
        with plain_tensors():
            return from_tensor(wide)
    if isinstance(values, range) and dims == 1 and values:
        for number in (values[0], values[-1]):
            check_int(name, number, low, high)
        numbers = array("i", values)
        return Snapshot((len(values),), numbers.tobytes())
    flat: list[int] = []
    shape = _flatten(name, values, low, high, dims, flat)
    return Snapshot(shape, array("i", flat).tobytes())


def from_tensor(t: torch.Tensor) -> Snapshot:
    """Return a copy of an integer tensor on the CPU whose numbers are known to fit."""
    return Snapshot(tuple(t.shape), content_of(t.to(torch.int32).contiguous()))


def _check_tensor(name: str, t: torch.Tensor, low: int, high: int, dims: int) -> torch.Tensor:
    """Return the tensor on the CPU as int64, its numbers in [low, high]."""
    t = readable(name, t)
    if t.dtype not in _INTEGERS:
        hint = f": for positions use {name.split()[-1]}.nonzero()" if t.dtype == torch.bool else ""
        raise TypeError(f"{name} must have an integer dtype, got a tensor of {t.dtype}{hint}")
    if t.dim() != dims:
        raise ValueError(f"{name} must have {_dimensions(dims)}, got shape {tuple(t.shape)}")
    with plain_tensors():
        wide = t.detach().cpu().to(torch.int64)
        # Numbers of uint64 past 2**63 are negative now.
        wrapped = wide < 0 if t.dtype == torch.uint64 else torch.zeros_like(wide, dtype=torch.bool)
        for at in ((wide < low) | (wide > high) | wrapped).nonzero()[:1].tolist():
            number = int(wide[tuple(at)]) + (2**64 if wrapped[tuple(at)] else 0)
            check_int(name + "".join(f"[{i}]" for i in at), number, low, high)
    return wide


def readable(name: str, t: torch.Tensor) -> torch.Tensor:
    """Return `t` if its numbers can be read, else raise TypeError or ValueError."""
    if isinstance(t, FakeTensor) or t.device.type == "meta":
        raise ValueError(
            f"{name} must have numbers to read, got a {'fake' if isinstance(t, FakeTensor) else 'meta'} tensor of "
            f"shape {tuple(t.shape)}: make the mask outside of what is traced, and pass it in"
        )
    if t.layout != torch.strided or t.is_nested:
        raise TypeError(f"{name} must be a dense tensor, got {'a nested one' if t.is_nested else t.layout}")
    return t


def _flatten(name: str, values: object, low: int, high: int, dims: int, flat: list[int]) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        nested = " of lists" * (dims - 1)
        raise TypeError(f"{name} must be a list{nested} of ints or an integer tensor, got {_short(values)}")
    if dims == 1:
        # The usual case first: checking number by number is slow.
        if not all(type(x) is int and low <= x <= high for x in values):
            values = [check_int(f"{name}[{i}]", x, low, high) for i, x in enumerate(values)]
        flat.extend(values)
        return (len(values),)
    shapes = [_flatten(f"{name}[{i}]", x, low, high, dims - 1, flat) for i, x in enumerate(values)]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"{name} must be as long in every part, got {name}[0] of shape {shapes[0]} and {name}[{i}] of {shape}"
            )
    return (len(values), *(shapes[0] if shapes else (0,) * (dims - 1)))


def first_descent(numbers: Snapshot) -> int | None:
    """Return the position of the first number that is smaller than the one before it, None if there is none."""
    with plain_tensors():
        descents = (numbers.tensor[1:] < numbers.tensor[:-1]).nonzero()
        return int(descents[0]) + 1 if len(descents) else None


def _dimensions(dims: int) -> str:
    return "1 dimension" if dims == 1 else f"{dims} dimensions"


def _short(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:60] + '...'} of type {type(value).__name__}"
