"""Masks written as code: which query row attends which key column.

Every mask is an immutable value: hashable, comparable, picklable, and its ``repr`` evaluates back to it. Masks combine
with ``&`` (both), ``|`` (either) and ``~`` (not). Element (i, j) means query row i and key column j; True is attended.
A row that attends nothing gives output 0, LSE -inf and zero gradients.

    >>> from ck_fmha import masks
    >>> mask = masks.BigBird(block_size=64) & masks.Causal()
    >>> mask.num_tiles(4096, 4096)
    TileCounts(total=4096, live=334, full=270, edge=64)
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.utils._python_dispatch import _disable_current_modes

from ck_fmha import _native
from ck_fmha._arguments import check_bool, check_choice, check_int

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

__all__ = ["BigBird", "Causal", "Full", "Longformer", "Mask", "PrefixLM", "TileCounts", "Window"]

_ALIGNMENTS = ("top-left", "bottom-right")


class TileCounts(NamedTuple):
    """How many tiles a mask has: ``live`` ones hold an attended element; they are ``full`` or ``edge`` (partial)."""

    total: int
    live: int
    full: int
    edge: int


@functools.lru_cache(maxsize=256)
def native_mask(structure: str, params: tuple[int, ...]) -> _native.Mask:
    """Return the native mask of a structure and its parameters (see `Mask.structure`)."""
    return _native.Mask(structure, list(params))


class Mask:
    """Base of all masks. Make one from the classes of this module; combine them with ``&``, ``|`` and ``~``."""

    # Computed when a mask is made, not when it is first used: that may be inside a graph that torch.compile traces.
    _description: tuple[str, tuple[int, ...]]
    _depth: int = 1

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} is not a mask itself: use Full, Causal, Window, PrefixLM, Longformer or BigBird"
        )

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "_description", self._describe())

    def __reduce__(self) -> tuple[type[Mask], tuple[object, ...]]:
        # Through the constructor: the version that reads a pickle derives its own description from the fields.
        return type(self), tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def _check(self) -> None:
        """Refuse bad parameters; store integers of any type as int."""

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        raise NotImplementedError

    @property
    def structure(self) -> str:
        """Which definitions are combined how, without their numbers: ``"and(big_bird,diagonal)"``."""
        return self._description[0]

    @property
    def params(self) -> tuple[int, ...]:
        """The numbers of the definitions, in the order in which `structure` names them."""
        return self._description[1]

    @property
    def native(self) -> _native.Mask:
        """The mask as the native core walks it."""
        return native_mask(*self._description)

    def __and__(self, other: Mask) -> Mask:
        return _And(self, other) if isinstance(other, Mask) else NotImplemented

    def __or__(self, other: Mask) -> Mask:
        return _Or(self, other) if isinstance(other, Mask) else NotImplemented

    def __invert__(self) -> Mask:
        return _Not(self)

    def __bool__(self) -> bool:
        raise TypeError("a mask has no truth value: combine masks with &, | and ~ instead of `and`, `or` and `not`")

    def materialize(self, seqlen_q: int, seqlen_k: int, *, batch: int = 0, head: int = 0) -> torch.Tensor:
        """Write the mask out as a bool tensor, True where attended: O(seqlen_q * seqlen_k) memory, for tests and peers.

        Args:
            seqlen_q: Number of query rows, >= 0.
            seqlen_k: Number of key columns, >= 0.
            batch: Which sample.
            head: Which query head. `BigBird` draws other random blocks for every head.

        Returns:
            Tensor (seqlen_q, seqlen_k) of dtype torch.bool on the CPU.
        """
        where = _where(seqlen_q, seqlen_k, batch, head)
        return _tensor(self.native.materialize(where), torch.bool, where[:2])

    def density(self, seqlen_q: int, seqlen_k: int, *, batch: int = 0, head: int = 0) -> float:
        """Return the attended share of all elements, in [0, 1] (0.0 if there are none). O(live tiles)."""
        where = _where(seqlen_q, seqlen_k, batch, head)
        elements = where[0] * where[1]
        return self.native.count_attended(where) / elements if elements else 0.0

    def num_tiles(
        self, seqlen_q: int, seqlen_k: int, tile: tuple[int, int] = (64, 64), *, batch: int = 0, head: int = 0
    ) -> TileCounts:
        """Count the tiles of `tile` = (rows, columns) elements. Kernels compute the live ones only. O(live tiles).

        A combination of masks may count a few tiles as live that are empty, and as edge that are full.
        """
        where = _where(seqlen_q, seqlen_k, batch, head)
        return TileCounts(*self.native.count_tiles(where, _tile(tile)))

    def tile_status(
        self, seqlen_q: int, seqlen_k: int, tile: tuple[int, int] = (64, 64), *, batch: int = 0, head: int = 0
    ) -> torch.Tensor:
        """Return the status of every tile: 0 empty, 1 edge (partly attended), 2 full.

        A tile at the end of the sequence counts the elements that exist. Memory O(tiles).

        Returns:
            Tensor (row tiles, column tiles) of dtype torch.int8.
        """
        where, tile = _where(seqlen_q, seqlen_k, batch, head), _tile(tile)
        shape = (-(-where[0] // tile[0]), -(-where[1] // tile[1]))
        return _tensor(self.native.tile_status(where, tile), torch.int8, shape)

    def plot(
        self,
        seqlen_q: int,
        seqlen_k: int,
        *,
        head: int = 0,
        ax: Axes | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Axes:
        """Draw the mask: elements of short sequences, tiles (edge and full in different colours) of long ones.

        Args:
            seqlen_q: Number of query rows.
            seqlen_k: Number of key columns.
            head: Which query head.
            ax: Axes to draw into; a new figure if None.
            path: Where to save the figure, in the format its suffix names; not saved if None.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from ck_fmha.viz import plot_mask

        seqlen_q, seqlen_k, _, head = _where(seqlen_q, seqlen_k, 0, head)
        return plot_mask(self, seqlen_q, seqlen_k, head=head, ax=ax, path=path)


def _where(seqlen_q: int, seqlen_k: int, batch: int, head: int) -> tuple[int, int, int, int]:
    return (
        check_int("seqlen_q", seqlen_q, 0),
        check_int("seqlen_k", seqlen_k, 0),
        check_int("batch", batch, 0),
        check_int("head", head, 0),
    )


def _tensor(data: bytearray, dtype: torch.dtype, shape: tuple[int, int]) -> torch.Tensor:
    # Not memory of a new tensor: under a default device or a fake mode that has none which can be written.
    with _disable_current_modes():
        return (
            torch.frombuffer(data, dtype=dtype).view(shape) if data else torch.empty(shape, dtype=dtype, device="cpu")
        )


def _tile(tile: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(tile, (tuple, list)) or len(tile) != 2:
        raise TypeError(f"tile must be a pair (rows, columns), got {tile!r}")
    return check_int("tile[0]", tile[0], 1), check_int("tile[1]", tile[1], 1)


_MAX_DEPTH = 200  # of nested combinations, as in the native core


def _check_depth(*parts: Mask) -> int:
    depth = 1 + max(part._depth for part in parts)
    if depth > _MAX_DEPTH:
        raise ValueError(
            f"a mask may nest at most {_MAX_DEPTH} combinations, got {depth}: combine the parts in pairs, "
            "(a | b) | (c | d), instead of one after the other"
        )
    return depth


@dataclass(frozen=True, repr=False)
class _And(Mask):
    left: Mask
    right: Mask

    def _check(self) -> None:
        _set(self, "_depth", _check_depth(self.left, self.right))

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return f"and({self.left.structure},{self.right.structure})", self.left.params + self.right.params

    def __repr__(self) -> str:
        return f"({self.left!r} & {self.right!r})"


@dataclass(frozen=True, repr=False)
class _Or(Mask):
    left: Mask
    right: Mask

    def _check(self) -> None:
        _set(self, "_depth", _check_depth(self.left, self.right))

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return f"or({self.left.structure},{self.right.structure})", self.left.params + self.right.params

    def __repr__(self) -> str:
        return f"({self.left!r} | {self.right!r})"


@dataclass(frozen=True, repr=False)
class _Not(Mask):
    mask: Mask

    def _check(self) -> None:
        _set(self, "_depth", _check_depth(self.mask))

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return f"not({self.mask.structure})", self.mask.params

    def __repr__(self) -> str:
        return f"~{self.mask!r}"


def _diagonal(left: int, right: int, alignment: str, num_sinks: int) -> tuple[str, tuple[int, ...]]:
    return "diagonal", (left, right, _ALIGNMENTS.index(alignment), num_sinks)


@dataclass(frozen=True)
class Full(Mask):
    """Every query attends every key: dense attention."""

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return "full", ()


@dataclass(frozen=True)
class Causal(Mask):
    """Row i attends columns j <= i + d: no query sees the future.

    Args:
        alignment: ``"top-left"`` (d = 0, as torch's ``is_causal``) or ``"bottom-right"`` (d = seqlen_k - seqlen_q: the
            last query sees the last key, as in decoding with a cache).
    """

    alignment: str = "top-left"

    def _check(self) -> None:
        check_choice("Causal: alignment", self.alignment, _ALIGNMENTS)

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return _diagonal(-1, 0, self.alignment, 0)


@dataclass(frozen=True)
class Window(Mask):
    """Sliding window with optional attention sinks: (j < num_sinks or j >= i + d - left) and j <= i + d + right.

    Args:
        left: How many columns before the diagonal are attended; -1 = all.
        right: How many columns after the diagonal are attended; -1 = all.
        alignment: ``"top-left"`` (d = 0) or ``"bottom-right"`` (d = seqlen_k - seqlen_q).
        num_sinks: The first columns that rows keep attending, >= 0 (Xiao et al., 2023: attention sinks).
    """

    left: int
    right: int
    alignment: str = "top-left"
    num_sinks: int = 0

    def _check(self) -> None:
        unbounded = " (-1 = unbounded)"
        _set(self, "left", check_int("Window: left", self.left, -1, meaning=unbounded))
        _set(self, "right", check_int("Window: right", self.right, -1, meaning=unbounded))
        check_choice("Window: alignment", self.alignment, _ALIGNMENTS)
        _set(self, "num_sinks", check_int("Window: num_sinks", self.num_sinks, 0))

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return _diagonal(self.left, self.right, self.alignment, self.num_sinks)


@dataclass(frozen=True)
class PrefixLM(Mask):
    """Prefix language model (Raffel et al., 2020): row i attends columns j < prefix, and j <= i + d.

    Args:
        prefix: Length of the prefix that every row attends, >= 0.
        alignment: ``"top-left"`` (d = 0) or ``"bottom-right"`` (d = seqlen_k - seqlen_q).
    """

    prefix: int
    alignment: str = "top-left"

    def _check(self) -> None:
        _set(self, "prefix", check_int("PrefixLM: prefix", self.prefix, 0))
        check_choice("PrefixLM: alignment", self.alignment, _ALIGNMENTS)

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return "prefix_lm", (self.prefix, _ALIGNMENTS.index(self.alignment))


@dataclass(frozen=True)
class Longformer(Mask):
    """Longformer (Beltagy et al., 2020): a sliding window, dilated if wished, and global tokens.

    Row i attends column j iff |i - j| <= window/2 * dilation and dilation divides j - i, or one of the two is global.

    Args:
        window: Width of the window in (dilated) positions without the diagonal, even, >= 0: window/2 on each side.
        global_tokens: The first `global_tokens` positions attend everything and are attended by everything.
        dilation: Distance between attended positions of the window, >= 1.
        causal: Keep only j <= i of all this.

    Positions of rows and columns are compared as they are when seqlen_q != seqlen_k.
    """

    window: int
    global_tokens: int = 0
    dilation: int = 1
    causal: bool = False

    def _check(self) -> None:
        _set(self, "window", check_int("Longformer: window", self.window, 0))
        if self.window % 2:
            raise ValueError(
                f"Longformer: window must be even (window/2 positions on each side), got {self.window}: "
                f"use {self.window - 1} or {self.window + 1}"
            )
        if isinstance(self.global_tokens, Iterable):
            raise NotImplementedError(
                f"Longformer: global_tokens as a set of positions is not covered yet, got {self.global_tokens!r}: "
                "give the number of leading global tokens as an int"
            )
        _set(self, "global_tokens", check_int("Longformer: global_tokens", self.global_tokens, 0))
        _set(self, "dilation", check_int("Longformer: dilation", self.dilation, 1))
        check_bool("Longformer: causal", self.causal)

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        structure, params = "longformer", (self.window, self.global_tokens, self.dilation)
        if not self.causal:
            return structure, params
        causal, causal_params = Causal()._describe()
        return f"and({structure},{causal})", params + causal_params


@dataclass(frozen=True)
class BigBird(Mask):
    """Big Bird (Zaheer et al., 2020): global, window and random blocks.

    With blocks I, J of `block_size` rows and columns, (I, J) is attended iff one of them is among the first or last
    `num_global_blocks`, or |I - J| <= (num_window_blocks - 1) / 2, or J is one of the random blocks of I. Random blocks
    are permutations of the blocks keyed by (seed, head): every row and every column is drawn exactly
    `num_random_blocks` times (blocks drawn twice or drawn onto the window count once).

    Args:
        block_size: Rows and columns of a block, >= 1; independent of the kernels' tiles.
        num_window_blocks: Width of the window in blocks, odd, >= 1.
        num_global_blocks: Global blocks at each end, >= 0.
        num_random_blocks: Random blocks per row of blocks, 0 to 1024.
        seed: Any 64-bit integer. The same seed gives the same blocks on every back end.
        random_blocks: A table of random blocks; not covered yet.
    """

    block_size: int = 64
    num_window_blocks: int = 3
    num_global_blocks: int = 1
    num_random_blocks: int = 3
    seed: int = 0
    random_blocks: None = None

    def _check(self) -> None:
        _set(self, "block_size", check_int("BigBird: block_size", self.block_size, 1))
        odd = " and odd"
        _set(self, "num_window_blocks", check_int("BigBird: num_window_blocks", self.num_window_blocks, 1, meaning=odd))
        if self.num_window_blocks % 2 == 0:
            raise ValueError(
                "BigBird: num_window_blocks must be odd (the diagonal block and as many on each side), "
                f"got {self.num_window_blocks}: use {self.num_window_blocks - 1} or {self.num_window_blocks + 1}"
            )
        _set(self, "num_global_blocks", check_int("BigBird: num_global_blocks", self.num_global_blocks, 0))
        # Every step of a walk asks all random blocks of a row.
        _set(self, "num_random_blocks", check_int("BigBird: num_random_blocks", self.num_random_blocks, 0, 1024))
        _set(self, "seed", check_int("BigBird: seed", self.seed, -(2**63), 2**63 - 1))
        if self.random_blocks is not None:
            raise NotImplementedError(
                f"BigBird: random_blocks is not covered yet, got {type(self.random_blocks).__name__}: "
                "leave it None and choose the blocks by seed"
            )

    def _describe(self) -> tuple[str, tuple[int, ...]]:
        return "big_bird", (
            self.block_size,
            self.num_window_blocks,
            self.num_global_blocks,
            self.num_random_blocks,
            self.seed,
        )


def _set(mask: Mask, name: str, value: int) -> None:
    # Frozen dataclasses are written once, here, so that equal masks compare equal whatever integer type they came from.
    object.__setattr__(mask, name, value)
