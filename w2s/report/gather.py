"""Recipe -> keys -> receipts -> the numbers of a report. No database, no run names to remember."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from cluster.store import Store
from w2s import bridge
from w2s.method import MethodConfig
from w2s.metrics import Floats
from w2s.recipe import Recipe
from w2s.report.controls import why_control
from w2s.report.diagnostics import Evidence, HeldOut, Pair
from w2s.report.reading import Reader
from w2s.report.summary import SIDES, Grade, MethodScores, ReportInput, SeedScores, label
from w2s.stages import Grade as GradeStage
from w2s.stages import Labels, Model, Outcome, Part, Rows, Stage, knows_truth, walk
from w2s.work import graded


def gather(recipe: Recipe, store: Store) -> ReportInput:
    """Everything a report needs, as far as the store holds it. Reads only. Raises StageFailed for a damaged result."""
    rows = Rows(recipe.task)
    facts = dict(store.receipt(rows.key).metrics) if store.has(rows.key) else {}
    return ReportInput(
        recipe=recipe.name,
        task=recipe.task.headline,
        chance=recipe.task.chance,
        n_test=facts.get("n_test"),
        majority=_majority(facts),
        weak=recipe.weak.model.short,
        strong=recipe.strong.model.short,
        methods=tuple(_method(recipe, method, by_seed, store) for method, by_seed in recipe.outcomes.items()),
    )


def _majority(facts: dict[str, Any]) -> float | None:
    if "majority" in facts:  # of written answers, which are no classes
        return float(facts["majority"])
    counts = [value for name, value in facts.items() if name.startswith("test_class_")]
    return max(counts) / sum(counts) if counts else None


def _method(recipe: Recipe, method: MethodConfig, by_seed: dict[int, Outcome], store: Store) -> MethodScores:
    # by key: a crowd of one is its own verdict, so its floor and its member are the same stage
    stages = {stage.key: stage for outcome in by_seed.values() for stage in outcome.stages()}
    return MethodScores(
        method=method.label,
        oracle=any(_uses_oracle(stage) for stage in walk(*stages.values()).values()),
        seeds=tuple(
            SeedScores(seed, **{side: _grade(stage, store) for side, stage in outcome.sides().items()})
            for seed, outcome in by_seed.items()
        ),
        sides=tuple(side for side in SIDES if any(side in outcome.sides() for outcome in by_seed.values())),
        missing=tuple(bridge.name(stage) for key, stage in stages.items() if not store.has(key)),
        members=_members(by_seed, store),
        control=why_control(recipe, by_seed.values()),
    )


def _uses_oracle(stage: Stage) -> bool:
    """Ground truth chose a checkpoint of a model that learned from weak labels, or whose label a row gets."""
    if isinstance(stage, Labels):
        return stage.oracle
    return isinstance(stage, Model) and stage.learner.select == "oracle" and not knows_truth(stage.labels)


def _members(by_seed: dict[int, Outcome], store: Store) -> dict[str, tuple[Grade, ...]] | None:
    found: dict[str, list[Grade]] = {}
    for _, name, stage in _extras(by_seed):
        grade = _grade(stage, store)
        if grade is not None:
            found.setdefault(name, []).append(grade)
    return {name: tuple(grades) for name, grades in found.items()} or None


def _extras(by_seed: dict[int, Outcome]) -> Iterator[tuple[int, str, GradeStage]]:
    for seed, outcome in by_seed.items():
        for name, stage in outcome.extras.items():
            if isinstance(stage, GradeStage):
                yield seed, name, stage


def _grade(stage: GradeStage, store: Store) -> Grade | None:
    if not store.has(stage.key):
        return None
    ids, correct = graded.read(store.path(stage.key))
    return Grade(metrics=dict(store.receipt(stage.key).metrics), ids=ids, correct=correct)


def evidence(recipe: Recipe, found: ReportInput, store: Store, reader: Reader | None = None) -> tuple[Evidence, ...]:
    """Each method's probabilities on the test rows, as far as the store holds them. Reads only.

    Raises StageFailed for a damaged result.
    """
    reader, rows = reader or Reader(store), Rows(recipe.task)
    # a temperature is fitted where the supervisor's teacher knew the truth
    val = {seed: recipe.world(seed).part("val", side="source") for seed in recipe.seeds}
    return tuple(
        _evidence(label(scores.method, oracle=scores.oracle), by_seed, rows, val, reader)
        for scores, by_seed in zip(found.methods, recipe.outcomes.values(), strict=True)
    )


def _evidence(method: str, by_seed: dict[int, Outcome], rows: Rows, val: dict[int, Part], reader: Reader) -> Evidence:
    test = reader.rows(rows)
    if test is None:
        return Evidence(method, np.zeros(0, dtype=np.int64), (), {}, (bridge.name(rows),))
    missing: dict[str, str] = {}
    seen: set[tuple[int, str]] = set()  # a crowd of one is its own verdict: told once

    def probs(stage: Labels) -> Floats | None:
        found = reader.labels(stage, rows)
        if found is None:
            missing[stage.key] = bridge.name(stage)
        return found

    pairs: list[Pair] = []
    labellers: dict[str, dict[int, Floats]] = {}
    for seed, name, stage in (*_sides(by_seed), *_extras(by_seed)):
        own = probs(stage.labels)
        if own is not None and (seed, stage.labels.key) not in seen:
            seen.add((seed, stage.labels.key))
            labellers.setdefault(name, {})[seed] = own
        if name == "transfer" and stage.supervisor is not None:
            weak = probs(stage.supervisor)
            if own is not None and weak is not None:
                # a student that is watched has its supervisor asked about held-out rows; no stage is made for this
                held = reader.held_out(reader.settled(stage.supervisor).on(val[seed]), val[seed])
                pairs.append(Pair(seed, own, weak, None if held is None else HeldOut(*held)))
    return Evidence(method, test[1], tuple(pairs), labellers, tuple(missing.values()))


def _sides(by_seed: dict[int, Outcome]) -> Iterator[tuple[int, str, GradeStage]]:
    for seed, outcome in by_seed.items():
        for name, stage in outcome.sides().items():
            yield seed, name, stage
