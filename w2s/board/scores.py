"""What a board tells of a recipe, as values: each method and seed with its scores, and PGR where there is a gap to recover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.store import Store
from w2s.board.names import method_names
from w2s.method import MethodConfig
from w2s.recipe import Recipe
from w2s.report.diagnostics import Evidence
from w2s.report.gather import evidence, gather
from w2s.report.summary import Grade, Report, Row, SeedScores, summarise
from w2s.stages import Outcome

ORACLE = "oracle"


@dataclass(frozen=True)
class Line:
    """One method: the first part of its runs' names, and all that is known of it. `evidence` None: it has no probabilities."""

    name: str
    config: MethodConfig
    oracle: bool
    row: Row
    seeds: Mapping[int, SeedScores]
    outcomes: Mapping[int, Outcome]
    evidence: Evidence | None

    def tag(self, name: str) -> str:
        """`result/pgr`, and of a method whose student was chosen by ground truth `oracle/result/pgr`."""
        return f"{ORACLE}/{name}" if self.oracle else name

    def scores(self, seed: int) -> dict[str, float]:
        """By name: floor, transfer, ceiling (test accuracy), agreement, pgr; only what is there.

        PGR is given where the method as a whole has a gap to recover, and this seed alone has one.
        """
        graded = self.seeds[seed]
        sides = {"floor": graded.floor, "transfer": graded.transfer, "ceiling": graded.ceiling}
        found = {side: _accuracy(grade) for side, grade in sides.items() if grade is not None}
        agreement = None if graded.transfer is None else graded.transfer.metrics.get("agreement")
        if agreement is not None:
            found["agreement"] = float(agreement)
        recovered = dict(zip(self.row.seeds, self.row.per_seed_pgr, strict=False)).get(seed)
        if self.row.pgr is not None and recovered is not None:
            found["pgr"] = recovered
        return found


@dataclass(frozen=True)
class Told:
    """One recipe as its board tells it."""

    recipe: Recipe
    report: Report
    lines: tuple[Line, ...]


def told_of(recipe: Recipe, store: Store) -> Told:
    """Everything a board needs, as far as the store holds it. Reads only. Raises StageFailed for a damaged result."""
    found = gather(recipe, store)
    report = summarise(found)
    names = method_names(recipe.methods)
    known = [None] * len(report.rows) if recipe.task.writes else list(evidence(recipe, found, store))
    lines = tuple(
        Line(names[config], config, scores.oracle, row, {one.seed: one for one in scores.seeds}, outcomes, seen)
        for row, scores, seen, (config, outcomes) in zip(
            report.rows, found.methods, known, recipe.outcomes.items(), strict=True
        )
    )
    return Told(recipe, report, lines)


def _accuracy(grade: Grade) -> float:
    return float(grade.metrics["accuracy"])
