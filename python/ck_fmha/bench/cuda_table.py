"""The report of an NVIDIA GPU as text and as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ck_fmha.bench.chart import check_path, require_matplotlib
from ck_fmha.bench.cuda import DENSE, HEAD_DIM, HEADS, CudaReport, Row

_PEERS = ("flex", "cudnn", "flash", DENSE, "flash dense")
_COLOURS = {"ck_fmha": "#1f4e79", "flex": "#f2a541", "cudnn": "#6a9a5b", "flash": "#8a8a8a"}


def render(report: CudaReport) -> str:
    """Return the report as text."""
    lines = [
        f"{report.gpu}, torch {report.torch}: bfloat16, {HEADS} heads, head_dim {HEAD_DIM}",
        f"milliseconds, medians of {report.rounds} rounds in which all calls take turns; x: a peer's time / ours",
    ]
    for direction, seqlen, batch in dict.fromkeys((row.direction, row.seqlen, row.batch) for row in report.rows):
        lines += ["", f"{direction}, seqlen {seqlen:,}, batch {batch}"]
        rows = [r for r in report.rows if (r.direction, r.seqlen, r.batch) == (direction, seqlen, batch)]
        peers = [peer for peer in _PEERS if any(peer in row.ms for row in rows)]
        lines.append(
            f"{'mask':12}{'live':>8}{'ck_fmha':>10}{'TFLOP/s':>9}{'efficiency':>12}"
            + "".join(f"{peer:>13}{'x':>7}" for peer in peers)
        )
        lines += [_line(row, peers) for row in rows]
        lines += [f"{row.mask}: {peer} left out: {why}" for row in rows for peer, why in row.left_out.items()]
    lines += ["", "efficiency: speed-up over cuDNN dense x live share"]
    lines += [f"{name}: {value:,.3f}" for name, value in report.costs.items()]
    return "\n".join([*lines, f"{report.seconds:.0f} s"])


def _line(row: Row, peers: list[str]) -> str:
    beside = "".join(
        f"{row.ms[peer]:13.3f}{row.speedup[peer]:7.2f}" if peer in row.ms else f"{'-':>13}{'-':>7}" for peer in peers
    )
    return f"{row.mask:12}{row.live:8.2%}{row.ms['ck_fmha']:10.3f}{row.tflops:9.0f}{row.efficiency:12.2f}{beside}"


def draw(report: CudaReport, path: str | os.PathLike[str]) -> None:
    """Draw a panel for each direction and size: what each mask takes beside its peers.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: The file ends in something else than .png or .svg.
    """
    path = check_path(path)
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys((row.direction, row.seqlen, row.batch) for row in report.rows))
    figure = Figure(figsize=(7.5 * len(panels), 4.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{report.gpu}: bfloat16, {HEADS} heads, head_dim {HEAD_DIM}")
    for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        rows = [r for r in report.rows if (r.direction, r.seqlen, r.batch) == panel]
        for at, (what, row, label) in enumerate(_bars(rows)):
            ax.barh(at, row.ms[what], color=_COLOURS[what])
            ax.text(row.ms[what], at, f" {row.ms[what]:.3g} ms{label}", va="center", fontsize=8)
        ax.set_yticks(
            range(sum(1 for _ in _bars(rows))), [f"{row.mask} {what}" for what, row, _ in _bars(rows)], fontsize=8
        )
        ax.axvline(rows[0].ms.get(DENSE, 0), color="#c2410c", linestyle=":", label=DENSE)
        ax.set(title=f"{panel[0]}, seqlen {panel[1]:,}, batch {panel[2]}", xlabel="milliseconds")
        ax.margins(x=0.25)
        ax.invert_yaxis()
        ax.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=130)


def _bars(rows: list[Row]) -> Iterator[tuple[str, Row, str]]:
    for row in rows:
        for what in _COLOURS:
            if what in row.ms:
                yield what, row, f", efficiency {row.efficiency:.2f}" if what == "ck_fmha" else ""
