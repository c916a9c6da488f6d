"""A trial under way: its stages, what its students have told so far, and how it stands."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cluster.errors import StageFailed
from cluster.events import Event
from cluster.job import Job
from cluster.scheduler import Scheduler
from cluster.store import Store
from w2s import bridge
from w2s.recipe import Recipe
from w2s.search.measure import MARKS, Measure, Point, averaged, supervisor_ce
from w2s.search.table import Row, Status
from w2s.search.trials import Trial, students
from w2s.search.verdict import Verdict, verdicts
from w2s.stages import Grade, Model, Stage, walk

BROKEN = ("failed", "skipped")
THERE = ("done", "cached")
CURVES = ("eval", "oracle")  # what marks on held-out rows are told as: see `w2s.work.marks.curve_name`


@dataclass
class Course:
    """One trial's stages (of every seed: the student, and the grade of what it learned), and its reports.

    A report is one evaluation of all seeds' students. Those of an earlier attempt, which was broken off, are in `row`.
    """

    trial: Trial
    number: int
    recipe: Recipe
    students: dict[int, Model]
    grades: dict[int, Grade]
    row: Row | None = None
    points: dict[int, dict[int, dict[str, float]]] = field(default_factory=dict)  # seed -> step -> marks
    final: dict[int, Point] = field(default_factory=dict)  # seed -> marks of the step that was kept
    shares: dict[int, float] = field(default_factory=dict)  # seed -> share of the student's training that is done
    verdicts: dict[int, Verdict] = field(default_factory=dict)  # seed -> what else its student is judged by
    began: float | None = None  # when the first of its students did
    status: Status = "running"
    why: str = ""

    @classmethod
    def of(cls, trial: Trial, number: int, recipe: Recipe, row: Row | None = None) -> Course:
        """The course of a trial whose method trains a student."""
        outcomes = recipe.outcomes[recipe.method]
        found = students(recipe)
        grades = {seed: outcome.transfer for seed, outcome in outcomes.items() if outcome.transfer is not None}
        return cls(trial, number, recipe, found, grades, row, _points_of(row), verdicts=verdicts(recipe))

    @cached_property
    def jobs(self) -> dict[str, Job]:
        return bridge.jobs(self.recipe, walk(*self.goals.values()).values())

    @cached_property
    def goals(self) -> dict[str, Stage]:
        """Key -> stage: the students, what they are judged by, and their grades on the test rows."""
        judged = [stage for verdict in self.verdicts.values() for stage in verdict.stages]
        return {stage.key: stage for stage in (*self.students.values(), *judged, *self.grades.values())}

    @cached_property
    def _seed_of(self) -> dict[str, int]:
        return {stage.key: seed for seed, stage in self.students.items()}

    def hear(self, event: Event) -> None:
        """What happens to one of its goals; only students tell anything."""
        seed = self._seed_of.get(event.key)
        if seed is None:
            return
        if event.kind == "started" and self.began is None:
            self.began = time.monotonic()
        if event.kind == "progress" and event.data.get("unit") == "step" and event.data["total"]:
            self.shares[seed] = event.data["done"] / event.data["total"]
        place, _, mark = str(event.data.get("name", "")).partition("/")
        if event.kind == "scalar" and place in CURVES:
            step = int(event.data["step"])
            point = self.points.setdefault(seed, {}).setdefault(step, {})
            point[mark] = float(event.data["value"])

    def told_by(self, student: str) -> dict[int, dict[str, float]]:
        """What one student has told: step -> marks."""
        return {step: dict(marks) for step, marks in self.points.get(self._seed_of[student], {}).items()}

    def look(self, scheduler: Scheduler, store: Store) -> None:
        """Take what finished students have left, and see whether all is done or something has failed."""
        states = dict(zip(self.goals, scheduler.states_of(self.goals), strict=True))
        for seed, student in self.students.items():
            asked = [student, *(self.verdicts[seed].stages if seed in self.verdicts else ())]
            if seed not in self.final and all(states[stage.key] in THERE for stage in asked):
                self._read(seed, student, store)
        if any(state in BROKEN for state in states.values()):
            self.status = "failed"
            failures = scheduler.summary.failures
            told = [failures[key].error.get("what", "") for key in self.jobs if key in failures]
            self.why = told[0] if told else "a stage it needs failed"
        elif all(state in THERE for state in states.values()):
            self.status = "done"

    def _read(self, seed: int, student: Model, store: Store) -> None:
        curve = json.loads((store.path(student.key) / "curve.json").read_text(encoding="utf-8"))
        self.points[seed] = {
            int(point["step"]): {name: point[name] for name in MARKS if name in point} for point in curve
        }
        metrics = store.receipt(student.key).metrics
        own = {name: metrics[f"val_{name}"] for name in MARKS if f"val_{name}" in metrics}
        self.final[seed] = own | (self.verdicts[seed].marks(store) if seed in self.verdicts else {})
        self.shares[seed] = 1.0

    def reports(self) -> list[dict[int, Point]]:
        """Every evaluation that all seeds have told of, in order: seed -> marks."""
        whole = {
            seed: [{**point, "step": step} for step, point in sorted(points.items()) if all(n in point for n in MARKS)]
            for seed, points in self.points.items()
        }
        if set(whole) != set(self.students):
            return []
        return [
            {seed: points[place] for seed, points in whole.items()} for place in range(min(map(len, whole.values())))
        ]

    def as_row(self, measure: Measure, store: Store, attempt: int) -> Row:
        """The trial as it stands, for the table."""
        metrics: dict[str, Any] = {"share": sum(self.shares.values()) / max(1, len(self.students))}
        try:
            told, judged = self._judged(measure)
        except StageFailed:
            if self.status != "failed":
                raise
            told, judged = list(self.row.reports if self.row else ()), {}
        metrics |= judged
        if self.status == "done":
            metrics |= self._graded(store)
        if self.why:
            metrics["why"] = self.why
        return Row(
            self.trial.key, self.number, dict(self.trial.overrides), self.status,
            {"student": tuple(s.key for s in self.students.values()), "transfer": tuple(g.key for g in self.grades.values())},
            tuple(told), metrics, self._seconds(store), attempt,
        )  # fmt: skip

    def _judged(self, measure: Measure) -> tuple[list[Mapping[str, float | int | None]], dict[str, Any]]:
        """The reports with their objective, and the trial's own: of the step that was kept, before that of the last."""
        told: list[Mapping[str, float | int | None]] = [
            {"rung": rung, "objective": measure.mean(points), **_flat(points)}
            for rung, points in enumerate(self.reports(), 1)
        ]
        if len(self.final) == len(self.students):
            return told, {"objective": measure.mean(self.final), **averaged(list(self.final.values()))}
        return told, {"objective": told[-1]["objective"]} if told else {}

    def _graded(self, store: Store) -> dict[str, float]:
        """Test accuracy: for the record, nothing is chosen by it."""
        found = [store.receipt(grade.key).metrics["accuracy"] for grade in self.grades.values()]
        return {"test_accuracy": sum(found) / len(found)} if found else {}

    def _seconds(self, store: Store) -> float:
        """Of training, all seeds and legs together, where it is finished; else by the clock since its students began."""
        if len(self.final) == len(self.students):
            return sum(
                store.receipt(stage.key).seconds for student in self.students.values() for stage in _legs(student)
            )
        before = self.row.seconds if self.row else 0.0
        return before + (0.0 if self.began is None else time.monotonic() - self.began)


def _legs(student: Model) -> Iterator[Model]:
    """A student, and the legs before it if it was trained in legs."""
    stage: Model | None = student
    while stage is not None:
        yield stage
        stage = getattr(stage, "before", None)


def measure_of(search: Any, course: Course, store: Store) -> Measure:
    """The measure for one trial: its supervisors' own error is part of `misfit`."""
    own = supervisor_ce(course.recipe, store) if search.objective == "misfit" else {}
    return Measure(search, own)


def _flat(points: Mapping[int, Point]) -> dict[str, float]:
    """A report as a flat line: every seed's marks, and where they were made."""
    return {f"s{seed}/{name}": value for seed, point in points.items() for name, value in point.items()}


def _points_of(row: Row | None) -> dict[int, dict[int, dict[str, float]]]:
    """What `_flat` wrote, read again."""
    found: dict[int, dict[int, dict[str, float]]] = {}
    for report in row.reports if row else ():
        by_seed: dict[int, dict[str, float]] = {}
        for name, value in report.items():
            owner, slash, mark = name.partition("/")
            if slash:  # null was no number: a student that has diverged
                by_seed.setdefault(int(owner[1:]), {})[mark] = math.nan if value is None else float(value)
        for seed, point in by_seed.items():
            step = int(point.pop("step"))
            found.setdefault(seed, {})[step] = point
    return found
