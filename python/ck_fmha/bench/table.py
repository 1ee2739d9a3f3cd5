"""The report as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ck_fmha.bench.aims import Verdict
from ck_fmha.bench.cases import DIRECTIONS, MASKS, MATMUL
from ck_fmha.bench.peers import PEERS
from ck_fmha.bench.rates import RateRow
from ck_fmha.bench.report import Report
from ck_fmha.bench.settings import SECTIONS

_PEER_HEADS = {"sdpa": "SDPA", "sdpa_bool": "SDPA bool", "sdpa_causal": "SDPA causal", "flex": "Flex"}


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """Lay out rows under their head; `align` says of each column whether it starts ("<") or ends (">") in line."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        cells = (f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True))
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, (head, *rows)))


def render(report: Report) -> str:
    """Return the report as text, section by section, the aims last."""
    settings = report.settings
    parts = [
        "\n".join(f"{name:17} {value}" for name, value in report.environment.items()),
        f"batch {settings.batch}, heads {settings.heads}, threads {settings.threads}; medians of interleaved rounds",
    ]
    timed = dict.fromkeys(row.mask for row in (*report.rates, *report.short))
    if timed:
        parts.append("\n".join(f"{name:17} {MASKS[name]}" for name in timed))
    for section in settings.sections:
        title = f"== {section}: {SECTIONS[section]}"
        if section in ("rates", "short"):
            parts += [title, *_rates(report.rates if section == "rates" else report.short)]
        elif section in report.left_out:
            parts.append(f"{title}\nleft out: {report.left_out[section]}")
        else:
            rows = [
                [row.label, f"{row.value:.2f}", _aims((row.verdict,)), row.detail]
                for row in report.ratios
                if row.section == section
            ]
            unit = {"overhead": "µs", "memory": "exponent"}.get(section, "ratio")
            parts.append(f"{title}\n{columns(['', unit, 'aims', ''], rows, '<><<')}")
    parts.append("== aims\n" + _summary(report))
    parts.append(f"{report.seconds:.0f} s")
    return "\n\n".join(parts)


def _aims(verdicts: Sequence[Verdict]) -> str:
    """Return which aims a row reaches: "holds", "2 hold", or those that it misses."""
    missed = [verdict.short for verdict in verdicts if not verdict.holds]
    held = len(verdicts) - len(missed)
    parts = [f"{held} hold" if held > 1 else "holds"] if held else []
    return "; ".join([*parts, f"missed: {', '.join(missed)}"] if missed else parts)


def _rates(rows: Sequence[RateRow]) -> Iterator[str]:
    for (seqlen, head_dim), group in groupby(rows, lambda row: (row.seqlen, row.head_dim)):
        of_size = list(group)
        rate = sorted(row.matmul_gflops for row in of_size)[len(of_size) // 2]
        yield (
            f"seqlen {seqlen}, head_dim {head_dim}; rounds: {of_size[0].rounds}; torch float32 matmul {MATMUL}³: "
            f"{rate:.0f} GFLOP/s.\n'of matmul': rate on live 64 × 64 tiles over that; the rest: how many times as fast"
        )
        for direction in DIRECTIONS:
            yield _rate_table([row for row in of_size if row.direction == direction], direction)
        yield from _reasons(of_size)


def _rate_table(rows: Sequence[RateRow], direction: str) -> str:
    peers = [peer for peer in PEERS if any(peer in row.over for row in rows)]
    sixteen = any(row.over_float32 is not None for row in rows)
    head = [direction, "dtype", "live tiles", "ms", "of matmul", *(["float32"] if sixteen else [])]
    head += [_PEER_HEADS[peer] for peer in peers]
    cells = [
        [
            row.mask,
            row.dtype,
            f"{row.live_tiles}",
            f"{row.milliseconds:.2f}",
            f"{row.of_matmul:.2f}",
            *([_times(row.over_float32)] if sixteen else []),
            *(_times(row.over.get(peer)) for peer in peers),
            _aims(row.verdicts),
        ]
        for row in rows
    ]
    return columns([*head, "aims"], cells, f"<<{'>' * (len(head) - 2)}<")


def _times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.1f}×"


def _reasons(rows: Sequence[RateRow]) -> Iterator[str]:
    """Say once why a peer is left out, and of which rows."""
    of: dict[tuple[str, str], list[RateRow]] = {}
    for row in rows:
        for peer, reason in row.left_out.items():
            of.setdefault((peer, reason), []).append(row)
    peers: dict[str, list[str]] = {}  # by where and why
    for (peer, reason), found in of.items():
        columns_of = ([row.mask for row in found], [row.dtype for row in found], [row.direction for row in found])
        where = "; ".join(", ".join(dict.fromkeys(column)) for column in columns_of)
        peers.setdefault(f"({where}): {reason}", []).append(PEERS[peer])
    if peers:
        yield "\n".join(f"left out: {', '.join(names)} {where}" for where, names in peers.items())


def _summary(report: Report) -> str:
    rows = [
        [
            line.aim,
            line.state,
            f"{line.held} of {line.checked}" if line.checked else "",
            "" if line.worst is None else f"{line.worst:.2f}",
            line.where,
        ]
        for line in report.aims
    ]
    return columns(["", "in this run", "rows", "worst", "where"], rows, "<<>><")
