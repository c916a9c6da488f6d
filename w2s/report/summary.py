"""From per-seed grades to a report as a value: means, intervals, PGR, and what is missing."""

# S seeds, N rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from w2s.metrics import Fixed, Interval, gap_error, interval, recovered

if TYPE_CHECKING:
    from w2s.report.crowds import Crowd
    from w2s.report.curves import Curve
    from w2s.report.diagnostics import Diagnosis
    from w2s.report.misfit import Misfits
    from w2s.report.ranking import Ranking

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
    """One seed of one method; None where a grade is missing, or was never promised."""

    seed: int
    floor: Grade | None = None
    transfer: Grade | None = None
    ceiling: Grade | None = None


@dataclass(frozen=True)
class MethodScores:
    """One method over its seeds.

    `missing` names stages that the store does not hold; `members` gives each extra labeller's grades over seeds.
    `oracle` says that ground truth chose something a real student would have had to choose without it; `control` why the method
    is no contender, "" where it is one; `sides` are those that the method promises.
    """

    method: str
    oracle: bool
    seeds: tuple[SeedScores, ...]
    missing: tuple[str, ...] = ()
    members: Mapping[str, tuple[Grade, ...]] | None = None
    sides: tuple[str, ...] = SIDES
    control: str = ""


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
class FixedEnds:
    """The floor and ceiling that every seed of a method is held against, as means over all seeds that have them."""

    floor: Fixed
    ceiling: Fixed


@dataclass(frozen=True)
class Row:
    """One method's line: intervals where all seeds allow them, PGR or the reason there is none.

    `members` are accuracies of extra labellers, seed by seed, and `member_means` their means. `sides`: those promised.
    """

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
    member_means: Mapping[str, Interval] = field(default_factory=dict)
    fixed: FixedEnds | None = None  # None: each seed against its own
    sides: tuple[str, ...] = SIDES


@dataclass(frozen=True)
class Report:
    """A whole report as a value; `render` turns it into text. `diagnoses` and `curves` are None where nobody asked, `ranking` where
    there is nothing to rank.

    `finish` is the command that does what is missing; None where nothing is, or where nobody knows it.
    """

    recipe: str
    task: str
    weak: str
    strong: str
    chance: float
    majority: float | None
    n_test: int | None
    level: float
    rows: tuple[Row, ...]
    diagnoses: tuple[Diagnosis, ...] | None = None
    curves: tuple[Curve, ...] | None = None
    finish: str | None = None
    ranking: Ranking | None = None
    crowds: tuple[Crowd, ...] | None = None  # told with the diagnoses
    misfits: Misfits | None = None  # None where answers are written


LEVEL = 0.95


def summarise(found: ReportInput, level: float = LEVEL, *, fixed: bool = False) -> Report:
    """Means, intervals and PGR of each method, over the seeds that are complete.

    A method without a complete seed shows each side over the seeds that have it, and no PGR. With `fixed`, floor and ceiling
    are means over all seeds that have one, and every student is held against these: it needs none of its own. A method that
    never promised all three sides shows those it has, `floor alone` its verdict.
    Raises ValueError where the grades of one method are over different rows.
    """
    rows = tuple(_row(method, level, fixed=fixed) for method in found.methods)
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


def label(method: str, *, oracle: bool) -> str:
    """A method's name in every table: selection by ground truth is part of it."""
    return f"{method} (oracle)" if oracle else method


def _row(method: MethodScores, level: float, *, fixed: bool) -> Row:
    if method.sides != SIDES:
        row = _alone(method.seeds, method.sides, level)
    elif fixed:
        row = _against_fixed(method.seeds, level)
    else:
        complete = [s for s in method.seeds if None not in (s.floor, s.transfer, s.ceiling)]
        row = _complete(complete, level) if complete else _incomplete(method.seeds, level)
    members = method.members or {}
    return replace(
        row,
        method=label(method.method, oracle=method.oracle),
        missing=method.missing,
        sides=method.sides,
        members={name: tuple(map(_accuracy, grades)) for name, grades in members.items()},
        member_means={name: mean for name, grades in members.items() if (mean := _side(grades, level)) is not None},
    )


def _complete(seeds: Sequence[SeedScores], level: float) -> Row:
    floors, transfers, ceilings = ([getattr(s, side) for s in seeds] for side in SIDES)
    ids = floors[0].ids
    result = recovered(*(_stack(grades, ids) for grades in (floors, transfers, ceilings)), level=level)
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
        agreement=_agreement(transfers),
    )


def _against_fixed(seeds: Sequence[SeedScores], level: float) -> Row:
    """Each side over all seeds that have it; PGR of the students there are against the two means."""
    floors, transfers, ceilings = ([g for s in seeds if (g := getattr(s, side)) is not None] for side in SIDES)
    if not (floors and transfers and ceilings):
        return _incomplete(seeds, level)
    ids = floors[0].ids
    floor_SN, transfer_SN, ceiling_SN = (_stack(grades, ids) for grades in (floors, transfers, ceilings))
    ends = FixedEnds(*(Fixed.of(part_SN.mean(axis=1).tolist()) for part_SN in (floor_SN, ceiling_SN)))
    gap_se = gap_error(floor_SN, ceiling_SN)
    result = recovered(
        None, transfer_SN, None, fixed_floor=ends.floor, fixed_ceiling=ends.ceiling, gap_se=gap_se, level=level
    )
    return Row(
        method="",
        seeds=tuple(s.seed for s in seeds if s.transfer is not None),
        floor=interval(floor_SN, level=level),
        transfer=result.transfer,
        ceiling=interval(ceiling_SN, level=level),
        gain=result.gain,
        pgr=result.pgr,
        verdict=result.verdict,
        per_seed_pgr=result.per_seed,
        agreement=_agreement(transfers),
        fixed=ends,
    )


def _alone(seeds: Sequence[SeedScores], sides: Sequence[str], level: float) -> Row:
    """Nothing to compare: the sides there are, over the seeds that have them."""
    complete = [s for s in seeds if all(getattr(s, side) is not None for side in sides)]
    row = _incomplete(complete or seeds, level)
    if not complete:
        return row
    agreement = _agreement([s.transfer for s in complete if s.transfer is not None])
    verdict = f"{' and '.join(sides)} alone"
    return replace(row, seeds=tuple(s.seed for s in complete), verdict=verdict, agreement=agreement)


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


def _agreement(transfers: Sequence[Grade]) -> float | None:
    known = [grade.metrics["agreement"] for grade in transfers if grade.metrics.get("agreement") is not None]
    return float(np.mean(known)) if known else None


def _accuracy(grade: Grade) -> float:
    return float(grade.correct.mean())


def _side(grades: Sequence[Grade | None], level: float) -> Interval | None:
    """What is known of one side alone, while others are missing."""
    there = [grade for grade in grades if grade is not None]
    return interval(_stack(there, there[0].ids), level=level) if there else None


def _stack(grades: Sequence[Grade], ids: Sequence[str]) -> Flags:
    """Correctness [seeds, rows], every row in the order of `ids`."""
    return np.stack([grade.aligned(ids) for grade in grades])
