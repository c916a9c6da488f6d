"""Ground truth beside a search: the gap that its recipe has to recover, and PGR of a trial. Nothing is chosen by any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from cluster.errors import BadInput
from cluster.store import Store
from w2s.metrics import GAP_IN_SE, gap_error, pgr
from w2s.recipe import Recipe
from w2s.search.searched import Searched
from w2s.search.table import Row
from w2s.search.trials import corner_trials, trial_recipe
from w2s.stages import Grade, Stage
from w2s.work import graded


@dataclass(frozen=True)
class Gap:
    """Mean test accuracy over seeds of the supervisor and of the ceiling, which all trials have in common."""

    floor: float
    ceiling: float

    def pgr(self, accuracy: float) -> float:
        """The performance gap recovered by a test accuracy."""
        return pgr(self.floor, accuracy, self.ceiling)

    def accuracy(self, recovered: float) -> float:
        """The test accuracy that recovers so much."""
        return self.floor + recovered * (self.ceiling - self.floor)


@dataclass(frozen=True)
class Truth:
    """The gap, or why there is no PGR."""

    gap: Gap | None
    why: str = ""

    def pgr(self, row: Row) -> float | None:
        accuracy = number(row, "test_accuracy")
        return None if self.gap is None or accuracy is None else self.gap.pgr(accuracy)


def number(row: Row, name: str) -> float | None:
    """A metric of a trial, if it is a number."""
    value = row.metrics.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def truth_of(searched: Searched, store: Store) -> Truth:
    """What the store holds of floor and ceiling. Reads only."""
    recipe = searched.base_recipe
    sides = [outcome.sides() for outcome in recipe.outcomes[recipe.method].values()]
    floors, ceilings = [side.get("floor") for side in sides], [side.get("ceiling") for side in sides]
    if not any(ceilings) or not any(floors):
        return Truth(None, "the method has no floor or no ceiling")
    moved = _moved(searched)
    if moved:
        return Truth(
            None,
            f"trials have floors or ceilings of their own (of {moved}); `w2s run` of a trial's recipe gives its PGR",
        )
    wanted = [stage for stage in (*floors, *ceilings) if stage is not None]
    if not all(store.has(stage.key) for stage in wanted):
        return Truth(None, "floor and ceiling of the recipe as written are not finished")
    gap = Gap(_mean(floors, store), _mean(ceilings, store))
    error = _error(floors, ceilings, store)
    if gap.ceiling - gap.floor < GAP_IN_SE * error or gap.ceiling <= gap.floor:
        width = f"ceiling {gap.ceiling:.3f} less floor {gap.floor:.3f}, standard error {error:.3f}"
        return Truth(None, f"no gap to recover: {width}")
    return Truth(gap)


def _moved(searched: Searched) -> str:
    """A field whose values change the floor or the ceiling; "" where the recipe's own hold for all trials."""
    own = _ends(searched.base_recipe)
    for trial in corner_trials(searched):
        try:
            same = _ends(trial_recipe(searched, trial)) == own
        except BadInput:  # no legal recipe, as a table of another version may hold
            same = False
        if not same:
            return next(
                (path for path in trial.overrides if not path.startswith("method.")), next(iter(trial.overrides))
            )
    return ""


def _ends(recipe: Recipe) -> set[str]:
    sides = [outcome.sides() for outcome in recipe.outcomes[recipe.method].values()]
    return {side[name].key for side in sides for name in ("floor", "ceiling") if name in side}


def _mean(stages: Sequence[Grade | None], store: Store) -> float:
    return fmean(float(store.receipt(stage.key).metrics["accuracy"]) for stage in stages if stage is not None)


def _error(floors: Sequence[Stage | None], ceilings: Sequence[Stage | None], store: Store) -> float:
    floor_SN, ceiling_SN = (
        np.stack([graded.read(store.path(stage.key))[1] for stage in side if stage is not None])
        for side in (floors, ceilings)
    )
    return gap_error(floor_SN, ceiling_SN)


def by_seed(row: Row, role: str, name: str, store: Store) -> list[float]:
    """A metric of every seed's stage of a trial, as far as the store holds them."""
    found = [store.receipt(key).metrics.get(name) for key in row.keys.get(role, ()) if store.has(key)]
    return [float(value) for value in found if isinstance(value, int | float)]
