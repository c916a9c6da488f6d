"""What a report of misfits reads: every method's supervisors and students, and every candidate's of those that choose."""

# N rows, C classes

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cluster.store import Store
from w2s import bridge
from w2s.metrics import Ints
from w2s.recipe import Recipe
from w2s.report.misfit import Beside, Held, Misfits, Pairing, foretell
from w2s.report.reading import Reader
from w2s.report.summary import ReportInput, label
from w2s.stages import Calibrated, Grade, Labels, Model, Part, Predict, Rows, Selected


@dataclass(frozen=True)
class Pairings:
    """The pairs of a recipe, the test rows' ids, and apart from them these rows' truth: only for those who ask for it."""

    ids: tuple[str, ...]
    truth_N: Ints
    pairs: tuple[Pairing, ...]


def pairings(recipe: Recipe, found: ReportInput, store: Store, reader: Reader | None = None) -> Pairings:
    """Every method's pair that has a student, and every candidate's; what several methods choose among is told once.

    Reads only. Raises StageFailed for a damaged result.
    """
    shelf = _Shelf(recipe, store, reader or Reader(store))
    made: list[Pairing] = []
    for scores, by_seed in zip(found.methods, recipe.outcomes.values(), strict=True):
        name = label(scores.method, oracle=scores.oracle)
        transfers = {seed: one.transfer for seed, one in by_seed.items() if one.transfer is not None}
        sides = {seed: (one.supervisor, one.labels) for seed, one in transfers.items() if one.supervisor is not None}
        if sides:
            made.append(shelf.pairing(name, sides))
            made += shelf.candidates(name, transfers)
    test = shelf.test
    return Pairings(*(test or ((), np.zeros(0, dtype=np.int64))), tuple(made))


def misfits(recipe: Recipe, found: ReportInput, store: Store, reader: Reader | None = None) -> Misfits | None:
    """As every report tells them, the truth beside what is predicted without it; None where answers are written."""
    if recipe.task.writes:
        return None
    known = pairings(recipe, found, store, reader)
    return foretell(known.ids, known.pairs, truth_N=known.truth_N)


class _Shelf:
    """The labels of a recipe's store; what several pairs share is read once, and is one object."""

    def __init__(self, recipe: Recipe, store: Store, reader: Reader) -> None:
        self._rows = Rows(recipe.task)
        # temperatures and losses need truth
        self._val = {seed: recipe.world(seed).part("val", side="source") for seed in recipe.seeds}
        self._store, self._reader = store, reader
        self._held: dict[tuple[str, str], Held | None] = {}
        self._planned = set(recipe.graph())
        self._told: set[frozenset[str]] = set()
        self.test = reader.rows(self._rows)

    def pairing(self, name: str, sides: Mapping[int, tuple[Labels, Labels]]) -> Pairing:
        """Supervisor and student of each seed, as far as the store holds both."""
        missing: dict[str, str] = {} if self.test is not None else {self._rows.key: bridge.name(self._rows)}
        besides: list[Beside] = []
        for seed, pair in sides.items():
            weak, own = (self._reader.labels(stage, self._rows) for stage in pair)
            gone = {stage.key: bridge.name(stage) for stage in pair if not self._store.has(stage.key)}
            asked = self._reader.settled(pair[0]).on(self._val[seed])
            if asked.key in self._planned and not self._store.has(asked.key):
                gone[asked.key] = bridge.name(asked)
            missing |= gone
            if weak is not None and own is not None:
                besides.append(Beside(seed, weak, own, self._held_out(*pair, self._val[seed])))
        return Pairing(name, tuple(besides), missing=tuple(missing.values()))

    def candidates(self, group: str, transfers: Mapping[int, Grade]) -> Iterator[Pairing]:
        """The pairs that a method chooses among; none of others."""
        choices = {
            seed: (grade.supervisor, grade.labels)
            for seed, grade in transfers.items()
            if isinstance(grade.supervisor, Selected) and isinstance(grade.labels, Selected)
        }
        told = frozenset(option.key for sides in choices.values() for side in sides for option in side.options)
        if told in self._told:
            return
        self._told.add(told)
        options = next(iter(choices.values()))[0].options if choices else ()
        for place in range(min((len(weak.options) for weak, _ in choices.values()), default=0)):
            sides = {seed: (weak.options[place], own.options[place]) for seed, (weak, own) in choices.items()}
            chosen = sum(self._reader.settled(own) is own.options[place] for _, own in choices.values())
            pair = self.pairing(f"{place}: {_origin(place, options)}", sides)
            yield replace(pair, group=group, chosen=chosen)

    def _held_out(self, weak: Labels, own: Labels, val: Part) -> Held | None:
        """Labels of held-out rows, where the supervisor was asked about them; the student's where it was, too."""
        weak, own = (self._reader.settled(stage).on(val) for stage in (weak, own))
        if (weak.key, own.key) not in self._held:
            self._held[weak.key, own.key] = self._read(weak, own, val)
        return self._held[weak.key, own.key]

    def _read(self, weak: Labels, own: Labels, val: Part) -> Held | None:
        found = self._reader.held_out(weak, val)
        if found is None:
            return None
        ids, student = self._reader.ids(val), self._reader.held_out(own, val)
        return None if ids is None else Held(ids, *found, None if student is None else student[0])


def _origin(place: int, sides: Sequence[Labels]) -> str:
    """Who labels, and what candidates of one model differ in: the layer that is read, or the rows that were learned from."""
    labels = sides[place]
    told = labels.origin
    if len({_layers(one) for one in sides}) > 1:
        told += f", layer {_layers(labels)}"
    sample = _taught(labels)
    return told if sample is None or sample.labels is None else f"{told}, {sample.labels.origin}"


def _taught(labels: Labels) -> Model | None:
    """The model that labels, through its calibration."""
    own = labels.labels if isinstance(labels, Calibrated) else labels
    return own.model if isinstance(own, Predict) else None


def _layers(labels: Labels) -> str:
    model = _taught(labels)
    probe = None if model is None else model.learner.probe
    return "" if probe is None else " and ".join(map(str, probe.read))
