"""Pictures of masks. matplotlib is imported when the first picture is drawn, not before."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ELEMENT_VIEW = 256  # up to this many rows and columns, every element is drawn
_MAX_TILES = 256  # a tile view has at most this many tiles a side
_MAX_TILES_ASKED = 2048  # and with tiles of the user's choice this many
_MIN_TILE = 64
_NAME_WIDTH = 80  # characters of a title line; a mask's name gets two of them

_EMPTY, _EDGE, _FULL = "#f4f1ea", "#f2a541", "#1f4e79"  # apart in grey as well, and for the colour-blind


def plot_mask(
    mask: Any,
    seqlen_q: int,
    seqlen_k: int,
    *,
    batch: int = 0,
    head: int = 0,
    tile: tuple[int, int] | None = None,
    ax: Axes | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Axes:
    """Draw which (query, key) pairs a mask attends: every element of a small call, the tiles of a larger one.

    Args:
        mask: an object of `ck_fmha.masks`.
        seqlen_q: number of query rows, drawn downwards.
        seqlen_k: number of key columns, drawn to the right.
        batch: the sample whose mask is drawn; matters to masks that differ from sample to sample.
        head: the head whose mask is drawn; matters to masks that differ from head to head.
        tile: (rows, columns) of the tiles to draw. Default: elements of a small call, else tiles of `tile_shape`.
        ax: axes to draw on. Default: a new figure; when `path` is given, one without a window that leaves
            matplotlib's state alone, otherwise from `matplotlib.pyplot`.
        path: where to save the figure as well; the ending chooses the format. Works without a display.

    Returns:
        The axes drawn on.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a sequence length is below 1, or the tiles are more than 2048 a side.
    """
    if seqlen_q < 1 or seqlen_k < 1:
        raise ValueError(
            f"a picture needs seqlen_q >= 1 and seqlen_k >= 1, got seqlen_q={seqlen_q}, seqlen_k={seqlen_k}"
        )
    if tile is not None and max(-(-seqlen_q // tile[0]), -(-seqlen_k // tile[1])) > _MAX_TILES_ASKED:
        raise ValueError(
            f"a picture has at most {_MAX_TILES_ASKED} tiles a side, got tile={tile} for {seqlen_q} x {seqlen_k}: "
            "take larger tiles, or leave tile out"
        )
    _require_matplotlib()
    if ax is None:
        ax = _new_axes(headless=path is not None)
    of = {"batch": batch, "head": head}
    if tile is None and max(seqlen_q, seqlen_k) <= _ELEMENT_VIEW:
        _draw_elements(ax, mask, seqlen_q, seqlen_k, of)
    else:
        _draw_tiles(ax, mask, seqlen_q, seqlen_k, tile or tile_shape(seqlen_q, seqlen_k), of)
    ax.set_xlabel(f"key (seqlen_k = {seqlen_k:,})")
    ax.set_ylabel(f"query (seqlen_q = {seqlen_q:,})")
    if path is not None:
        figure: Any = ax.figure.figure  # of a sub-figure, the figure that holds it
        figure.savefig(path, dpi=150, bbox_inches="tight")
    return ax


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "drawing a mask needs matplotlib, which is not installed. "
            "Install it with: pip install matplotlib (or pip install 'ck_fmha[plot]')"
        ) from error


def _new_axes(*, headless: bool) -> Axes:
    if headless:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 6.4))
        FigureCanvasAgg(figure)
    else:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(6.4, 6.4))
    return figure.add_subplot()


def tile_shape(seqlen_q: int, seqlen_k: int) -> tuple[int, int]:
    """Tile (rows, columns) of a picture: 64, doubled until at most 256 tiles fill a side."""

    def side(seqlen: int) -> int:
        size = _MIN_TILE
        while -(-seqlen // size) > _MAX_TILES:
            size *= 2
        return size

    return side(seqlen_q), side(seqlen_k)


def _draw_elements(ax: Axes, mask: Any, seqlen_q: int, seqlen_k: int, of: dict[str, int]) -> None:
    attended = mask.materialize(seqlen_q, seqlen_k, **of)
    _draw(ax, (attended * 2).tolist(), seqlen_q, seqlen_k, {2: "live (attended)", 0: "not attended"})
    pairs = int(attended.sum())
    _title(ax, mask, seqlen_q, seqlen_k, of, f"{pairs:,} of {seqlen_q * seqlen_k:,} pairs")


def _draw_tiles(ax: Axes, mask: Any, seqlen_q: int, seqlen_k: int, tile: tuple[int, int], of: dict[str, int]) -> None:
    status = mask.tile_status(seqlen_q, seqlen_k, tile=tile, **of)
    _draw(ax, status.tolist(), seqlen_q, seqlen_k, {2: "live, full", 1: "live, edge", 0: "empty"}, tile)
    count = mask.num_tiles(seqlen_q, seqlen_k, tile, **of)
    _title(
        ax, mask, seqlen_q, seqlen_k, of,
        f"{count.live:,} of {count.total:,} tiles of {tile[0]}×{tile[1]} live "
        f"({count.full:,} full, {count.edge:,} edge)",
    )  # fmt: skip


def _draw(
    ax: Axes,
    cells: list[list[int]],
    seqlen_q: int,
    seqlen_k: int,
    legend: dict[int, str],
    cell: tuple[int, int] = (1, 1),
) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    colours = [_EMPTY, _EDGE, _FULL]
    right, bottom = len(cells[0]) * cell[1], len(cells) * cell[0]
    ax.imshow(
        cells,
        cmap=ListedColormap(colours),
        vmin=0,
        vmax=2,
        interpolation="nearest",
        extent=(0.0, float(right), float(bottom), 0.0),
    )
    ax.set_xlim(0, seqlen_k)  # the last tile of a row or column is clipped to the sequence
    ax.set_ylim(seqlen_q, 0)
    ax.set_aspect("equal" if max(seqlen_q, seqlen_k) <= 8 * min(seqlen_q, seqlen_k) else "auto")
    handles = [Patch(facecolor=colours[value], edgecolor="#888888", label=label) for value, label in legend.items()]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncol=len(handles), frameon=False)


def _title(ax: Axes, mask: Any, seqlen_q: int, seqlen_k: int, of: dict[str, int], counts: str) -> None:
    name = str(mask)
    if len(name) > 2 * _NAME_WIDTH - 10:  # the end says as much as the beginning: `... & Causal()`
        name = f"{name[:_NAME_WIDTH]} … {name[-(_NAME_WIDTH - 20) :]}"
    name = textwrap.fill(name, _NAME_WIDTH)
    density = mask.density(seqlen_q, seqlen_k, **of)
    view = f"head {of['head']}" + (f", sample {of['batch']}" if mask.varies_by_batch else "")
    ax.set_title(f"{name}\n{view}, density {density:.2%}, {counts}", fontsize=9)
