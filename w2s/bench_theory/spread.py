"""What is known of a number over seeds, and of a line through points over seeds and tasks."""

# S seeds, T tasks, N tasks of all seeds, D bootstrap draws

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from w2s.metrics import Floats, Interval
from w2s.metrics.resample import DRAWS, LEVEL, percentile

UNKNOWN = "-"
AT_ONCE = 200  # bootstrap draws held in memory


@dataclass(frozen=True)
class Spread:
    """Mean, least and greatest of a few seeds: too few for an interval that would mean more."""

    mean: float
    least: float
    most: float
    count: int

    def of(self, what: str) -> str:
        """As text; `what` it is over."""
        if self.count == 1:
            return f"{self.mean:z.3f} (1 {what[:-1]})"
        return f"{self.mean:z.3f} ({self.least:z.3f} to {self.most:z.3f}, {self.count} {what})"


def spread(values: Sequence[float | None]) -> Spread | None:
    """None where there are no numbers."""
    known = [value for value in values if value is not None]
    return Spread(math.fsum(known) / len(known), min(known), max(known), len(known)) if known else None


def words(found: Spread | None, what: str = "seeds") -> str:
    return UNKNOWN if found is None else found.of(what)


@dataclass(frozen=True)
class Line:
    """Gain against misfit: least-squares slope with an intercept, correlation, and mean gain over mean misfit."""

    slope: Interval
    correlation: Interval
    ratio: Interval


def line(gain_ST: Floats, misfit_ST: Floats, *, seed: int = 0) -> Line | None:
    """A line through the tasks of all seeds, with bootstrap intervals: seeds are drawn, then tasks of each (a task is its seed's own).

    None where misfit or gain does not vary.
    """
    if min(np.ptp(gain_ST), np.ptp(misfit_ST)) == 0:
        return None
    generator = np.random.default_rng(seed)
    seeds, tasks = gain_ST.shape
    drawn: list[Floats] = []
    for start in range(0, DRAWS, AT_ONCE):
        count = min(AT_ONCE, DRAWS - start)
        which_DST = generator.integers(0, seeds, (count, seeds, 1)), generator.integers(0, tasks, (count, seeds, tasks))
        drawn.append(_lines(gain_ST[which_DST].reshape(count, -1), misfit_ST[which_DST].reshape(count, -1)))
    found_3 = _lines(gain_ST.reshape(1, -1), misfit_ST.reshape(1, -1))[0]
    by_part = zip(found_3, np.concatenate(drawn).T, strict=True)
    return Line(*(percentile(float(value), drawn_D[np.isfinite(drawn_D)], LEVEL) for value, drawn_D in by_part))


def _lines(gain_DN: Floats, misfit_DN: Floats) -> Floats:
    """Slope, correlation and ratio of each row [D, 3]; NaN where one task was drawn again and again."""
    up_DN, along_DN = (part_DN - part_DN.mean(axis=1, keepdims=True) for part_DN in (gain_DN, misfit_DN))
    both_D, up_D, along_D = (up_DN * along_DN).sum(axis=1), (up_DN**2).sum(axis=1), (along_DN**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = (both_D / along_D, both_D / np.sqrt(up_D * along_D), gain_DN.sum(axis=1) / misfit_DN.sum(axis=1))
    return np.stack(parts, axis=1)


def interval_words(found: Interval) -> str:
    """`0.98 [0.95, 1.02]`"""
    ends = ["unbounded" if end is None else f"{end:z.2f}" for end in (found.low, found.high)]
    return f"{found.mean:z.2f} [{ends[0]}, {ends[1]}]"
