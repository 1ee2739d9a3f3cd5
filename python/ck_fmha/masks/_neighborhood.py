"""Neighborhood attention on a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ck_fmha._arguments import INDEX_MAX, check_bool, check_choice, check_int
from ck_fmha.masks._base import Description, Mask, put

_BORDERS = ("shift", "clip")
_MAX_DIMS = 3


@dataclass(frozen=True)
class Neighborhood(Mask):
    """Every position of a 1-D, 2-D or 3-D grid attends the positions around it.

    Position number i is the row-major index in the grid; (i, j) is attended iff every coordinate of j is in the window
    of that of i. An axis of dilation m falls apart into m classes (x mod m), and the window holds positions of the
    same class: with p = floor(x / m) and L members of the class, the `window` members from
    clamp(p - floor(window/2), 0, L - window) on. Rows and columns past the grid attend nothing.

    Args:
        grid: Positions along each axis, the slowest first: an int or 1 to 3 of them, each >= 1.
        window: Width of the window, odd, >= 1, in all or along each axis; wider than the axis reaches all of it.
        dilation: Distance between the positions of a window, >= 1, in all or along each axis.
        causal: Only p - window < p' <= p, in all or along each axis; the border is then always clipped.
        border: ``"shift"``: at the border the window moves inwards and keeps its size; ``"clip"``: it loses what
            lies outside.

    Source: Hassani et al., "Neighborhood Attention Transformer", 2023; Hassani and Shi, "Dilated Neighborhood
    Attention Transformer", 2022.
    """

    source: ClassVar[str] = "Hassani et al., 2023"

    grid: int | Sequence[int]
    window: int | Sequence[int]
    dilation: int | Sequence[int] = 1
    causal: bool | Sequence[bool] = False
    border: str = "shift"

    def _check(self) -> None:
        put(self, "grid", _numbers("grid", self.grid, None))
        assert isinstance(self.grid, tuple)
        dims = len(self.grid)
        if math.prod(self.grid) > INDEX_MAX:
            raise ValueError(f"Neighborhood: grid must have fewer than 2**31 positions, got {self.grid}")
        put(self, "window", _numbers("window", self.window, dims))
        assert isinstance(self.window, tuple)
        for axis, window in enumerate(self.window):
            if window % 2 == 0:
                raise ValueError(
                    "Neighborhood: window must be odd (the position itself and as many on each side), got "
                    f"{window} along axis {axis}: use {window - 1} or {window + 1}"
                )
        put(self, "dilation", _numbers("dilation", self.dilation, dims))
        causal = self.causal if isinstance(self.causal, (tuple, list)) else (self.causal,) * dims
        _check_axes("causal", causal, dims)
        put(self, "causal", tuple([check_bool(f"Neighborhood: causal[{i}]", c) for i, c in enumerate(causal)]))
        check_choice("Neighborhood: border", self.border, _BORDERS)

    def _describe(self) -> Description:
        assert isinstance(self.grid, tuple) and isinstance(self.window, tuple)
        assert isinstance(self.dilation, tuple) and isinstance(self.causal, tuple)
        params = [len(self.grid), _BORDERS.index(self.border)]
        for size, window, dilation, causal in zip(self.grid, self.window, self.dilation, self.causal, strict=True):
            params += [size, window, dilation, int(causal)]
        return "neighborhood", tuple(params), ()


def _numbers(name: str, value: object, dims: int | None) -> tuple[int, ...]:
    """Return one number per axis; a single one counts for all."""
    if not isinstance(value, (tuple, list)):
        number = check_int(f"Neighborhood: {name}", value, 1)
        return (number,) * (dims or 1)
    _check_axes(name, value, dims)
    return tuple([check_int(f"Neighborhood: {name}[{i}]", number, 1) for i, number in enumerate(value)])


def _check_axes(name: str, value: Sequence[object], dims: int | None) -> None:
    if dims is None and not 1 <= len(value) <= _MAX_DIMS:
        raise ValueError(f"Neighborhood: {name} must have 1 to {_MAX_DIMS} axes, got {value!r}")
    if dims is not None and len(value) != dims:
        raise ValueError(f"Neighborhood: {name} must have one entry for each of the {dims} axes of grid, got {value!r}")
