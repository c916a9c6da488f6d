"""From per-seed grades to a report as a value: means, intervals, PGR, and what is missing."""

# S seeds, N rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s.metrics import Interval, Recovered, interval, recovered

Flags = NDArray[np.bool_]
SIDES = ("floor", "transfer", "ceiling")


@dataclass(frozen=True)
class Grade:
    """One graded labeller: its scores, and which rows it got right, by id."""

    metrics: Mapping[str, Any]
    ids: tuple[str, ...]
    correct: Flags

    def aligned(self, ids: Sequence[str]) -> Flags:
        """Correctness in the order of `ids`. Raises ValueError if the rows are not the same."""
        place = {row_id: i for i, row_id in enumerate(self.ids)}
        if len(place) != len(ids) or not all(row_id in place for row_id in ids):
            raise ValueError("grades of one report must be over the same rows")
        return self.correct[[place[row_id] for row_id in ids]]


@dataclass(frozen=True)
class SeedScores:
    """One seed of one method; None where a grade is missing."""

    seed: int
    floor: Grade | None
    transfer: Grade | None
    ceiling: Grade | None


@dataclass(frozen=True)
class MethodScores:
    """One method over its seeds. `missing` names stages that the store does not hold; `members` single supervisors' accuracies."""

    method: str
    oracle: bool
    seeds: tuple[SeedScores, ...]
    missing: tuple[str, ...] = ()
    members: Mapping[str, tuple[float, ...]] | None = None


@dataclass(frozen=True)
class ReportInput:
    """Everything a report is made from."""

    recipe: str
    task: str
    chance: float
    n_test: int | None
    majority: float | None
    weak: str
    strong: str
    methods: tuple[MethodScores, ...]


@dataclass(frozen=True)
class Row:
    """One method's line: intervals where all seeds allow them, PGR or the reason there is none."""

    method: str
    seeds: tuple[int, ...]  # those that are complete
    floor: Interval | None
    transfer: Interval | None
    ceiling: Interval | None
    gain: Interval | None
    pgr: Interval | None
    verdict: str
    per_seed_pgr: tuple[float | None, ...]
    agreement: float | None
    members: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A whole report as a value; `render` turns it into text."""

    recipe: str
    task: str
    weak: str
    strong: str
    chance: float
    majority: float | None
    n_test: int | None
    level: float
    rows: tuple[Row, ...]


LEVEL = 0.95


def summarise(found: ReportInput, level: float = LEVEL) -> Report:
    """Means, intervals and PGR of each method, over the seeds that are complete."""
    rows = tuple(_row(method, level) for method in found.methods)
    return Report(found.recipe, found.task, found.weak, found.strong, found.chance, found.majority, found.n_test, level, rows)


def _row(method: MethodScores, level: float) -> Row:
    label = f"{method.method} (oracle)" if method.oracle else method.method
    complete = [s for s in method.seeds if s.floor and s.transfer and s.ceiling]
    common = {"method": label, "missing": method.missing, "members": dict(method.members or {})}
    if not complete:
        sides = {side: _side([getattr(s, side) for s in method.seeds], level) for side in SIDES}
        return Row(**common, **sides, seeds=(), gain=None, pgr=None, verdict="incomplete", per_seed_pgr=(), agreement=None)
    result = _recovered(complete, level)
    agreements = [s.transfer.metrics.get("agreement") for s in complete if s.transfer]
    known = [float(a) for a in agreements if a is not None]
    return Row(
        **common, seeds=tuple(s.seed for s in complete), floor=result.floor, transfer=result.transfer, ceiling=result.ceiling,
        gain=result.gain, pgr=result.pgr, verdict=result.verdict, per_seed_pgr=result.per_seed,
        agreement=float(np.mean(known)) if known else None,
    )  # fmt: skip


def _recovered(complete: Sequence[SeedScores], level: float) -> Recovered:
    first = complete[0].floor
    assert first is not None
    parts = [np.stack([getattr(s, side).aligned(first.ids) for s in complete]) for side in SIDES]
    return recovered(*parts, level=level)


def _side(grades: Sequence[Grade | None], level: float) -> Interval | None:
    """What is known of one side alone, while others are missing."""
    there = [grade for grade in grades if grade is not None]
    return interval(np.stack([grade.aligned(there[0].ids) for grade in there]), level=level) if there else None
