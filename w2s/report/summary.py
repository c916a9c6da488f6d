"""From per-seed grades to a report as a value: means, intervals, PGR, and what is missing."""

# S seeds, N rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s.metrics import Interval, interval, recovered

Flags = NDArray[np.bool_]
SIDES = ("floor", "transfer", "ceiling")


@dataclass(frozen=True)
class Grade:
    """One graded labeller: its scores, and which rows it got right, by id."""

    metrics: Mapping[str, Any]
    ids: tuple[str, ...]
    correct: Flags

    def __post_init__(self) -> None:
        if self.correct.shape != (len(self.ids),) or len(set(self.ids)) != len(self.ids):
            raise ValueError(
                f"{len(self.ids)} ids ({len(set(self.ids))} distinct) for correctness {self.correct.shape}"
            )

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
    """One method over its seeds.

    `missing` names stages that the store does not hold; `members` gives each extra labeller's accuracies over seeds.
    `oracle` says that ground truth chose something a real student would have had to choose without it.
    """

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
    """Means, intervals and PGR of each method, over the seeds that are complete.

    A method without a complete seed shows each side over the seeds that have it, and no PGR.
    Raises ValueError where the grades of one method are over different rows.
    """
    rows = tuple(_row(method, level) for method in found.methods)
    return Report(
        recipe=found.recipe,
        task=found.task,
        weak=found.weak,
        strong=found.strong,
        chance=found.chance,
        majority=found.majority,
        n_test=found.n_test,
        level=level,
        rows=rows,
    )


def _row(method: MethodScores, level: float) -> Row:
    complete = [s for s in method.seeds if None not in (s.floor, s.transfer, s.ceiling)]
    row = _complete(complete, level) if complete else _incomplete(method.seeds, level)
    label = f"{method.method} (oracle)" if method.oracle else method.method
    return replace(row, method=label, missing=method.missing, members=dict(method.members or {}))


def _complete(seeds: Sequence[SeedScores], level: float) -> Row:
    floors, transfers, ceilings = ([getattr(s, side) for s in seeds] for side in SIDES)
    ids = floors[0].ids
    result = recovered(*(_stack(grades, ids) for grades in (floors, transfers, ceilings)), level=level)
    agreements = [grade.metrics["agreement"] for grade in transfers if grade.metrics.get("agreement") is not None]
    return Row(
        method="",
        seeds=tuple(s.seed for s in seeds),
        floor=result.floor,
        transfer=result.transfer,
        ceiling=result.ceiling,
        gain=result.gain,
        pgr=result.pgr,
        verdict=result.verdict,
        per_seed_pgr=result.per_seed,
        agreement=float(np.mean(agreements)) if agreements else None,
    )


def _incomplete(seeds: Sequence[SeedScores], level: float) -> Row:
    floor, transfer, ceiling = (_side([getattr(s, side) for s in seeds], level) for side in SIDES)
    return Row(
        method="",
        seeds=(),
        floor=floor,
        transfer=transfer,
        ceiling=ceiling,
        gain=None,
        pgr=None,
        verdict="incomplete",
        per_seed_pgr=(),
        agreement=None,
    )


def _side(grades: Sequence[Grade | None], level: float) -> Interval | None:
    """What is known of one side alone, while others are missing."""
    there = [grade for grade in grades if grade is not None]
    return interval(_stack(there, there[0].ids), level=level) if there else None


def _stack(grades: Sequence[Grade], ids: Sequence[str]) -> Flags:
    """Correctness [seeds, rows], every row in the order of `ids`."""
    return np.stack([grade.aligned(ids) for grade in grades])
