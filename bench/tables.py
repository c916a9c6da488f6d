"""Numbers of repeated measurements, and tables of them as plain text."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

BUSY = 1.5  # processes a core: the bench's own are about one


@dataclass(frozen=True)
class Spread:
    """A median and what lies around it."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what they hold; the first is set left, the others right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    return "\n".join(_line(row, widths) for row in (head, *rows))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join((first, *others)).rstrip()


def load() -> float:
    """How many processes wanted a core of this machine, on average over the last 5 minutes, for each core there is."""
    return os.getloadavg()[1] / (os.cpu_count() or 1)


def load_words(load: float) -> str:
    """For people: whether other work was in the way."""
    return f"load {load:.1f} a core" + (": other work was in the way" if load > BUSY else "")
