"""The methods of a recipe in the order of their students' accuracy, each held against the best one and against a baseline.

A method competes where its student does without truth and all its seeds are there. Oracles, controls and what is not finished are
listed below those that do, and are never the best.
"""

# S seeds, N rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from w2s.metrics import Flags, Interval, interval
from w2s.metrics.paired import difference
from w2s.metrics.ranking import Against, Ranked
from w2s.metrics.ranking import rank as rank_all
from w2s.report.summary import Grade, MethodScores, Report, ReportInput, Row

FEWEST = 3  # methods with students: two are held against each other by `w2s compare`
BASELINE = "naive"

BySeed: TypeAlias = Mapping[int, Grade]
Told: TypeAlias = Literal["", "better", "within noise", "worse"]


@dataclass(frozen=True)
class Apart:
    """A method's accuracy less another's, over the seeds that both have; without p values for who is not ranked."""

    difference: Interval
    seeds: tuple[int, ...]
    p: float | None = None
    adjusted: float | None = None


@dataclass(frozen=True)
class Standing:
    """One method. `rank` and its interval's ends are None where it is not ranked, and `unranked` says why, `reason` at length.

    `to_best` and `to_baseline` are None for that one itself, and where nothing can be compared; `than_best` and `than_baseline`
    are what the adjusted p values allow to say, "" where nothing is tested.
    """

    method: str
    seeds: tuple[int, ...]
    transfer: Interval | None
    pgr: Interval | None
    no_pgr: str
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    to_best: Apart | None = None
    to_baseline: Apart | None = None
    than_best: Told = ""
    than_baseline: Told = ""
    unranked: str = ""  # oracle, control, or how many seeds are there
    reason: str = ""


@dataclass(frozen=True)
class Ranking:
    """Methods by rank, then those without one as the recipe has them. `seeds` and `rows` are what the ranks are over.

    `best` and `baseline` are labels; None where nothing is ranked, or no baseline is. `comparisons`: how many p values are
    corrected together.
    """

    standings: tuple[Standing, ...]
    best: str | None
    baseline: str | None
    comparisons: int
    seeds: tuple[int, ...]
    rows: int
    level: float


def ranking(found: ReportInput, report: Report, baseline: str = BASELINE) -> Ranking | None:
    """Rank the methods of a report that have students. None where these are fewer than three, or nothing is there yet.

    `baseline` is a kind of method; of several of that kind the one with the shortest label, which chose the least. Raises
    ValueError where grades are over different rows.
    """
    students = [
        _Student(scores, row)
        for scores, row in zip(found.methods, report.rows, strict=True)
        if "transfer" in scores.sides
    ]
    there = [grade for student in students for grade in student.by_seed.values()]
    if len(students) < FEWEST or not there:
        return None
    ids = there[0].ids
    seeds = sorted({seed for student in students if not student.barred for seed in student.by_seed})
    ranked = [student for student in students if seeds and not student.barred and set(student.by_seed) == set(seeds)]
    if len(ranked) < 2:
        standings = tuple(_unranked(student, None, None, seeds, ids) for student in students)
        return Ranking(standings, None, None, 0, tuple(seeds), len(ids), report.level)
    own = min((one for one in ranked if one.is_a(baseline)), key=lambda one: len(one.row.method), default=None)
    base = None if own is None else ranked.index(own)
    result = rank_all([one.stacked(seeds, ids) for one in ranked], base, level=report.level)
    placed = sorted(range(len(ranked)), key=lambda place: result.places[place].rank)
    best = ranked[result.best]
    return Ranking(
        (
            *(_ranked(ranked[place], place, result, tuple(seeds), report.level) for place in placed),
            *(_unranked(one, best, own, seeds, ids) for one in students if one not in ranked),
        ),
        best.row.method, None if own is None else own.row.method, result.comparisons, tuple(seeds), len(ids), report.level,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Student:
    """A method that has a student: its grades and its line in the report."""

    scores: MethodScores
    row: Row

    @property
    def by_seed(self) -> BySeed:
        return {one.seed: one.transfer for one in self.scores.seeds if one.transfer is not None}

    @property
    def barred(self) -> str:
        """What it is if it is no contender, whatever is there of it."""
        return "oracle" if self.scores.oracle else "control" if self.scores.control else ""

    @property
    def reason(self) -> str:
        return {"oracle": "ground truth chose what no real student could", "control": self.scores.control}.get(
            self.barred, ""
        )

    def is_a(self, kind: str) -> bool:
        return self.scores.method.split(" ")[0] == kind

    def stacked(self, seeds: Sequence[int], ids: Sequence[str]) -> Flags:
        """Its correctness [S, N]."""
        by_seed = self.by_seed
        return np.stack([by_seed[seed].aligned(ids) for seed in seeds])

    def transfer(self, seeds: Sequence[int], otherwise: Interval | None) -> Interval | None:
        """As the report has it where that is over these seeds, so that two tables do not differ by their draws."""
        return self.row.transfer if self.row.seeds == tuple(seeds) else otherwise


def _ranked(one: _Student, place: int, result: Ranked, seeds: tuple[int, ...], level: float) -> Standing:
    found = result.places[place]
    return Standing(
        one.row.method, seeds, one.transfer(seeds, found.accuracy), one.row.pgr, one.row.verdict,
        found.rank, found.low, found.high, _apart(found.best, seeds), _apart(found.baseline, seeds),
        _told(found.best, level), _told(found.baseline, level),
    )  # fmt: skip


def _apart(found: Against | None, seeds: tuple[int, ...]) -> Apart | None:
    return None if found is None else Apart(found.difference, seeds, found.p, found.adjusted)


def _told(found: Against | None, level: float) -> Told:
    if found is None:
        return ""
    if found.adjusted >= 1 - level:
        return "within noise"
    return "better" if found.difference.mean > 0 else "worse"


def _unranked(
    one: _Student, best: _Student | None, own: _Student | None, seeds: Sequence[int], ids: Sequence[str]
) -> Standing:
    there = sorted(one.by_seed)
    unranked = one.barred or (f"{len(there)} of {len(seeds)} seeds" if len(there) < len(seeds) else "alone complete")
    alone = interval(one.stacked(there, ids)) if there else None
    return Standing(
        one.row.method, tuple(there), one.transfer(there, alone), one.row.pgr, one.row.verdict,
        to_best=_beside(one, best, ids), to_baseline=_beside(one, own, ids), unranked=unranked, reason=one.reason,
    )  # fmt: skip


def _beside(one: _Student, other: _Student | None, ids: Sequence[str]) -> Apart | None:
    """Its accuracy less the other's, over what both have: nothing is tested."""
    common = () if other is None else tuple(sorted(set(one.by_seed) & set(other.by_seed)))
    if other is None or not common:
        return None
    return Apart(difference(other.stacked(common, ids), one.stacked(common, ids)), common)
