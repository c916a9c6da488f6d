"""What the store holds of a CNN bench: every simulation's curve, by scene and by cell of the phase diagrams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.store import Store
from w2s.bench_theory.cnn.config import Bench, Cnn, Point
from w2s.bench_theory.cnn.curve import FILE, Record


@dataclass(frozen=True)
class Run:
    """One finished simulation."""

    point: Point
    seed: int
    weak: Record
    records: tuple[Record, ...]

    @property
    def last(self) -> Record:
        return self.records[-1]

    @property
    def best(self) -> Record:
        """Where test accuracy was highest: chosen by ground truth."""
        return max(self.records, key=lambda record: number(record["test"]))


@dataclass(frozen=True)
class Cell:
    """A cell of a phase diagram, over its seeds."""

    grid: str
    point: Point
    value: float
    runs: tuple[Run, ...]

    @property
    def gain(self) -> float:
        """The student's test accuracy at the end less its supervisor's, mean over seeds."""
        return mean([number(run.last["test"]) - number(run.weak["test"]) for run in self.runs])


@dataclass(frozen=True)
class Results:
    """Runs of each scene, and the cells of both diagrams."""

    scenes: dict[str, tuple[Run, ...]]
    cells: tuple[Cell, ...]

    def of(self, grid: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.grid == grid]


def load(bench: Bench, store: Store) -> Results:
    """Read all of a bench. Raises StageFailed where something is not there."""
    scenes = {name: tuple(_run(bench.scene(name), seed, store) for seed in bench.seeds) for name in bench.SCENES}
    cells = []
    for name in bench.GRIDS:
        grid = bench.grid(name)
        for n_strong in grid.n_strong:
            for value in grid.values:
                point = grid.point(n_strong, value)
                cells.append(Cell(name, point, value, tuple(_run(point, seed, store) for seed in grid.seeds)))
    return Results(scenes, tuple(cells))


def number(value: float | None) -> float:
    """A measure that is always there."""
    if value is None:
        raise ValueError("a measure is missing")
    return value


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _run(point: Point, seed: int, store: Store) -> Run:
    record = json.loads((store.path(Cnn(seed, point).key) / FILE).read_text(encoding="utf-8"))
    return Run(point, seed, record["weak"], tuple(record["records"]))
