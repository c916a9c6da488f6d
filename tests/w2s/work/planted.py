"""Vectors with a planted truth: where the second number is above 0 the first tells the class, elsewhere nothing does.

The weak labels that come with them are right three times in four, wherever a row lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from tests.conftest import toy_recipe
from tests.w2s.work.run_stage import Bench
from w2s import registry
from w2s.labels import LabelTable
from w2s.recipe import Recipe
from w2s.stages import Gate, Knows, Labels, Outcome, Predict, Stage, walk
from w2s.work import arrays, table
from w2s.work.table import RowTable, Whole, read_all

ROWS = 900


def write(folder: Path) -> Path:
    """The file of columns."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(ROWS, 6)).astype(np.float32)
    vectors[:, :2] += 2 * np.sign(vectors[:, :2])
    chance = generator.random(ROWS) < 0.5
    label = np.where(vectors[:, 1] > 0, vectors[:, 0] > 0, chance).astype(np.int64)
    wrong = generator.random(ROWS) < 0.25
    weak = np.clip(np.where(wrong, 1 - label, label) * 0.6 + 0.2 + 0.1 * generator.normal(size=ROWS), 0.01, 0.99)
    np.savez(folder / "planted.npz", x=vectors, weak=weak, label=label)
    return folder / "planted.npz"


def recipe(path: Path, **changes: Any) -> Recipe:
    """The weak labels given, the strong model a head on the vectors."""
    return Recipe.model_validate(
        toy_recipe(
            task={"kind": "features", "path": str(path)}, weak={"model": "given:weak"}, baselines=[], method="naive",
            strong={"model": "features:x", "probe": {"l2": 0.1}}, split={"val": 0.3, "weak": 0.5}, **changes,
        )
    )  # fmt: skip


class House:
    """One world where stages run as they are asked for."""

    def __init__(self, recipe: Recipe, root: Path) -> None:
        self.bench, self.world = Bench(recipe, root), recipe.world(0)
        self.metrics: dict[str, dict[str, Any]] = {}

    def plan(self, kind: str = "selective", **choices: Any) -> Outcome:
        method = registry.module("methods", kind)
        found: Outcome = method.plan(self.world, method.Config(**choices))
        return found

    def targets(self, **choices: Any) -> Labels:
        """What the student of a selective method learns from."""
        return taught(self.plan(**choices))

    def made(self, stage: Stage) -> Path:
        for needed in walk(stage).values():
            if not self.bench.out(needed).exists():
                self.metrics[needed.key] = self.bench.run(needed)[0]
        return self.bench.out(stage)

    def told(self, stage: Stage) -> dict[str, Any]:
        self.made(stage)
        return self.metrics[stage.key]

    def labels(self, stage: Labels) -> LabelTable:
        return LabelTable.load(self.made(stage))

    def whole(self) -> Whole:
        return read_all(self.made(self.world.part("strong").rows))

    def rows(self, part: str) -> RowTable:
        whole = self.whole()
        return whole.take(whole.places(self.world.part(part).json(False), "here"))  # type: ignore[arg-type]


def turned(house: House, root: Path) -> House:
    """The same world whose table of rows stands upside down, vectors and all."""
    there = House(house.bench.recipe, root)
    folder = there.made(there.world.part("strong").rows)
    rows = pq.read_table(folder / table.FILE)
    pq.write_table(rows.take(np.arange(len(rows))[::-1]), folder / table.FILE)
    columns = arrays.read(folder)
    save_file({name: np.ascontiguousarray(values[::-1]) for name, values in columns.items()}, folder / arrays.FILE)
    assert there.rows("strong").ids == house.rows("strong").ids[::-1]
    return there


def lying(house: House, root: Path) -> House:
    """The same world where the truth of the strong half and of the test rows is turned round."""
    there = House(house.bench.recipe, root)
    folder = there.made(there.world.part("strong").rows)
    hidden = {row_id for part in ("strong", "test") for row_id in there.rows(part).ids}
    rows = pq.read_table(folder / table.FILE)
    told = zip(rows["id"].to_pylist(), rows["label"].to_pylist(), strict=True)
    labels = [1 - label if row_id in hidden else label for row_id, label in told]
    place = rows.column_names.index("label")
    pq.write_table(rows.set_column(place, rows.field(place), [labels]), folder / table.FILE)
    assert there.rows("strong").labels != house.rows("strong").labels
    assert there.rows("weak").labels == house.rows("weak").labels
    return there


def taught(outcome: Outcome) -> Labels:
    assert outcome.transfer is not None
    assert isinstance(outcome.transfer.labels, Predict)
    labels = outcome.transfer.labels.model.labels
    assert labels is not None
    return labels


def gate_of(labels: Labels) -> Gate:
    (found,) = [stage for stage in walk(labels).values() if isinstance(stage, Gate)]
    return found


def knows_of(labels: Labels) -> Knows:
    (found,) = [stage for stage in walk(labels).values() if isinstance(stage, Knows)]
    return found
