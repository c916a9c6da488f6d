"""Made-up results of any recipe, written as its stages would write them: no model is trained, and every number is known."""

# N rows, C classes

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cluster.job import Receipt
from cluster.store import Store
from tests.conftest import toy_recipe
from w2s import bridge
from w2s.labels import LabelTable
from w2s.load import read
from w2s.report.wanted import Wanted
from w2s.stages import Combine, Crowd, Grade, Labels, Model, Predict, Rows, Stage, walk
from w2s.task import load
from w2s.work import graded, table

SKILL = {"weak": 0.68, "student": 0.76, "ceiling": 0.88}
STARTED, SECONDS = 1_800_000_000.0, 7.2
VERSIONS = {"python": "3.11.7", "w2s": "0.1.0", "torch": "2.13.0"}

Skill = Callable[[Model], float]


def wanted(folder: Path, file: str = "toy.yaml", **changes: Any) -> Wanted:
    """The toy recipe with changes as a file, and asked for."""
    place = folder / file
    place.write_text(
        yaml.safe_dump(json.loads(json.dumps(toy_recipe(**{"name": place.stem, **changes}))), sort_keys=False)
    )
    return Wanted(str(place), (), read(str(place)))


def usual(model: Model) -> float:
    """The weak learn the weak half; the strong are better, best on the truth."""
    if model.rows.name == "weak":
        return SKILL["weak"]
    return SKILL["ceiling" if model.labels is None else "student"]


def fill(
    store: Store, asked: Wanted, skill: Skill = usual, leave: Callable[[Stage], bool] = lambda stage: False
) -> None:
    """Write a result for every stage of a recipe; those that are left out, and all that needs them, are missing."""
    left: set[str] = set()
    for key, stage in asked.written.recipe.graph().items():
        if leave(stage) or any(one.key in left for one in stage.inputs()):
            left.add(key)
        elif not store.has(key):
            _write(store, stage, skill)


def _write(store: Store, stage: Stage, skill: Skill) -> None:
    out = store.scratch(stage.key).out
    metrics: dict[str, Any] = {}
    if isinstance(stage, Rows):
        metrics = _rows(stage, out)
    elif isinstance(stage, Model):
        (out / "curve.json").write_text(json.dumps(_curve(stage)))
        metrics = {"steps": 20, "planned_steps": 20, "selected_step": 20}
    elif isinstance(stage, Labels):
        probs_NC, ids = probabilities(store, stage, skill)
        LabelTable.of_probs(ids, probs_NC).save(out)
    elif isinstance(stage, Grade):
        metrics = _grade(store, stage, out)
    inputs = {one.key: bridge.name(one) for one in stage.inputs()}
    store.commit(
        stage.key,
        Receipt(stage.key, stage.kind, bridge.name(stage), stage.science(), {}, inputs, metrics, STARTED, SECONDS, VERSIONS,
                {"hostname": "node", "cpu": "CPU", "cpus": 2, "device": "cpu"}, {"commit": "a" * 40, "dirty": False}),
    )  # fmt: skip


def _rows(stage: Rows, out: Path) -> dict[str, Any]:
    by_split = {split: load(stage.task, split).examples for split in ("train", "test")}
    table.write(out, by_split, stage.task.n_classes)
    test = [example.label for example in by_split["test"]]
    counts = {f"test_class_{c}": test.count(c) for c in range(stage.task.n_classes)}
    return {"n_train": len(by_split["train"]), "n_test": len(test), "notes": [], **counts}


def _curve(stage: Model) -> list[dict[str, Any]]:
    generator = np.random.default_rng(int(stage.key[:8], 16))
    return [
        {
            "step": step,
            "agreement": float(generator.uniform(0.6, 0.9)),
            "accuracy": float(generator.uniform(0.6, 0.9)),
            "loss": 0.5,
        }
        for step in (10, 20)
    ]


def probabilities(store: Store, stage: Labels, skill: Skill) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
    """Right on as many rows as the model is skilled; a crowd's are the mean of its members'."""
    part = vars(stage)["rows"] if isinstance(stage, Predict) else None
    if isinstance(stage, Combine | Crowd):
        tables = [LabelTable.load(store.path(one.key)) for one in stage.labels]
        return np.mean([one.join(tables[0].ids, "").probs_NC for one in tables], axis=0), tables[0].ids
    assert isinstance(stage, Predict)
    rows = table.read(store.path(part.rows.key), part.json(by_content=False), "made up")
    generator = np.random.default_rng(int(stage.key[:8], 16))
    right_N = generator.random(len(rows)) < skill(stage.model)
    sure_N = generator.uniform(0.52, 0.98, len(rows))
    chosen_N = np.where(right_N, np.array(rows.labels), 1 - np.array(rows.labels))
    probs_NC = np.stack([np.where(chosen_N == c, sure_N, 1 - sure_N) for c in range(2)], axis=1)
    return probs_NC, rows.ids


def _grade(store: Store, stage: Grade, out: Path) -> dict[str, Any]:
    rows = table.read(store.path(stage.rows.rows.key), stage.rows.json(by_content=False), "made up")
    own_NC = LabelTable.load(store.path(stage.labels.key)).join(rows.ids, "").probs_NC
    correct_N = own_NC.argmax(axis=1) == np.array(rows.labels)
    graded.write(out, rows.ids, correct_N)
    metrics: dict[str, Any] = {"n": len(rows), "accuracy": float(correct_N.mean())}
    if stage.supervisor is not None:
        weak_NC = LabelTable.load(store.path(stage.supervisor.key)).join(rows.ids, "").probs_NC
        metrics["agreement"] = float((weak_NC.argmax(axis=1) == own_NC.argmax(axis=1)).mean())
    return metrics


def below(asked: Wanted) -> dict[str, Stage]:
    """Every stage of a recipe by key."""
    return walk(*asked.written.recipe.goals())
