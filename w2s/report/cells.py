"""What tables of any kind are made of: a sheet, and the few ways in which a number is written in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from w2s.metrics import Interval

UNKNOWN = "-"


@dataclass(frozen=True)
class Sheet:
    """One table: a title (none for the first), a head, cells, and what is said below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def interval(value: Interval | None, digits: int = 3) -> str:
    """`mean [low, high]`; an unbounded end is written inf."""
    if value is None:
        return UNKNOWN
    low = "-inf" if value.low is None else f"{value.low:z.{digits}f}"
    high = "inf" if value.high is None else f"{value.high:z.{digits}f}"
    return f"{value.mean:z.{digits}f} [{low}, {high}]"


def p_text(p: float) -> str:
    """`0.013`, and `<0.001` below that."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def seeds_text(seeds: Sequence[int]) -> str:
    """`0, 1, 2`."""
    return ", ".join(map(str, seeds)) or UNKNOWN
