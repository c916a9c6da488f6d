"""What the store holds of a misfit bench: gains and misfits of every family, seed by seed, task by task."""

# S seeds, T tasks

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cluster.store import Store
from w2s.bench_theory.misfit.config import Bench, EntropyMisfit, RegressionMisfit, SquaredMisfit
from w2s.bench_theory.misfit.outcomes import FILE, Outcome, from_json
from w2s.bench_theory.simulation import Simulation
from w2s.bench_theory.spread import Line, line
from w2s.metrics import Floats


@dataclass(frozen=True)
class Family:
    """The tasks of one family: outcomes[s][t] of seed s, task t."""

    name: str
    seeds: tuple[int, ...]
    outcomes: tuple[tuple[Outcome, ...], ...]

    def of(self, measure: str) -> Floats:
        """`gain`, `misfit`, `weak` or `student` [S, T]."""
        return np.array([[getattr(outcome, measure) for outcome in tasks] for tasks in self.outcomes])

    @cached_property
    def line(self) -> Line | None:
        """Gain against misfit; None where they do not vary."""
        return line(self.of("gain"), self.of("misfit"))


@dataclass(frozen=True)
class Place:
    """A simulation of the sweep, over its seeds."""

    strong_noise: float
    weak_noise: float
    family: Family


@dataclass(frozen=True)
class Results:
    """Every family by name (those of the regression by setting), and the sweep's places."""

    families: dict[str, Family]
    sweep: tuple[Place, ...]


def load(bench: Bench, store: Store) -> Results:
    """Read all of a bench. Raises StageFailed where something is not there."""
    families: dict[str, Family] = {}
    parts: list[list[Simulation]] = [
        [SquaredMisfit(seed, bench.squared) for seed in bench.seeds],
        [EntropyMisfit(seed, bench.entropy) for seed in bench.seeds],
    ]
    for setting in bench.SETTINGS:
        parts.append([RegressionMisfit(seed, bench.regression, setting) for seed in bench.seeds])
    for stages in parts:
        families |= _families(stages, store)
    return Results(families, tuple(_sweep(bench, store)))


def _sweep(bench: Bench, store: Store) -> list[Place]:
    if bench.sweep is None:
        return []
    found = []
    for strong in bench.sweep.strong_noise:
        for weak in bench.sweep.weak_noise:
            [family] = _families([bench.cell(seed, strong, weak) for seed in bench.seeds], store).values()
            found.append(Place(strong, weak, family))
    return found


def _families(stages: list[Simulation], store: Store) -> dict[str, Family]:
    """What stages that differ by seed alone have left."""
    read = [from_json(json.loads((store.path(stage.key) / FILE).read_text(encoding="utf-8"))) for stage in stages]
    seeds = tuple(stage.seed for stage in stages)
    return {name: Family(name, seeds, tuple(tuple(found[name]) for found in read)) for name in read[0]}
