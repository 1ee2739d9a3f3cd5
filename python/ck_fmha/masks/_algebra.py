"""Masks made of masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from ck_fmha._arguments import INDEX_MAX, check_int
from ck_fmha.masks._base import MAX_DEPTH, Description, Mask, put
from ck_fmha.masks._snapshot import Snapshot


def _depth_over(*parts: Mask) -> int:
    depth = 1 + max([part._depth for part in parts])
    if depth > MAX_DEPTH:
        raise ValueError(
            f"a mask may nest at most {MAX_DEPTH} combinations, got {depth}: combine the parts in pairs, "
            "(a | b) | (c | d), instead of one after the other"
        )
    return depth


class Combination(Mask):
    """What has parts: its depth, and its description from theirs."""

    name: ClassVar[str]

    def _check(self) -> None:
        put(self, "_depth", _depth_over(*self._parts()))

    def _numbers(self) -> tuple[int, ...]:
        return ()

    def _write(self, text: Callable[[Mask], str]) -> str:
        """Return the expression, its parts written by `text`: repr or str."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._write(repr)

    def __str__(self) -> str:
        return self._write(str)

    def _describe(self) -> Description:
        params = self._numbers()
        data: tuple[Snapshot, ...] = ()
        structures = []
        for part in self._parts():
            structure, part_params, part_data = part._description
            structures.append(structure)
            params += part_params
            data += part_data
        return f"{self.name}({','.join(structures)})", params, data


@dataclass(frozen=True, repr=False)
class And(Combination):
    """Attended by both."""

    left: Mask
    right: Mask
    name = "and"

    def _parts(self) -> tuple[Mask, ...]:
        return self.left, self.right

    def _write(self, text: Callable[[Mask], str]) -> str:
        return f"({text(self.left)} & {text(self.right)})"


@dataclass(frozen=True, repr=False)
class Or(Combination):
    """Attended by one of the two."""

    left: Mask
    right: Mask
    name = "or"

    def _parts(self) -> tuple[Mask, ...]:
        return self.left, self.right

    def _write(self, text: Callable[[Mask], str]) -> str:
        return f"({text(self.left)} | {text(self.right)})"


@dataclass(frozen=True, repr=False)
class Not(Combination):
    """Attended where the mask is not."""

    mask: Mask
    name = "not"

    def _parts(self) -> tuple[Mask, ...]:
        return (self.mask,)

    def _write(self, text: Callable[[Mask], str]) -> str:
        return f"~{text(self.mask)}"


def _operand(mask: Mask, text: Callable[[Mask], str]) -> str:
    # A dot binds closer than ~ does.
    return f"({text(mask)})" if isinstance(mask, Not) else text(mask)


@dataclass(frozen=True, repr=False)
class Transposed(Combination):
    """Rows and columns exchanged: see `Mask.T`."""

    mask: Mask
    name = "transpose"

    def _parts(self) -> tuple[Mask, ...]:
        return (self.mask,)

    def _write(self, text: Callable[[Mask], str]) -> str:
        return f"{_operand(self.mask, text)}.T"


@dataclass(frozen=True, repr=False)
class Shifted(Combination):
    """Placed elsewhere: see `Mask.shift`."""

    mask: Mask
    dq: int
    dk: int
    name = "shift"

    def _check(self) -> None:
        super()._check()
        put(self, "dq", check_int("shift: dq", self.dq, -INDEX_MAX))
        put(self, "dk", check_int("shift: dk", self.dk, -INDEX_MAX))

    def _numbers(self) -> tuple[int, ...]:
        return self.dq, self.dk

    def _parts(self) -> tuple[Mask, ...]:
        return (self.mask,)

    def _write(self, text: Callable[[Mask], str]) -> str:
        return f"{_operand(self.mask, text)}.shift({self.dq}, {self.dk})"


@dataclass(frozen=True, repr=False)
class Choice(Combination):
    """One of several masks, by a number of the call."""

    masks: tuple[Mask, ...]

    def _check(self) -> None:
        put(self, "masks", _masks_of(self.name, self.masks))
        super()._check()

    def _parts(self) -> tuple[Mask, ...]:
        return self.masks

    def _write(self, text: Callable[[Mask], str]) -> str:
        return f"{self.name}([{', '.join(map(text, self.masks))}])"


@dataclass(frozen=True, repr=False)
class PerHead(Choice):
    """Head h has mask number h."""

    name = "per_head"


@dataclass(frozen=True, repr=False)
class PerSample(Choice):
    """Sample b has mask number b."""

    name = "per_sample"


def _masks_of(name: str, masks: object) -> tuple[Mask, ...]:
    if not isinstance(masks, Iterable):
        raise TypeError(f"{name} must get a list of masks, got {masks!r} of type {type(masks).__name__}")
    parts = tuple(masks)
    if not parts:
        raise ValueError(f"{name} must get at least 1 mask, got none")
    for i, part in enumerate(parts):
        if not isinstance(part, Mask):
            raise TypeError(f"{name}: masks[{i}] must be a mask, got {part!r} of type {type(part).__name__}")
    return parts


def per_head(masks: Iterable[Mask]) -> Mask:
    """Give every query head a mask of its own.

    Args:
        masks: One mask a head, at least one. A call must have as many query heads (ValueError if not).
    """
    return PerHead(masks)  # type: ignore[arg-type]


def per_sample(masks: Iterable[Mask]) -> Mask:
    """Give every sample of the batch a mask of its own.

    Args:
        masks: One mask a sample, at least one. A call must have as large a batch (ValueError if not).
    """
    return PerSample(masks)  # type: ignore[arg-type]
