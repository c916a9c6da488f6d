"""Learning curves: how each student's agreement with held-out weak labels went, and which step was kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cluster.store import Store
from w2s import bridge
from w2s.recipe import Recipe
from w2s.report.reading import Reader
from w2s.report.summary import ReportInput, label
from w2s.stages import Grade, Model, Outcome, Predict, knows_truth


@dataclass(frozen=True)
class Point:
    """One look: agreement with the labels it learns from, accuracy against ground truth (never selected by, unless oracle)."""

    step: int
    agreement: float
    accuracy: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Curve:
    """One student's way. `points` is empty where nobody looked; `missing` names the model where the store has none."""

    method: str
    student: str  # transfer, or the name of an extra
    seed: int
    select: str  # last, best or oracle
    points: tuple[Point, ...] = ()
    steps: int | None = None  # trained
    planned_steps: int | None = None
    selected_step: int | None = None
    missing: str | None = None

    @property
    def selected(self) -> Point | None:
        """The look at what was kept; None where nobody looked then."""
        return next((point for point in self.points if point.step == self.selected_step), None)


def curves(recipe: Recipe, found: ReportInput, store: Store) -> tuple[Curve, ...]:
    """The curves of every student of every method and seed. Reads only.

    A student is a model that learned from labels; what came without training (prompts, given labels) has no curve.
    Raises StageFailed for a damaged result.
    """
    reader = Reader(store)
    return tuple(
        _curve(label(scores.method, oracle=scores.oracle), name, seed, model, store, reader)
        for scores, by_seed in zip(found.methods, recipe.outcomes.values(), strict=True)
        for seed, outcome in by_seed.items()
        for name, model in students(outcome)
    )


def students(outcome: Outcome) -> Iterator[tuple[str, Model]]:
    """Who learned from labels: the extras, then the student itself. Each model once, as what it is last."""
    student = {} if outcome.transfer is None else {"transfer": outcome.transfer}
    grades = {**outcome.extras, **student}
    found = {
        grade.labels.model.key: (name, grade.labels.model)
        for name, grade in grades.items()
        if isinstance(grade, Grade) and isinstance(grade.labels, Predict) and not knows_truth(grade.labels.model.labels)
    }
    yield from found.values()


def _curve(method: str, student: str, seed: int, model: Model, store: Store, reader: Reader) -> Curve:
    found = reader.curve(model)
    if found is None:
        return Curve(method, student, seed, model.learner.select, missing=bridge.name(model))
    facts = store.receipt(model.key).metrics
    return Curve(
        method,
        student,
        seed,
        model.learner.select,
        tuple(_point(point) for point in found),
        facts.get("steps"),
        facts.get("planned_steps"),
        facts.get("selected_step"),
    )


def _point(found: dict[str, Any]) -> Point:
    return Point(found["step"], found["agreement"], found.get("accuracy"), found.get("loss"))
