"""The report as a picture. matplotlib is imported when it is drawn, not before."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ck_fmha.bench import aims
from ck_fmha.bench.cases import DIRECTIONS
from ck_fmha.bench.memory import exponent
from ck_fmha.bench.peers import PEERS
from ck_fmha.bench.rates import RateRow
from ck_fmha.bench.ratios import RatioRow
from ck_fmha.bench.report import Report
from ck_fmha.bench.settings import SECTIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Draw: TypeAlias = "Callable[[Axes], None]"

SUFFIXES = (".png", ".svg")

_INK, _AIM = "#222222", "#c2410c"
_OURS = {"float32": "#1f4e79", "bfloat16": "#5b8db8", "float16": "#a9c6df"}
_PEER_COLOURS = {"flex": "#f2a541", "sdpa_bool": "#8a8a8a", "sdpa_causal": "#6a9a5b", "sdpa": "#cfcfcf"}
_PEER_HATCHES = {"bfloat16": "//", "float16": ".."}
_BAR_AIMS = {
    "tiles": aims.LONG_TILE,
    "edges": aims.EDGE_TILE,
    "threads": aims.SCALING,
    "overhead": aims.OVERHEAD,
}


def require_matplotlib() -> None:
    """Raise ImportError that names the extra if there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "drawing the chart needs matplotlib, which is not installed. Install it with: pip install 'ck_fmha[bench]'"
        ) from error


def check_path(path: str | os.PathLike[str]) -> Path:
    """Return where the chart goes; raise ValueError unless its suffix is known."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"the chart's file must end in {' or '.join(SUFFIXES)}, got {str(path)!r}")
    return path


def draw(report: Report, path: str | os.PathLike[str]) -> None:
    """Draw the report, two panels a row, and save it.

    Args:
        report: What to draw.
        path: A file ending in .png or .svg.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: The file has another ending, or there is nothing to draw.
    """
    path = check_path(path)
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(report)
    if not panels:
        raise ValueError("there is nothing to draw: every section was left out")
    lines = math.ceil(len(panels) / 2)
    figure = Figure(figsize=(15, 3.7 * lines + 0.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, 2, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        panel(ax)
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    settings, facts = report.settings, report.environment
    figure.suptitle(
        f"ck_fmha {facts.get('ck_fmha', '')} on {facts.get('CPU', 'an unknown processor')}, "
        f"{facts.get('ISA chosen', '')}, torch {facts.get('torch', '')}; "
        f"batch {settings.batch}, heads {settings.heads}, threads {settings.threads}",
        fontsize=10,
        color=_INK,
    )
    figure.savefig(path, dpi=110)


def _panels(report: Report) -> list[Draw]:
    """Return what draws each panel, in the order of the sections."""
    panels: list[Draw] = []
    for section in report.settings.sections:
        if section in ("rates", "short"):
            rows = report.rates if section == "rates" else report.short
            for size in dict.fromkeys((row.seqlen, row.head_dim) for row in rows):
                of_size = [row for row in rows if (row.seqlen, row.head_dim) == size]
                panels += [_empty] * (len(panels) % 2)  # a size has its two directions side by side
                panels += [_rates_panel([row for row in of_size if row.direction == d]) for d in DIRECTIONS]
        else:
            of_section = [row for row in report.ratios if row.section == section]
            if of_section:
                panels.append(_memory_panel(of_section) if section == "memory" else _bars_panel(section, of_section))
    return panels


def _empty(ax: Axes) -> None:
    ax.set_axis_off()


def _rates_panel(rows: Sequence[RateRow]) -> Draw:
    """Bars of one size and direction: rates over matmul's, ours and the peers' with the mask's FLOPs."""
    masks = list(dict.fromkeys(row.mask for row in rows))
    series: dict[tuple[str, str, str], dict[str, float]] = {}  # (label, colour, hatch): values by mask
    for row in rows:
        series.setdefault((f"ck_fmha {row.dtype}", _OURS[row.dtype], ""), {})[row.mask] = row.of_matmul
    for peer in _PEER_COLOURS:
        for row in rows:
            if peer in row.over:
                dtype, hatch = ("", "") if row.dtype == "float32" else (f", {row.dtype}", _PEER_HATCHES[row.dtype])
                look = (f"{PEERS[peer]}{dtype}", _PEER_COLOURS[peer], hatch)
                series.setdefault(look, {})[row.mask] = row.of_matmul / row.over[peer]

    def panel(ax: Axes) -> None:
        width = 0.85 / len(series)
        for number, ((label, colour, hatch), values) in enumerate(series.items()):
            middle = (number - (len(series) - 1) / 2) * width
            places = [masks.index(mask) + middle for mask in values]
            bars = ax.bar(places, list(values.values()), width, label=label, color=colour, hatch=hatch)
            ax.bar_label(bars, fmt="%.2f", fontsize=6, rotation=90, padding=2)
        first = rows[0]
        aim = aims.FORWARD if first.direction == "forward" else aims.TRAINING
        if any(verdict.aim == str(aim) for row in rows for verdict in row.verdicts):
            ax.axhline(aim.bound, color=_AIM, linestyle="--", linewidth=1, label=f"aim: {aim.sign} {aim.bound:g}")
        ax.set_xticks(range(len(masks)), masks, fontsize=8)
        ax.set_ylabel("rate on live tiles / float32 matmul")
        ax.set_title(f"{first.direction}, seqlen {first.seqlen}, head_dim {first.head_dim}", fontsize=10)
        ax.margins(y=0.15)
        ax.legend(fontsize=7, frameon=False, ncol=3, loc="upper center", bbox_to_anchor=(0.5, -0.08))

    return panel


def _bars_panel(section: str, rows: Sequence[RatioRow]) -> Draw:
    def panel(ax: Axes) -> None:
        labels = [row.label for row in rows][::-1]
        bars = ax.barh(labels, [row.value for row in rows][::-1], color=_OURS["float32"])
        ax.bar_label(bars, fmt="%.2f", fontsize=7, padding=2)
        aim = _BAR_AIMS[section]
        ax.axvline(aim.bound, color=_AIM, linestyle="--", linewidth=1, label=f"aim: {aim.sign} {aim.bound:g}")
        ax.set_title(SECTIONS[section], fontsize=10)
        ax.set_xlabel("µs" if section == "overhead" else "ratio")
        ax.tick_params(axis="y", labelsize=7)
        ax.margins(x=0.12)
        ax.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18))

    return panel


def _memory_panel(rows: Sequence[RatioRow]) -> Draw:
    def panel(ax: Axes) -> None:
        for row in rows:
            seqlens, sizes = zip(*row.points, strict=True)
            label = f"{row.label}: seqlen to the power of {exponent(row.points):.2f}"
            ax.plot(seqlens, [size / 2**20 for size in sizes], marker="o", label=label)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log", base=2)
        ax.set_xticks(seqlens, [str(n) for n in seqlens])
        ax.set_xlabel("seqlen")
        ax.set_ylabel("MiB at the peak, outputs included")
        ax.set_title(SECTIONS["memory"], fontsize=10)
        ax.grid(alpha=0.3)
        ax.legend(fontsize=7, frameon=False)

    return panel
