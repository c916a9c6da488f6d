"""Recipe -> keys -> receipts -> the numbers of a report. No database, no run names to remember."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cluster.store import Store
from w2s import bridge
from w2s.method import MethodConfig
from w2s.recipe import Recipe
from w2s.report.summary import Grade, MethodScores, ReportInput, SeedScores
from w2s.stages import Grade as GradeStage
from w2s.stages import Outcome, Rows, Stage, Train, walk
from w2s.work import graded


def gather(recipe: Recipe, store: Store) -> ReportInput:
    """Everything a report needs, as far as the store holds it. Reads only. Raises StageFailed for a damaged result."""
    rows = Rows(recipe.task)
    facts = dict(store.receipt(rows.key).metrics) if store.has(rows.key) else {}
    return ReportInput(
        recipe=recipe.name,
        task=recipe.task.kind,
        chance=recipe.task.chance,
        n_test=facts.get("n_test"),
        majority=_majority(facts),
        weak=recipe.weak.model.short,
        strong=recipe.strong.model.short,
        methods=tuple(_method(method, by_seed, store) for method, by_seed in recipe.outcomes.items()),
    )


def _majority(facts: dict[str, Any]) -> float | None:
    counts = [value for name, value in facts.items() if name.startswith("test_class_")]
    return max(counts) / sum(counts) if counts else None


def _method(method: MethodConfig, by_seed: dict[int, Outcome], store: Store) -> MethodScores:
    # by key: a crowd of one is its own verdict, so its floor and its member are the same stage
    stages = {stage.key: stage for outcome in by_seed.values() for stage in outcome.stages()}
    return MethodScores(
        method=method.label,
        oracle=any(_uses_oracle(stage) for stage in walk(*stages.values()).values()),
        seeds=tuple(
            SeedScores(seed, *(_grade(stage, store) for stage in (outcome.floor, outcome.transfer, outcome.ceiling)))
            for seed, outcome in by_seed.items()
        ),
        missing=tuple(bridge.name(stage) for key, stage in stages.items() if not store.has(key)),
        members=_members(by_seed, store),
    )


def _uses_oracle(stage: Stage) -> bool:
    """Ground truth chose a checkpoint of a model that learned from weak labels."""
    return isinstance(stage, Train) and stage.learner.select == "oracle" and stage.labels is not None


def _members(by_seed: dict[int, Outcome], store: Store) -> dict[str, tuple[float, ...]] | None:
    found: dict[str, list[float]] = {}
    for name, grade in _extras(by_seed):
        if store.has(grade.key):
            found.setdefault(name, []).append(store.receipt(grade.key).metrics["accuracy"])
    return {name: tuple(values) for name, values in found.items()} or None


def _extras(by_seed: dict[int, Outcome]) -> Iterator[tuple[str, GradeStage]]:
    for outcome in by_seed.values():
        for name, stage in outcome.extras.items():
            if isinstance(stage, GradeStage):
                yield name, stage


def _grade(stage: GradeStage, store: Store) -> Grade | None:
    if not store.has(stage.key):
        return None
    ids, correct = graded.read(store.path(stage.key))
    return Grade(metrics=dict(store.receipt(stage.key).metrics), ids=ids, correct=correct)
