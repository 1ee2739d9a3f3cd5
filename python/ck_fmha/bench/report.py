"""Runs the sections and gathers their rows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from ck_fmha.bench.aims import Summary, Verdict, judge_rate, judge_short, summarize
from ck_fmha.bench.memory import measure_memory
from ck_fmha.bench.overhead import measure_overhead
from ck_fmha.bench.rates import RateRow, measure_rates
from ck_fmha.bench.ratios import RatioRow
from ck_fmha.bench.scaling import measure_scaling
from ck_fmha.bench.settings import SECTIONS, Settings
from ck_fmha.bench.tiles import measure_edges, measure_long_tiles
from ck_fmha.collect_env import collect

# What of the installation is worth keeping beside the numbers; no paths.
_FACTS = ("ck_fmha", "platform", "CPU", "instruction sets", "ISA chosen", "torch")

_RATIO_SECTIONS: dict[str, Callable[[Settings], list[RatioRow]]] = {
    "tiles": measure_long_tiles,
    "edges": measure_edges,
    "threads": measure_scaling,
    "memory": measure_memory,
    "overhead": measure_overhead,
}


@dataclass
class Report:
    """Everything a run found.

    Attributes:
        environment: Processor, instruction sets, versions.
        settings: What was asked for.
        rates: Rows of the section "rates".
        short: Rows of the section "short".
        ratios: Rows of the other sections.
        left_out: Sections that were asked for and could not be measured, with the reason.
        seconds: How long the run took.
    """

    environment: dict[str, str]
    settings: Settings
    rates: list[RateRow] = field(default_factory=list)
    short: list[RateRow] = field(default_factory=list)
    ratios: list[RatioRow] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def aims(self) -> list[Summary]:
        """Every aim, and how many of the rows it speaks of reach it."""
        verdicts: list[Verdict] = [v for row in (*self.rates, *self.short) for v in row.verdicts]
        return summarize([*verdicts, *(row.verdict for row in self.ratios)])

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        aims = [{**asdict(line), "state": line.state} for line in self.aims]
        return {**asdict(self), "aims": aims}


def run(settings: Settings, say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> Report:
    """Measure what the settings ask for.

    Args:
        settings: See `ck_fmha.bench.preset`.
        say: Is told what is being measured, a line at a time; default: prints it on standard error.
    """
    start, threads = time.perf_counter(), torch.get_num_threads()
    facts = dict(collect())
    report = Report({name: facts[name] for name in _FACTS if name in facts}, settings)
    torch.set_num_threads(settings.threads)  # for what is not timed, too
    try:
        for section in settings.sections:
            say(f"{section}: {SECTIONS[section]}")
            _measure(section, report, say)
    finally:
        torch.set_num_threads(threads)
    report.seconds = time.perf_counter() - start
    return report


def _measure(section: str, report: Report, say: Callable[[str], None]) -> None:
    settings = report.settings
    if section == "rates":
        found = report.environment.get("instruction sets", "").split()
        bf16_products = "avx512_bf16" in found or "amx_bf16" in found
        for group in settings.groups:
            say(f"    seqlen {group.seqlen}, head_dim {group.head_dim}")
            rows = measure_rates(group, settings)
            report.rates += [replace(row, verdicts=judge_rate(row, bf16_products=bf16_products)) for row in rows]
    elif section == "short":
        report.short = [replace(row, verdicts=judge_short(row)) for row in measure_rates(settings.short, settings)]
    else:
        try:
            rows_of_section = _RATIO_SECTIONS[section](settings)
        except RuntimeError as error:
            report.left_out[section] = str(error)
            return
        report.ratios += rows_of_section
        if not rows_of_section:
            report.left_out[section] = f"there is nothing to compare with threads={settings.threads}"
