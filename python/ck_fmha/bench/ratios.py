"""A row of the sections that have one number a row."""

from __future__ import annotations

from dataclasses import dataclass

from ck_fmha.bench.aims import Aim, Verdict


@dataclass(frozen=True)
class RatioRow:
    """A ratio (or, in the section "overhead", microseconds) with what it was made of, in words.

    Attributes:
        label: What was timed.
        value: The number.
        detail: What it was made of.
        verdict: Whether it reaches its aim.
        points: What it was made of as (seqlen, bytes), in the section "memory".
    """

    section: str
    label: str
    value: float
    detail: str
    verdict: Verdict
    points: tuple[tuple[int, int], ...] = ()


def make_row(
    section: str, label: str, value: float, detail: str, aim: Aim, points: tuple[tuple[int, int], ...] = ()
) -> RatioRow:
    """Return a row, judged by its aim."""
    return RatioRow(section, label, value, detail, aim.judge(value, label), points)
