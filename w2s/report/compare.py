"""Two recipes side by side: what differs in them, and in their results, with intervals and p values where rows allow it."""

# S seeds, N rows

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.store import Store
from w2s.metrics import Flags, Interval, interval, recovered
from w2s.metrics.paired import Three, difference, flip_test, pgr_difference
from w2s.recipe import Recipe
from w2s.report.changes import Change, differences
from w2s.report.gather import gather
from w2s.report.summary import LEVEL, SIDES, Grade, MethodScores, Row, label, summarise


@dataclass(frozen=True)
class Score:
    """One score of one pair of methods: each by itself, over the seeds and rows that are compared, and their difference.

    `same` says that both are the same finished stages, `p` is of the permutation test over rows; `why` says why a number is
    missing.
    """

    name: str
    a: Interval | None
    b: Interval | None
    difference: Interval | None = None
    p: float | None = None
    seeds: tuple[int, ...] = ()
    rows: int | None = None
    same: bool = False
    why: str = ""


@dataclass(frozen=True)
class Pair:
    """A method of A beside one of B: of the same label, or each recipe's own."""

    a: str
    b: str
    scores: tuple[Score, ...]


@dataclass(frozen=True)
class Side:
    """One of the two: how it was named, its recipe, its store and what is missing there."""

    told: str
    recipe: Recipe
    store: str
    missing: int
    finish: str = ""


@dataclass(frozen=True)
class Comparison:
    """All of that. `alone` names methods without a counterpart, by side."""

    a: Side
    b: Side
    science: tuple[Change, ...]
    machines: tuple[Change, ...]
    pairs: tuple[Pair, ...]
    alone: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]
    level: float = LEVEL


def compare(a: Side, b: Side, store_a: Store, store_b: Store) -> Comparison:
    """Reads both stores only. Raises StageFailed for a damaged result."""
    found_a, found_b = gather(a.recipe, store_a), gather(b.recipe, store_b)
    changes = differences(a.recipe, b.recipe)
    rows_a, rows_b = summarise(found_a).rows, summarise(found_b).rows
    paired = _paired(a.recipe, b.recipe, found_a.methods, found_b.methods)
    same_task = a.recipe.task.kind == b.recipe.task.kind
    keys_a, keys_b = _grade_keys(a.recipe), _grade_keys(b.recipe)
    told_a = [_Told(*each) for each in zip(found_a.methods, rows_a, keys_a, strict=True)]
    told_b = [_Told(*each) for each in zip(found_b.methods, rows_b, keys_b, strict=True)]
    pairs = tuple(
        Pair(told_a[one].row.method, told_b[other].row.method, _scores(told_a[one], told_b[other], same_task=same_task))
        for one, other in paired
    )
    alone = {
        "A": tuple(
            _label(one) for place, one in enumerate(found_a.methods) if place not in {pair[0] for pair in paired}
        ),
        "B": tuple(
            _label(one) for place, one in enumerate(found_b.methods) if place not in {pair[1] for pair in paired}
        ),
    }
    science = tuple(change for change in changes if not change.is_machines)
    machines = tuple(change for change in changes if change.is_machines)
    return Comparison(a, b, science, machines, pairs, alone, _notes(a, b, same_task=same_task))


def _label(scores: MethodScores) -> str:
    return label(scores.method, oracle=scores.oracle)


def _notes(a: Side, b: Side, *, same_task: bool) -> tuple[str, ...]:
    notes = []
    if not same_task:
        notes.append(f"the tasks differ ({a.recipe.task.kind}, {b.recipe.task.kind}): their scores are not comparable")
    for name, side in (("A", a), ("B", b)):
        if side.missing:
            counted = "1 stage is" if side.missing == 1 else f"{side.missing} stages are"
            notes.append(f"{name}: {counted} missing; to do it: {side.finish}")
    return tuple(notes)


def _paired(a: Recipe, b: Recipe, of_a: Sequence[MethodScores], of_b: Sequence[MethodScores]) -> list[tuple[int, int]]:
    """Places of methods that belong together: of one label, then the recipes' own if both are left, in A's order."""
    places_b = {_label(one): place for place, one in enumerate(of_b)}
    pairs = [(place, places_b[_label(one)]) for place, one in enumerate(of_a) if _label(one) in places_b]
    own = (a.methods.index(a.method), b.methods.index(b.method))
    if own[0] not in {one for one, _ in pairs} and own[1] not in {other for _, other in pairs}:
        pairs.append(own)
    return sorted(pairs)


Keys = Mapping[str, Mapping[int, str]]


def _grade_keys(recipe: Recipe) -> list[Keys]:
    """Of every method: side -> seed -> the key of its grade."""
    return [
        {
            side: {seed: outcome.sides()[side].key for seed, outcome in by_seed.items() if side in outcome.sides()}
            for side in SIDES
        }
        for by_seed in recipe.outcomes.values()
    ]


@dataclass(frozen=True)
class _Told:
    """A method as one side has it: its grades, its line in a report, and the keys of its grades."""

    scores: MethodScores
    row: Row
    keys: Keys

    def by_seed(self, side: str) -> dict[int, Grade]:
        found = {one.seed: getattr(one, side) for one in self.scores.seeds}
        return {seed: grade for seed, grade in found.items() if grade is not None}

    def by_itself(self, side: str, matched: _Matched, correct_SN: Flags) -> Interval | None:
        """As the report has it where that is over the same rows and seeds, so that two tables do not differ by their draws."""
        is_whole = matched.seeds == self.row.seeds and not matched.why
        return getattr(self.row, side) if is_whole else interval(correct_SN)


def _scores(a: _Told, b: _Told, *, same_task: bool) -> tuple[Score, ...]:
    found = [_score(side, a, b, same_task=same_task) for side in SIDES if side in a.row.sides and side in b.row.sides]
    if a.row.sides == b.row.sides == SIDES:
        found.append(_pgr(a, b, same=all(score.same for score in found), same_task=same_task))
    return tuple(found)


def _score(side: str, a: _Told, b: _Told, *, same_task: bool) -> Score:
    one, other = a.by_seed(side), b.by_seed(side)
    matched = _Matched.of([one], [other])
    if matched is None:
        return Score(side, _alone(one), _alone(other), why=_absent(one, other))
    if not same_task or not matched.ids:
        why = "different tasks" if not same_task else "no test row in common"
        return Score(side, _alone(one), _alone(other), why=why)
    [one_SN], [other_SN] = matched.a, matched.b
    keys = [(a.keys[side][seed], b.keys[side][seed]) for seed in matched.seeds]
    same = matched.are_matched and all(own == its for own, its in keys) and bool((one_SN == other_SN).all())
    p = flip_test(one_SN, other_SN) if matched.are_matched else None
    own = (a.by_itself(side, matched, one_SN), b.by_itself(side, matched, other_SN))
    return Score(side, *own, difference(one_SN, other_SN), p, matched.seeds, len(matched.ids), same, matched.why)


def _pgr(a: _Told, b: _Told, *, same: bool, same_task: bool) -> Score:
    """PGR of both over what all six sides have in common."""
    one, other = ([told.by_seed(side) for side in SIDES] for told in (a, b))
    matched = _Matched.of(one, other)
    if matched is None:
        return Score("PGR", None, None, why="not all three sides are there")
    if not same_task or not matched.ids:
        return Score("PGR", None, None, why="different tasks" if not same_task else "no test row in common")
    is_whole = [matched.seeds == told.row.seeds and not matched.why for told in (a, b)]
    found = [
        told.row.pgr if whole else recovered(*parts).pgr
        for told, whole, parts in zip((a, b), is_whole, (matched.a, matched.b), strict=True)
    ]
    gaps = [name for name, value in zip("AB", found, strict=True) if value is None]
    why = f"no gap to recover in {' and '.join(gaps)}" if gaps else matched.why
    apart = None if gaps else pgr_difference(Three(*matched.a), Three(*matched.b))
    return Score("PGR", found[0], found[1], apart, None, matched.seeds, len(matched.ids), same and not gaps, why)


def _alone(by_seed: Mapping[int, Grade]) -> Interval | None:
    if not by_seed:
        return None
    grades = list(by_seed.values())
    return interval(np.stack([grade.aligned(grades[0].ids) for grade in grades]))


def _absent(one: Mapping[int, Grade], other: Mapping[int, Grade]) -> str:
    names = [name for name, found in (("A", one), ("B", other)) if not found]
    return f"not there yet in {' and '.join(names)}"


@dataclass(frozen=True)
class _Matched:
    """Correctness [S, N] of some sides of both, over the rows and seeds they have in common, or else over each one's own seeds."""

    a: tuple[Flags, ...]
    b: tuple[Flags, ...]
    ids: tuple[str, ...]
    seeds: tuple[int, ...]
    why: str

    @property
    def are_matched(self) -> bool:
        return bool(self.seeds)

    @classmethod
    def of(cls, a: Sequence[Mapping[int, Grade]], b: Sequence[Mapping[int, Grade]]) -> _Matched | None:
        """None where one of the two has no seed with all these sides."""
        seeds_a, seeds_b = (sorted(set.intersection(*(set(by_seed) for by_seed in sides))) for sides in (a, b))
        if not seeds_a or not seeds_b:
            return None
        common = [seed for seed in seeds_a if seed in seeds_b]
        first, others = a[0][seeds_a[0]].ids, set(b[0][seeds_b[0]].ids)
        ids = tuple(one for one in first if one in others)
        why = [] if common else [f"no seed in common: {_listed(seeds_a)} against {_listed(seeds_b)}"]
        if len(ids) < max(len(first), len(others)):
            why.append(f"over the {len(ids)} test rows that both have, of {len(first)} and {len(others)}")
        return cls(
            tuple(_stacked(by_seed, common or seeds_a, ids) for by_seed in a),
            tuple(_stacked(by_seed, common or seeds_b, ids) for by_seed in b),
            ids, tuple(common), "; ".join(why),
        )  # fmt: skip


def _stacked(by_seed: Mapping[int, Grade], seeds: Sequence[int], ids: Sequence[str]) -> Flags:
    def chosen(grade: Grade) -> Flags:
        place = {one: at for at, one in enumerate(grade.ids)}
        return grade.correct[[place[one] for one in ids]]

    return np.stack([chosen(by_seed[seed]) for seed in seeds])


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
