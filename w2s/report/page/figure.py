"""A figure of a page: a drawing, what it says in words, and its numbers as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from w2s.metrics import Interval
from w2s.report.sheets import UNKNOWN
from w2s.shown.drawing import Look

MOST_DRAWN = 30  # methods in one figure; its table has all
MOST_PANELS = 12

FLOOR, TRANSFER, CEILING = "floor", "transfer", "ceiling"
SIDES = {
    FLOOR: Look("third", "square", "2 3", "stripes"),
    TRANSFER: Look("honest", "circle"),
    CEILING: Look("oracle", "diamond", "7 3", "dots"),
}
"""How the three sides look wherever they are drawn."""


@dataclass(frozen=True)
class Figure:
    """`told` stands below the drawing. `head` and `rows` are its numbers, as text."""

    name: str
    title: str
    svg: str
    told: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    oracle: bool = False


def number(value: float | None, digits: int = 3) -> str:
    return UNKNOWN if value is None else f"{value:z.{digits}f}"


def ends(value: Interval) -> tuple[float | None, float | None]:
    return value.low, value.high


def drawn_of(count: int, most: int, what: str) -> str:
    """A sentence that says what was left out of a drawing; "" where nothing was."""
    return "" if count <= most else f" Drawn are the first {most} of {count} {what}; the table has all."


def listed(parts: Sequence[str], most: int = 8) -> str:
    """Parts of a text alternative, the first few of them."""
    more = len(parts) - most
    return "; ".join(parts[:most]) + (f"; and {more} more" if more > 0 else "")
