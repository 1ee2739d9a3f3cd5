"""Tensors carved out of NaN: reading outside of one gives NaN, writing outside of one leaves a trace."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

GUARD = 512
_empty = torch.empty  # the real one, while guarded_allocations() stands in for it


@dataclass
class Guarded:
    """One allocation: ``tensor`` lies ``GUARD`` elements inside ``buffer``, which is NaN elsewhere."""

    buffer: Tensor
    tensor: Tensor
    length: int
    before: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._bands().clone()

    def _bands(self) -> Tensor:
        bits = self.buffer.view(torch.uint8)
        size = self.buffer.element_size()
        return torch.cat([bits[: GUARD * size], bits[(GUARD + self.length) * size :]])

    def assert_intact(self) -> None:
        changed = int((self._bands() != self.before).sum())
        assert changed == 0, f"{changed} bytes of the guard bands of a {tuple(self.tensor.shape)} tensor changed"


def carve(shape, stride=None, dtype: torch.dtype = torch.float32, device: object = "cpu") -> Guarded:
    """A NaN-filled tensor (stride gaps too) with guard bands on both sides. It is no view of the buffer."""
    shape = tuple(shape)
    stride = torch.empty(shape, device="meta").stride() if stride is None else tuple(stride)
    length = 1 + sum((n - 1) * step for n, step in zip(shape, stride, strict=True)) if 0 not in shape else 0
    buffer = torch.full((length + 2 * GUARD,), torch.nan, dtype=dtype, device=device)
    tensor = _empty(0, dtype=dtype, device=device).set_(buffer.untyped_storage(), GUARD, shape, stride)
    return Guarded(buffer, tensor, length)


def guarded_copy(values: Tensor, stride=None, device: object = None) -> Guarded:
    """The same values inside guard bands; ``stride`` defaults to the strides that ``values`` has."""
    stride = values.stride() if stride is None else stride
    guarded = carve(values.shape, stride, values.dtype, values.device if device is None else device)
    guarded.tensor.copy_(values)
    return guarded


@contextlib.contextmanager
def guarded_allocations() -> Iterator[list[Guarded]]:
    """While open, floating point tensors that Python code asks torch for are NaN, with guard bands.

    Leaving it checks every band. The list says what was allocated.
    """
    made: list[Guarded] = []

    def guard(plain: Tensor) -> Tensor:
        if not plain.dtype.is_floating_point or plain.device.type == "meta":
            return plain
        guarded = carve(plain.shape, plain.stride(), plain.dtype, plain.device)
        made.append(guarded)
        return guarded.tensor.requires_grad_(plain.requires_grad)

    def wrap(allocate, filled_with=None):
        def allocation(*args, **kwargs):
            tensor = guard(allocate(*args, **kwargs))
            return tensor if filled_with is None else tensor.fill_(filled_with)

        return allocation

    with pytest.MonkeyPatch.context() as patch:
        for owner, name, filled_with in [
            (torch, "empty", None),
            (torch, "empty_like", None),
            (torch, "empty_strided", None),
            (torch.Tensor, "new_empty", None),
            (torch.Tensor, "new_empty_strided", None),
            (torch, "zeros", 0),
            (torch, "zeros_like", 0),
            (torch.Tensor, "new_zeros", 0),
        ]:
            patch.setattr(owner, name, wrap(getattr(owner, name), filled_with))
        yield made
    for guarded in made:
        guarded.assert_intact()
