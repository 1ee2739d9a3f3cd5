"""What every mask is and does: its description for the native core, and the views of it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch.utils._python_dispatch import _disable_current_modes

from ck_fmha import _native
from ck_fmha._arguments import INDEX_MAX, check_int
from ck_fmha.masks._native_masks import native_mask
from ck_fmha.masks._snapshot import Snapshot

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

Where: TypeAlias = "tuple[int, int, int, int]"  # seqlen_q, seqlen_k, batch, head
Description: TypeAlias = "tuple[str, tuple[int, ...], tuple[Snapshot, ...]]"

MAX_DEPTH = 200  # of nested combinations, as in the native core

_BACKWARD = (5, 2)  # products of the backward pass for those of the forward


class TileCounts(NamedTuple):
    """How many tiles a mask has: ``live`` ones hold an attended element; they are ``full`` or ``edge`` (partial)."""

    total: int
    live: int
    full: int
    edge: int


class Flops(NamedTuple):
    """Floating-point operations of the matrix products; ``dense_forward`` is the forward pass without any mask."""

    forward: int
    backward: int
    dense_forward: int


class Mask:
    """Base of all masks. Make one from the definitions of this package; combine them with ``&``, ``|``, ``~``, ..."""

    # Where the definition comes from, for people.
    source: ClassVar[str] = ""

    # Computed when a mask is made, not when it is first used: that may be inside a graph that torch.compile traces.
    _description: Description
    _depth: int = 1
    # Found when it is first used by an eager call, and kept: an eager call then looks nothing up. Traced graphs hand
    # the description to the operators instead.
    _native_mask: _native.Mask | None = None

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} is not a mask itself: use Full, Causal, Window, BigBird or another definition of "
            "ck_fmha.masks"
        )

    def __post_init__(self) -> None:
        self._check()
        put(self, "_description", self._describe())

    def __reduce__(self) -> tuple[type[Mask], tuple[Any, ...]]:
        # Through the constructor: the version that reads a pickle derives its own description from the fields.
        return type(self), tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    def _check(self) -> None:
        """Refuse bad parameters; store integers of any type as int, and data as snapshots."""

    def _describe(self) -> Description:
        raise NotImplementedError

    def _parts(self) -> tuple[Mask, ...]:
        """Return the masks that this one combines."""
        return ()

    @property
    def structure(self) -> str:
        """Which definitions are combined how, without their numbers: ``"and(big_bird,diagonal)"``."""
        return self._description[0]

    @property
    def params(self) -> tuple[int, ...]:
        """The numbers of the definitions, in the order in which `structure` names them."""
        return self._description[1]

    @property
    def data(self) -> tuple[torch.Tensor, ...]:
        """The arrays of the definitions, int32 on the CPU, in the order in which `structure` names them.

        They are the mask's own: writing to them is not allowed.
        """
        return tuple([snapshot.tensor for snapshot in self._description[2]])

    @property
    def native(self) -> _native.Mask:
        """The mask as the native core walks it."""
        if self._native_mask is None:
            structure, params, snapshots = self._description
            found = native_mask(structure, params, self.data, tuple(snapshot.digest for snapshot in snapshots))
            put(self, "_native_mask", found)
            return found
        return self._native_mask

    @property
    def varies_by_head(self) -> bool:
        """Do heads differ? If not, what holds for head 0 holds for all."""
        return self.native.varies_by_head

    @property
    def varies_by_batch(self) -> bool:
        """Do samples differ? If not, what holds for sample 0 holds for all."""
        return self.native.varies_by_batch

    def __and__(self, other: Mask) -> Mask:
        from ck_fmha.masks._algebra import And

        return And(self, other) if isinstance(other, Mask) else NotImplemented

    def __or__(self, other: Mask) -> Mask:
        from ck_fmha.masks._algebra import Or

        return Or(self, other) if isinstance(other, Mask) else NotImplemented

    def __invert__(self) -> Mask:
        from ck_fmha.masks._algebra import Not

        return Not(self)

    @property
    def T(self) -> Mask:
        """The mask with rows and columns exchanged: it attends (i, j) iff this one, of (seqlen_k, seqlen_q), (j, i)."""
        from ck_fmha.masks._algebra import Transposed

        return Transposed(self)

    def shift(self, dq: int, dk: int) -> Mask:
        """Place the mask of seqlen_q - dq rows and seqlen_k - dk columns with its first element at (dq, dk).

        Row i attends column j iff i >= dq, j >= dk and this mask, for lengths (seqlen_q - dq, seqlen_k - dk), attends
        (i - dq, j - dk). ``shift(-n, 0)`` is the mask of the rows from n on: of a chunk of queries.

        Args:
            dq: Rows that come before, which attend nothing; negative: that many rows are cut off.
            dk: Columns that come before, which nothing attends; negative: that many columns are cut off.
        """
        from ck_fmha.masks._algebra import Shifted

        return Shifted(self, dq, dk)

    def __str__(self) -> str:
        """Return the repr without what is left at its default."""
        given = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given)})"

    def __bool__(self) -> bool:
        raise TypeError("a mask has no truth value: combine masks with &, | and ~ instead of `and`, `or` and `not`")

    def materialize(self, seqlen_q: int, seqlen_k: int, *, batch: int = 0, head: int = 0) -> torch.Tensor:
        """Write the mask out as a bool tensor, True where attended: O(seqlen_q * seqlen_k) memory, for tests and peers.

        Args:
            seqlen_q: Number of query rows, >= 0.
            seqlen_k: Number of key columns, >= 0.
            batch: Which sample (see `varies_by_batch`).
            head: Which query head (see `varies_by_head`).

        Returns:
            Tensor (seqlen_q, seqlen_k) of dtype torch.bool on the CPU.
        """
        where = check_where(seqlen_q, seqlen_k, batch, head)
        return _tensor(self.native.materialize(where), torch.bool, where[:2])

    def density(self, seqlen_q: int, seqlen_k: int, *, batch: int = 0, head: int = 0) -> float:
        """Return the attended share of all elements, in [0, 1] (0.0 if there are none). O(live tiles)."""
        where = check_where(seqlen_q, seqlen_k, batch, head)
        elements = where[0] * where[1]
        return self.native.count_attended(where) / elements if elements else 0.0

    def num_tiles(
        self, seqlen_q: int, seqlen_k: int, tile: tuple[int, int] = (64, 64), *, batch: int = 0, head: int = 0
    ) -> TileCounts:
        """Count the tiles of `tile` = (rows, columns) elements. Kernels compute the live ones only. O(live tiles).

        A combination of masks may count a few tiles as live that are empty, and as edge that are full.
        """
        where = check_where(seqlen_q, seqlen_k, batch, head)
        return TileCounts(*self.native.count_tiles(where, check_tile(tile)))

    def tile_status(
        self, seqlen_q: int, seqlen_k: int, tile: tuple[int, int] = (64, 64), *, batch: int = 0, head: int = 0
    ) -> torch.Tensor:
        """Return the status of every tile: 0 empty, 1 edge (partly attended), 2 full.

        A tile at the end of the sequence counts the elements that exist. Memory O(tiles).

        Returns:
            Tensor (row tiles, column tiles) of dtype torch.int8.
        """
        where, tile = check_where(seqlen_q, seqlen_k, batch, head), check_tile(tile)
        shape = (-(-where[0] // tile[0]), -(-where[1] // tile[1]))
        return _tensor(self.native.tile_status(where, tile), torch.int8, shape)

    def flops(
        self,
        seqlen_q: int,
        seqlen_k: int,
        head_dim: int,
        head_dim_v: int | None = None,
        *,
        num_heads: int = 1,
        batch: int = 1,
        tile: tuple[int, int] = (64, 64),
    ) -> Flops:
        """Count the floating-point operations of a call: of the products q k^T and p v over the live tiles.

        An element costs 2 * head_dim + 2 * head_dim_v forward and 2.5 times that backward (five products instead of
        two). A tile at the end of the sequence counts the elements that exist, so `Full` costs what dense attention
        costs.

        Args:
            seqlen_q: Number of query rows.
            seqlen_k: Number of key columns.
            head_dim: That of q and k, >= 1.
            head_dim_v: That of v; default `head_dim`.
            num_heads: Number of query heads; each counts with its own mask.
            batch: Number of samples; each counts with its own mask.
            tile: (rows, columns) of the kernels' tiles.

        Raises:
            ValueError: The mask is made for another number of heads or samples.
        """
        seqlen_q, seqlen_k, _, _ = check_where(seqlen_q, seqlen_k, 0, 0)
        head_dim = check_int("head_dim", head_dim, 1)
        head_dim_v = head_dim if head_dim_v is None else check_int("head_dim_v", head_dim_v, 1)
        num_heads, batch = check_int("num_heads", num_heads, 0), check_int("batch", batch, 0)
        tile = check_tile(tile)
        self.native.check_counts(batch, num_heads)
        heads, samples = self._distinct(num_heads, batch)
        elements = sum(
            self._elements_of_live_tiles((seqlen_q, seqlen_k, sample, head), tile)
            for sample in range(samples)
            for head in range(heads)
        )
        if heads and samples:
            elements *= (num_heads // heads) * (batch // samples)
        an_element = 2 * head_dim + 2 * head_dim_v
        forward = elements * an_element
        dense = seqlen_q * seqlen_k * num_heads * batch * an_element
        return Flops(forward, forward * _BACKWARD[0] // _BACKWARD[1], dense)

    def _distinct(self, num_heads: int, batch: int) -> tuple[int, int]:
        """Return how many heads and samples stand for all: one, or every one where they differ."""
        return (
            num_heads if self.varies_by_head else min(num_heads, 1),
            batch if self.varies_by_batch else min(batch, 1),
        )

    def _elements_of_live_tiles(self, where: Where, tile: tuple[int, int]) -> int:
        """Count the elements of live tiles; those at the end of the sequence may be cut."""
        (rows, columns), (height, width) = where[:2], tile
        last_row, last_column = (rows // height) * height, (columns // width) * width
        cut_row, cut_column = last_row + height - rows, last_column + width - columns

        def live_from(row: int, column: int) -> int:
            """Live tiles from this row and column on."""
            structure, params, snapshots = self._description
            cut = native_mask(
                f"and({structure},shift(full))",
                (*params, row, column),
                self.data,
                tuple(snapshot.digest for snapshot in snapshots),
            )
            return cut.count_tiles(where, tile)[1]

        elements = height * width * self.native.count_tiles(where, tile)[1]
        ragged_rows, ragged_columns = last_row < rows, last_column < columns
        if ragged_rows:
            elements -= cut_row * width * live_from(last_row, 0)
        if ragged_columns:
            elements -= cut_column * height * live_from(0, last_column)
        if ragged_rows and ragged_columns:
            elements += cut_row * cut_column * live_from(last_row, last_column)
        return elements

    def explain(
        self, seqlen_q: int, seqlen_k: int, tile: tuple[int, int] = (64, 64), head: int = 0, batch: int = 0
    ) -> str:
        """Describe the mask of one head and sample in several lines.

        Says its repr and structure, how many tiles are live and how many elements attended, what differs from head to
        head and from sample to sample, how much data it carries, and what each part of a combination does.

        Args:
            seqlen_q: Number of query rows.
            seqlen_k: Number of key columns.
            tile: (rows, columns) of the tiles that are counted.
            head: Which query head.
            batch: Which sample.
        """
        from ck_fmha.masks._explain import explain_mask

        return explain_mask(self, check_where(seqlen_q, seqlen_k, batch, head), check_tile(tile))

    def plot(
        self,
        seqlen_q: int,
        seqlen_k: int,
        *,
        batch: int = 0,
        head: int = 0,
        tile: tuple[int, int] | None = None,
        ax: Axes | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> Axes:
        """Draw the mask: elements of short sequences, tiles (edge and full in different colours) of long ones.

        Args:
            seqlen_q: Number of query rows.
            seqlen_k: Number of key columns.
            batch: Which sample.
            head: Which query head.
            tile: (rows, columns) of the tiles to draw; default: elements up to 256 x 256, then tiles of 64 x 64 or as
                large as 256 of them a side allow.
            ax: Axes to draw into; a new figure if None.
            path: Where to save the figure, in the format its suffix names; not saved if None.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from ck_fmha.viz import plot_mask

        seqlen_q, seqlen_k, batch, head = check_where(seqlen_q, seqlen_k, batch, head)
        tile = None if tile is None else check_tile(tile)
        return plot_mask(self, seqlen_q, seqlen_k, batch=batch, head=head, tile=tile, ax=ax, path=path)


def put(mask: Mask, name: str, value: object) -> None:
    """Write a field of a frozen mask.

    That is done while it is made, so that equal masks compare equal whatever their arguments came as.
    """
    object.__setattr__(mask, name, value)


def put_int(mask: Mask, name: str, low: int = 0, high: int = INDEX_MAX, meaning: str = "") -> None:
    """Check a field that is an int and store it as one."""
    put(mask, name, check_int(f"{type(mask).__name__}: {name}", getattr(mask, name), low, high, meaning))


def check_where(seqlen_q: int, seqlen_k: int, batch: int, head: int) -> Where:
    """Return what a view of a mask looks at, as ints."""
    return (
        check_int("seqlen_q", seqlen_q, 0),
        check_int("seqlen_k", seqlen_k, 0),
        check_int("batch", batch, 0),
        check_int("head", head, 0),
    )


def check_tile(tile: tuple[int, int]) -> tuple[int, int]:
    """Return the (rows, columns) of a tile as ints."""
    if not isinstance(tile, (tuple, list)) or len(tile) != 2:
        raise TypeError(f"tile must be a pair (rows, columns), got {tile!r}")
    return check_int("tile[0]", tile[0], 1), check_int("tile[1]", tile[1], 1)


def _tensor(data: bytearray, dtype: torch.dtype, shape: tuple[int, int]) -> torch.Tensor:
    # Not memory of a new tensor: under a default device or a fake mode that has none which can be written.
    with _disable_current_modes():
        return (
            torch.frombuffer(data, dtype=dtype).view(shape) if data else torch.empty(shape, dtype=dtype, device="cpu")
        )
